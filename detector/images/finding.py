"""Which pictures a user means: files, folders, globs and addresses; and what their results are called."""

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
"""Of the end of an address, which leaves room for a number and a suffix."""


def find_pictures(arguments: Iterable[str | os.PathLike[str]]) -> list[str]:
    """Turn files, folders, globs (`**` too) and addresses into a list of pictures without duplicates.

    A folder gives its own pictures, not those of folders in it, in natural order (`2.jpg` before `10.jpg`).
    A name that exists is never read as a glob, so `cat[1].jpg` finds itself. A missing file stays in the
    list: `read_picture` reports it, and the rest of a batch goes on. Raises `PictureError` for a folder
    without pictures and a glob without matches.
    """
    found: dict[str, str] = {}
    for argument in arguments:
        for picture in _expand(os.fspath(argument)):
            same = picture if is_url(picture) else os.path.normcase(os.path.abspath(picture))  # noqa: PTH100
            found.setdefault(same, picture)
    return list(found.values())


def output_name(source: str | os.PathLike[str], *, taken: Collection[str] = ()) -> str:
    """Return the file name for a picture's result: `photos/dog.jpg` -> `dog.jpg`, `cat.webp` -> `cat.png`.

    JPEG and PNG keep their suffix; every other kind becomes PNG, which loses nothing. An address gives the
    last part of its path, as JPEG where it has no suffix. A name in `taken` (upper and lower case counting
    as one, as on Windows and macOS) is numbered: `dog-2.jpg`.
    """
    text = os.fspath(source)
    if is_url(text):
        text = unquote(re.sub(r"^\w+://[^/?#]*|[?#].*", "", text, flags=re.DOTALL).rstrip("/"))
        # What a stranger's address may hold must neither leave the folder nor be refused by a file system.
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
    """The two put together, the stem cut where the name would be longer than file systems take."""
    room = LONGEST_NAME_BYTES - len(os.fsencode(ending))
    return os.fsdecode(os.fsencode(stem)[:room]) + ending


def _expand(argument: str) -> Sequence[str]:
    if is_url(argument):
        return [argument]
    # os.path answers False where Path's methods raise: folders that may not be entered, names too long.
    if os.path.isdir(argument):  # noqa: PTH112
        try:
            # Hidden names are left out: macOS leaves a "._dog.jpg", no picture, beside each dog.jpg.
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
    """Sort key that reads digits as numbers."""
    pieces = re.findall(r"(\D*)(\d*)", path.casefold())
    return [(text, int(digits or 0), digits) for text, digits in pieces]
