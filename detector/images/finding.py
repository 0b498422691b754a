"""Find the images that files, folders, globs and addresses refer to, and name their results."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from urllib.parse import unquote

from detector.errors import PictureError
from detector.images.addresses import is_url
from detector.images.signatures import PICTURE_SUFFIXES

_KEPT_SUFFIXES = (".jpg", ".jpeg", ".png")
LONGEST_NAME_BYTES = 255
_KEPT_BYTES = 200
"""Maximum characters taken from an address, which leaves room for a number and a suffix."""


def find_pictures(arguments: Iterable[str | os.PathLike[str]]) -> list[str]:
    """Turn files, folders, globs (`**` too) and addresses into a list of images without duplicates.

    A folder stands for the images directly in it, in natural order (`2.jpg` before `10.jpg`). An existing name is never
    treated as a glob, so `cat[1].jpg` finds that file. A missing file stays in the list: `read_picture` reports it, and
    the rest of the batch continues. Raise `PictureError` for a folder without images and a glob without matches.
    """
    found: dict[str, str] = {}
    for argument in arguments:
        for picture in _expand(os.fspath(argument)):
            same = picture if is_url(picture) else os.path.normcase(os.path.abspath(picture))  # noqa: PTH100
            found.setdefault(same, picture)
    return list(found.values())


def output_name(source: str | os.PathLike[str], *, taken: Collection[str] = ()) -> str:
    """Return the file name for an image's result: `photos/dog.jpg` -> `dog.jpg`, `cat.webp` -> `cat.png`.

    JPEG and PNG keep their suffix; every other format becomes PNG, which is lossless. For an address, the last part of
    its path is used, as JPEG if it has no suffix. A name in `taken` (ignoring case, as Windows and macOS do) is
    numbered: `dog-2.jpg`.
    """
    text = os.fspath(source)
    if is_url(text):
        text = unquote(re.sub(r"^\w+://[^/?#]*|[?#].*", "", text, flags=re.DOTALL).rstrip("/"))
        # Characters from an address must not escape the folder or be invalid in file names.
        text = re.sub(r'[\x00-\x1f\x7f<>:"|?*]', "_", text.replace("\\", "/")).rpartition("/")[2].strip(" .")
        path = Path(os.fsencode(text)[-_KEPT_BYTES:].decode(errors="ignore") or "picture")
        if path.suffix.lower() not in PICTURE_SUFFIXES:
            path = path.with_suffix(".jpg")
    else:
        path = Path(Path(text).name or "picture.png")
    suffix = path.suffix if path.suffix.lower() in _KEPT_SUFFIXES else ".png"
    used = {name.casefold() for name in taken}
    name, number = _fitting(path.stem, suffix), 2
    while name.casefold() in used:
        name, number = _fitting(path.stem, f"-{number}{suffix}"), number + 1
    return name


def _fitting(stem: str, ending: str) -> str:
    """Join stem and suffix, with the stem cut if the name would exceed the limit of file systems."""
    room = LONGEST_NAME_BYTES - len(os.fsencode(ending))
    return os.fsdecode(os.fsencode(stem)[:room]) + ending


def _expand(argument: str) -> Sequence[str]:
    if is_url(argument):
        return [argument]
    # os.path returns False where Path's methods raise: inaccessible folders, names too long.
    if os.path.isdir(argument):  # noqa: PTH112
        try:
            # Hidden files are skipped: macOS writes a "._dog.jpg", which is not an image, beside each dog.jpg.
            paths = [str(path) for path in Path(argument).iterdir() if not path.name.startswith(".")]
        except OSError as error:
            raise PictureError(f"{argument}: the folder cannot be read ({error.strerror})") from error
        return _pictures_among(paths, f"{argument}: the folder holds no pictures")
    if glob.has_magic(argument) and not os.path.lexists(argument):
        paths = glob.glob(argument, recursive=True)  # noqa: PTH207 - Path.glob takes no absolute patterns
        return _pictures_among(paths, f"{argument}: no file of this name, and no picture matches it as a pattern")
    return [argument]


def _pictures_among(paths: list[str], otherwise: str) -> list[str]:
    pictures = [p for p in paths if Path(p).suffix.lower() in PICTURE_SUFFIXES and Path(p).is_file()]
    if not pictures:
        others = f" (only {len(paths)} other)" if paths else ""
        raise PictureError(f"{otherwise}{others}; pictures end in .jpg, .png, .webp, .bmp, .gif, .tif, …")
    return sorted(pictures, key=_natural)


def _natural(path: str) -> list[tuple[str, int, str]]:
    """Return a sort key that compares digits as numbers."""
    pieces = re.findall(r"(\D*)(\d*)", path.casefold())
    return [(text, int(digits or 0), digits) for text, digits in pieces]
