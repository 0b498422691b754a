"""Write folders safely, as `files` does for single files.

A folder is filled under a private name beside its final one and renamed in a single step, so that a killed run leaves
either the old folder or the new one. The next run removes what a killed run left under the private name.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from convert.errors import OutputError, WriteError
from convert.files import PRIVATE_NAME, make_folder

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2


def check_folder(path: Path, *, overwrite: bool, is_ours: Callable[[str], bool]) -> None:
    """Raise `OutputError` if a folder cannot or must not be written.

    A non-empty folder is replaced only with `overwrite`, and only if `is_ours` confirms for the name of every entry
    that an export wrote it: other files are never deleted.
    """
    if str(path) == "-":
        raise OutputError("-: a folder cannot be written to standard output; name a folder")
    try:
        with suppress(FileNotFoundError):
            path.stat()  # raises for names that are impossible here, which `exists` does not
        if path.exists() and not path.is_dir():
            raise OutputError(f"{path}: is a file; name a folder")
        names = sorted(item.name for item in path.iterdir()) if path.is_dir() else []
    except (OSError, ValueError) as error:
        raise OutputError(f"{path}: cannot be written: {getattr(error, 'strerror', None) or error}") from None
    if names and not overwrite:
        raise OutputError(f"{path}: is not empty; name another folder or pass --overwrite")
    others = [name for name in names if not is_ours(name)]
    if others:
        raise OutputError(f"{path}: contains {others[0]}, which no export wrote; name another folder")


@contextmanager
def replacing_folder(path: Path, *, overwrite: bool, is_ours: Callable[[str], bool]) -> Iterator[Path]:
    """Yield an empty folder to fill; when the block ends, it becomes `path`.

    A symbolic link is followed. If the block raises, `path` is left unchanged. Raise as `check_folder` does, and
    `WriteError` for an `OSError` inside.
    """
    check_folder(path, overwrite=overwrite, is_ours=is_ours)
    target = Path(os.path.realpath(path))
    try:
        with private_folder(target) as private:
            fresh = private / "new"
            fresh.mkdir()
            yield fresh
            check_folder(path, overwrite=overwrite, is_ours=is_ours)  # another program may have written there meanwhile
            take_place(fresh, target)
    except OSError as error:
        raise WriteError(f"{path}: could not be written: {error.strerror or error}") from error


@contextmanager
def private_folder(beside: Path) -> Iterator[Path]:
    """Yield an empty folder beside a path and remove it at the end. Raise `OSError` or `OutputError`."""
    make_folder(beside.parent)
    _remove_abandoned(beside.parent)
    private = beside.with_name(f".{secrets.token_hex(8)}.yolo3-tmp")
    private.mkdir()
    descriptor = os.open(private, os.O_RDONLY | os.O_CLOEXEC)
    try:
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield private
    finally:
        shutil.rmtree(private, ignore_errors=True)
        os.close(descriptor)


def take_place(fresh: Path, path: Path, *, exchange: Callable[[Path, Path], None] | None = None) -> None:
    """Give a complete folder its final name; an existing folder of that name takes the other. Raise `OSError`."""
    if not path.exists():
        fresh.rename(path)
        return
    try:
        (exchange or _exchange)(fresh, path)
    except OSError:  # not Linux, or a file system without it: a kill between the two steps leaves the old folder aside
        aside = path.with_name(f"{path.name[:80]}.{secrets.token_hex(4)}.yolo3-old")
        path.rename(aside)
        try:
            fresh.rename(path)
        except OSError:
            aside.rename(path)
            raise
        aside.rename(fresh)


def _exchange(one: Path, other: Path) -> None:
    """Exchange the names of two folders in one step."""
    renameat2 = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if renameat2 is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    if renameat2(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def _remove_abandoned(folder: Path) -> None:
    """Remove the private folders of runs that have ended."""
    with suppress(OSError):
        for item in folder.iterdir():
            if PRIVATE_NAME.fullmatch(item.name) and item.is_dir() and not item.is_symlink():
                with suppress(OSError):
                    _remove_unlocked(item)


def _remove_unlocked(private: Path) -> None:
    descriptor = os.open(private, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(private, ignore_errors=True)
    finally:
        os.close(descriptor)
