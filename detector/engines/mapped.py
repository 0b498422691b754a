"""Release memory that only mirrors a file before the system runs short."""

from __future__ import annotations

import ctypes
import sys
from pathlib import Path

_MADV_DONTNEED = 4
_SMALLEST = 16 << 20
"""Files below this size in bytes are not worth releasing."""


def drop_mapped(path: Path) -> None:
    """Release the pages of a mapped file that this process has read; they are read again if needed.

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
