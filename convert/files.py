"""Safe writing of files: the only module that puts a file under its final name.

`replacing` is how every output is written: to a private file in the same folder, which is flushed to disk and renamed.
A file under its final name is therefore always whole, and an existing one stays until its replacement is complete.

Symbolic links are followed: the file a link points to is replaced and the link is kept. Devices and pipes cannot be
replaced and are written to directly.

A killed run may leave its private file behind. The next run that writes to the folder removes it, unless the file is
still locked by a running process. Keep whatever cannot be made again, such as a recording, under a name of its own.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import re
import secrets
import stat
import struct
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import cache
from pathlib import Path

from convert.errors import OutputError, WriteError

PRIVATE_NAME = re.compile(r"\.[0-9a-f]{16}\.yolo3-tmp(\.[0-9A-Za-z]{1,16})?")
_PLAIN_SUFFIX = re.compile(r"\.[0-9A-Za-z]{1,16}")

_EXHAUSTED = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EMFILE, errno.ENFILE, errno.ENOMEM)
"""Errors that are not caused by the path: the same command works once there is space."""

_NO_SYNC = (errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS)


def file_sha256(path: str | os.PathLike[str]) -> str:
    """SHA-256 of a file's bytes, as 64 hexadecimal digits. Raises `OSError`."""
    with open(path, "rb") as file:  # noqa: PTH123 - any path-like object
        return hashlib.file_digest(file, "sha256").hexdigest()


def same_file(path: str | os.PathLike[str], other: str | os.PathLike[str]) -> bool:
    """Return whether two names refer to one file, including names of files that do not exist yet."""
    try:
        return os.path.samefile(path, other)  # noqa: PTH121 - a name may be a URL
    except ValueError:  # a null byte: not a valid file name
        return False
    except OSError:
        return os.path.realpath(path) == os.path.realpath(other)


def is_special(path: Path) -> bool:
    """Return whether a path is a device, a pipe or a socket, which is written to rather than replaced."""
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):
        return False
    return not stat.S_ISREG(mode) and not stat.S_ISDIR(mode)


def check_output(path: Path, *, overwrite: bool, inputs: Iterable[str | os.PathLike[str]] = ()) -> None:
    """Raise `OutputError` if `path` cannot or must not be written; `inputs` are the files being read.

    An existing file needs `overwrite`; an input is never replaced. Devices and pipes need no permission to be replaced.
    """
    if is_special(path):
        if not os.access(path, os.W_OK):
            raise OutputError(f"{path}: cannot be written: {os.strerror(errno.EACCES)}")
        return
    target = _target(path, inputs)
    try:
        if target.exists() and not overwrite:
            raise OutputError(f"{path}: exists already; move it away or pass --overwrite")
        folder = next((folder for folder in target.parents if folder.exists()), None)
    except OSError as error:  # a name that is too long, a folder that cannot be searched
        raise _failure(path, error) from None
    if folder is None or not folder.is_dir():
        raise OutputError(f"{path}: {folder} is not a folder")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OutputError(f"{path}: the folder {folder} is not writable")


def make_folder(path: Path) -> None:
    """Make a folder and its parents. Raise `OutputError`, or `WriteError` when the disk is full."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        raise _failure(path, error, "the folder cannot be made") from None


def create(path: Path) -> None:
    """Make an empty file and its parent folders. Raise as `make_folder` does."""
    make_folder(path.parent)
    try:
        path.write_bytes(b"")
    except OSError as error:
        raise _failure(path, error) from None


@contextmanager
def replacing(
    path: Path, *, inputs: Iterable[str | os.PathLike[str]] = (), sync: Callable[[int], None] = os.fsync
) -> Iterator[Path]:
    """Yield a private path to write to; when the block ends, that file becomes `path`.

    The private path has the suffix of `path` and refers to an empty file, which must be written in place, not replaced.
    For a device or a pipe it is `path` itself. If the block raises, the private file is removed and `path` is left
    unchanged. An existing file is replaced: call `check_output` first to find out whether it may be. A file in `inputs`
    is never replaced. Raise `OutputError` before the block where nothing can be written, `WriteError` for an `OSError`
    in the block or after.
    """
    if is_special(path):
        with _naming(path):
            yield path
        return
    target = _target(path, inputs)
    make_folder(target.parent)
    _remove_abandoned(target.parent)
    private, descriptor = _private_file(target, path)
    try:
        with _naming(path):
            yield private
            rename_whole(private, target, sync=sync)
    finally:
        with suppress(OSError):
            private.unlink(missing_ok=True)
        os.close(descriptor)


def rename_whole(written: Path, path: Path, *, sync: Callable[[int], None] = os.fsync) -> None:
    """Flush a complete file to disk and give it its final name in the same folder. Raises `OSError`.

    For files that outlive a killed run, such as a download to be resumed; all others are written with `replacing`.
    """
    _flush(written, sync)
    with suppress(FileNotFoundError):
        written.chmod(stat.S_IMODE(path.stat().st_mode))
    written.replace(path)
    with suppress(OSError):  # some systems do not open folders
        _flush(path.parent, sync)


def write_whole(path: Path, data: bytes | memoryview, *, inputs: Iterable[str | os.PathLike[str]] = ()) -> None:
    """Write a file in one go. Raise as `replacing` does."""
    with replacing(path, inputs=inputs) as private:
        private.write_bytes(data)


@contextmanager
def lock_outputs(
    *paths: Path, folder: Path | None = None, flock: Callable[[int, int], None] = fcntl.flock
) -> Iterator[None]:
    """Keep other runs of this user from writing these outputs; raise `OutputError` if one is doing so already.

    The system releases a lock when the process ends, however it ends. Lock files are kept in `folder`, by default a
    folder of this user's in the temporary folder. Where locks are not available, none is taken. Devices and pipes can
    have several writers.
    """
    targets = {os.path.realpath(path): path for path in paths if not is_special(path)}
    with ExitStack() as locks:
        for target, path in targets.items():
            locks.enter_context(_locked(target, path, folder, flock))
        yield


@contextmanager
def _locked(target: str, path: Path, folder: Path | None, flock: Callable[[int, int], None]) -> Iterator[None]:
    held = _lock(target, path, folder, flock)
    try:
        yield
    finally:
        if held is not None:
            lock, descriptor = held
            with suppress(OSError):
                lock.unlink(missing_ok=True)
            os.close(descriptor)


def _lock(target: str, path: Path, folder: Path | None, flock: Callable[[int, int], None]) -> tuple[Path, int] | None:
    """Return the lock file of an output and its open descriptor; None where locks are not available."""
    try:
        lock = _lock_folder(folder) / hashlib.sha256(os.fsencode(target)).hexdigest()
    except OSError:  # runs also work without a place for locks
        return None
    while True:
        try:
            descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError:
            return None
        try:
            flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise OutputError(f"{path}: another run is writing to it; wait for it, or name another file") from None
        except OSError:  # a file system without locks
            os.close(descriptor)
            return None
        # A run that has just ended may have removed this file. A lock on a removed file has no effect.
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(descriptor), lock.stat()):
                return lock, descriptor
        os.close(descriptor)


def _lock_folder(folder: Path | None) -> Path:
    """Return the folder for this user's locks. Raise `OSError` if it cannot be made or belongs to another user."""
    folder = folder or Path(tempfile.gettempdir()) / f"yolo3-locks-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        raise PermissionError(errno.EACCES, "belongs to another user", str(folder))
    return folder


def _target(path: Path, inputs: Iterable[str | os.PathLike[str]]) -> Path:
    """Return the file to replace, with links followed. Raise `OutputError` for an input, a folder, an invalid name."""
    if str(path) == "-":
        raise OutputError("-: standard output is not possible here; name a file")
    for given in inputs:
        if same_file(path, given):
            raise OutputError(f"{path}: is the input; name another file for the output")
    try:
        target = Path(os.path.realpath(path))
        if target.is_symlink():
            raise OutputError(f"{path}: is a symbolic link that points to itself")
        if target.is_dir():
            raise OutputError(f"{path}: is a folder; name a file in it")
    except (OSError, ValueError) as error:
        raise _failure(path, error) from None
    return target


def _private_file(target: Path, path: Path) -> tuple[Path, int]:
    """Open a new, locked file beside `target`; return its path and its descriptor."""
    suffix = target.suffix if _PLAIN_SUFFIX.fullmatch(target.suffix) else ""
    private = target.with_name(f".{secrets.token_hex(8)}.yolo3-tmp{suffix}")
    try:
        if len(os.fsencode(target.name)) > os.pathconf(target.parent, "PC_NAME_MAX"):  # else noticed only at the end
            raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG))
        # What replaces a private file must not be readable by others while it is written.
        mode = 0o600 if target.exists() else 0o666
        descriptor = os.open(private, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    except OSError as error:
        raise _failure(path, error) from None
    with suppress(OSError):
        _lock_open_file(descriptor)
    return private, descriptor


def _flush(path: Path, sync: Callable[[int], None]) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        sync(descriptor)
    except OSError as error:
        if error.errno not in _NO_SYNC:
            raise
    finally:
        os.close(descriptor)


@cache  # once per process and folder: a run may write thousands of files into one folder
def _remove_abandoned(folder: Path) -> None:
    """Remove the private files of runs that have ended."""
    with suppress(OSError):
        for name in os.listdir(folder):  # noqa: PTH208 - names are enough
            if PRIVATE_NAME.fullmatch(name):
                with suppress(OSError):
                    _remove_unlocked(folder / name)


def _remove_unlocked(path: Path) -> None:
    descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        _lock_open_file(descriptor)
        path.unlink()
    finally:
        os.close(descriptor)


def _lock_open_file(descriptor: int) -> None:
    """Lock an open file until it is closed. Raise `OSError` if it is locked, or cannot be locked on this system.

    These locks belong to the open file. `flock` cannot be used: HDF5 takes that lock itself.
    """
    if not hasattr(fcntl, "F_OFD_SETLK"):
        raise OSError(errno.ENOTSUP, "no open file description locks")
    fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, struct.pack("@hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0))


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Add the output's name to errors of writing it."""
    try:
        yield
    except OSError as error:
        raise WriteError(f"{path}: could not be written: {error.strerror or error}") from error


def _failure(path: Path, error: OSError | ValueError, what: str = "cannot be written") -> OutputError | WriteError:
    """Return the error for a path that cannot be written, at all or at the moment."""
    reason = error.strerror if isinstance(error, OSError) else None
    kind = WriteError if isinstance(error, OSError) and error.errno in _EXHAUSTED else OutputError
    return kind(f"{path}: {what}: {reason or error}")
