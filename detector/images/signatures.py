"""Recognise image files, and files that are mistaken for images, by their first bytes."""

from __future__ import annotations

import re

PICTURE_SUFFIXES = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".webp", ".avif", ".bmp", ".dib", ".gif"),
    *(".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".pnm", ".jp2"),
)
"""The suffixes, in lower case, of the files that a folder or a glob counts as images."""

PICTURE_SIGNATURE = re.compile(
    rb"\xff\xd8\xff|\x89PNG|GIF8|RIFF....WEBP|BM|II\*\0|MM\0\*|P[1-6]\s|\0\0\0\x0cjP|....ftypavi[fs]",
    re.DOTALL,
)
"""A pattern for the first bytes of every image format that is read."""

_EXPECTED = "expected JPEG, PNG, WEBP, BMP, GIF or TIFF"
_NOT_PICTURES = (
    (rb"\s*<(!doctype\s+html|html)", "a web page, not a picture; give the address of the picture itself"),
    (rb"\s*<(\?xml|svg)", "SVG or XML, which contains no pixels; save it as PNG"),
    (rb"....ftyp(hei|hev|mif|msf)", "HEIC, which is not supported; save it as JPEG"),
    (rb"....ftyp|RIFF....AVI |\x1a\x45\xdf\xa3|\0\0\x01\xba", "a video, not a picture; use `yolo3 video`"),
    (rb"%PDF", "a PDF document; save its page as PNG"),
    (rb"version https://git-lfs", "a git-lfs pointer, not the picture itself; run `git lfs pull`"),
)


def describe_start(start: bytes) -> str:
    """Return what a file that is not a readable image looks like, from its first bytes, and what to do about it."""
    for pattern, words in _NOT_PICTURES:
        if re.match(pattern, start, re.DOTALL | re.IGNORECASE):
            return words
    if PICTURE_SIGNATURE.match(start):
        return "begins like a picture but its header is damaged; save or fetch it again"
    return f"not a picture: it begins with {start[:12]!r}; {_EXPECTED}"
