"""Memory that only mirrors a file, given back before the system has to ask for it."""

from __future__ import annotations

import ctypes
import sys
from pathlib import Path

_MADV_DONTNEED = 4
_SMALLEST = 16 << 20
"""Bytes below which it is not worth looking."""


def drop_mapped(path: Path) -> None:
    """Let go of the pages of a file that this process has mapped and read: they are read again if need be.

    The system would do so itself when memory runs short; until then they count as the process's own. Linux only.
    """
    if not sys.platform.startswith("linux") or path.stat().st_size < _SMALLEST:
        return
    name = str(path.resolve())
    for line in Path("/proc/self/maps").read_text().splitlines():
        place, rights, *_, inode_and_name = line.split(maxsplit=4)
        if inode_and_name.endswith(f" {name}") and "w" not in rights:
            first, end = (int(edge, 16) for edge in place.split("-"))
            ctypes.CDLL(None).madvise(ctypes.c_void_p(first), ctypes.c_size_t(end - first), _MADV_DONTNEED)
