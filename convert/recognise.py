"""Recognise a file's type by its first bytes, for messages when something else was expected."""

from __future__ import annotations

import errno
from pathlib import Path

_SIGNATURES: tuple[tuple[bytes, str], ...] = (
    (b"version https://git-lfs", "a git-lfs pointer, not the file itself (run `git lfs pull`)"),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
    (b"PK\x03\x04", "a zip archive (unpack it first)"),
    (b"\x1f\x8b", "gzip-compressed (unpack it first)"),
    (b"BZh", "bzip2-compressed (unpack it first)"),
    (b"\xfd7zXZ\x00", "xz-compressed (unpack it first)"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive (unpack it first)"),
    (b"Rar!", "a RAR archive (unpack it first)"),
    (b"%PDF", "a PDF"),
    (b"\x89PNG", "a PNG picture"),
    (b"\xff\xd8\xff", "a JPEG picture"),
)


def recognise(start: bytes) -> str:
    """Return a file's type by its first bytes (about 4 KB); empty for possible weights or an unknown type."""
    if not start:
        return "an empty file"
    for signature, what in _SIGNATURES:
        if start.startswith(signature):
            return what
    text = start.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if text.startswith((b"<!doctype html", b"<html", b"<head", b"<?xml")):
        return "an HTML page, probably an error page saved instead of the download (fetch the file again)"
    if text.startswith((b"[net]", b"[network]")):
        return "a Darknet .cfg"
    if not any(byte < 9 or 13 < byte < 32 for byte in start):
        return f"a text file that begins {start[:40].decode('utf-8', 'replace')!r}"
    return ""


def check_regular(path: Path) -> None:
    """Raise `OSError` unless this is a regular file; a device or a pipe may have no end."""
    if path.exists() and not path.is_file() and not path.is_dir():
        raise OSError(errno.EINVAL, "a device or pipe, not a file")


def read_regular(path: Path) -> bytes:
    """Return the content of a file; raise `OSError` if it does not exist or is not a regular file."""
    check_regular(path)
    return path.read_bytes()
