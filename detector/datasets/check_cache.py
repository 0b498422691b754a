"""Remember which images were found to open, and their sizes, in the user's cache folder.

There is one file for each dataset. An image is known by its path, its size in bytes and the time of its last change; a
changed one is checked again. A file starts with the digest of the rest, so that a damaged one is ignored, and appears
when it is complete: of two processes that check one dataset, the one that ends last leaves its file.
"""

from __future__ import annotations

import hashlib
import os
import struct
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
from platformdirs import user_cache_path

from convert.errors import OutputError, WriteError
from convert.files import write_whole

SUFFIX = ".checked"

FileState = tuple[int, int]
"""Size in bytes and time of the last change in nanoseconds."""

_MAGIC = b"yolo3 checked 1\n"
_COUNT = struct.Struct("<Q")
_COLUMNS = 4  # size in bytes, time of change, width, height
_DIGITS = 32

_UNSETTLED_SECONDS = 2.0
"""An image that changed so recently may change again without a new time: some file systems count in seconds."""

_FORGOTTEN_SECONDS = 90 * 24 * 3600


class CheckCache:
    """The images of a dataset that were checked before."""

    def __init__(self, data: Path, *, folder: Path | None = None) -> None:
        """Read what is known of the dataset `data`; `folder` is for tests."""
        folder = folder or user_cache_path("yolo3", appauthor=False) / "datasets"
        digest = hashlib.sha256(os.fsencode(os.path.realpath(data))).hexdigest()
        self._path = folder / (digest[:_DIGITS] + SUFFIX)
        self._known = _read(self._path)
        self._settled_ns = time.time_ns() - int(_UNSETTLED_SECONDS * 1e9)
        self._found: dict[str, tuple[FileState, tuple[int, int]]] = {}
        self._changed = False

    def size(self, path: str, state: FileState) -> tuple[int, int] | None:
        """Return width and height of an image that has not changed since it was checked; None for any other."""
        known = self._known.get(path)
        if known is None or known[0] != state:
            return None
        self._found[path] = known
        return known[1]

    def add(self, path: str, state: FileState, size: tuple[int, int]) -> None:
        """Remember an image that opens."""
        if state[1] <= self._settled_ns:
            self._found[path] = state, size
            self._changed = True

    def save(self) -> None:
        """Write the file, if there is anything new. What cannot be written is checked again the next time."""
        if not self._changed and len(self._found) == len(self._known):
            return
        table = np.array([(*state, *size) for state, size in self._found.values()], "<i8").reshape(-1, _COLUMNS)
        body = _COUNT.pack(len(table)) + table.tobytes() + b"\0".join(map(os.fsencode, self._found))
        with suppress(OutputError, WriteError):
            write_whole(self._path, _MAGIC + hashlib.sha256(body).digest() + body)
            _forget(self._path.parent)


def _read(path: Path) -> dict[str, tuple[FileState, tuple[int, int]]]:
    """Return the content of a file; nothing of a missing or damaged one."""
    try:
        content = path.read_bytes()
        os.utime(path)
    except OSError:
        return {}
    start = len(_MAGIC) + hashlib.sha256().digest_size
    body = content[start:]
    if content[:start] != _MAGIC + hashlib.sha256(body).digest():
        return {}
    (count,) = _COUNT.unpack_from(body)
    end = _COUNT.size + count * _COLUMNS * 8
    table = np.frombuffer(body[_COUNT.size : end], "<i8").reshape(-1, _COLUMNS).tolist()
    names = map(os.fsdecode, body[end:].split(b"\0"))
    return {name: ((row[0], row[1]), (row[2], row[3])) for name, row in zip(names, table, strict=False)}


def _forget(folder: Path) -> None:
    """Remove the files of datasets that were not read for three months."""
    for path in folder.glob(f"*{SUFFIX}"):
        with suppress(OSError):
            if time.time() - path.stat().st_mtime > _FORGOTTEN_SECONDS:
                path.unlink()
