"""Files written safely: the one place that gives a file its final name.

`replacing` is how every output is written: under a private name in the same folder, flushed to disk, then renamed. So a
file under its final name is whole at any moment, and the one it replaces stays until then.

Symbolic links are followed: the file that a link points to is replaced, and the link stays. Devices and pipes are
written to directly, as there is nothing to replace.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import re
import secrets
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from convert.errors import OutputError, WriteError

_MARK = "yolo3-tmp"
_LONGEST_NAME_BYTES = 255
_NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL)


def file_sha256(path: str | os.PathLike[str]) -> str:
    """SHA-256 of a file's bytes, as 64 hexadecimal digits. Raises `OSError`."""
    with open(path, "rb") as file:  # noqa: PTH123 - any path-like object
        return hashlib.file_digest(file, "sha256").hexdigest()


def same_file(path: str | os.PathLike[str], other: str | os.PathLike[str]) -> bool:
    """Whether two names are of one file, also of one that does not exist yet."""
    try:
        return os.path.samefile(path, other)  # noqa: PTH121 - a name may be an address
    except (OSError, ValueError):
        return os.path.realpath(path) == os.path.realpath(other)


def check_output(path: Path, *, overwrite: bool, inputs: Iterable[str | os.PathLike[str]] = ()) -> None:
    """Raise `OutputError` if `path` cannot or must not be written; `inputs` are the files being read."""
    for given in inputs:
        if same_file(path, given):
            raise OutputError(f"{path}: is the input; name another file for the output")
    try:
        if path.is_dir():
            raise OutputError(f"{path}: is a folder; name a file in it")
        if path.exists() and not overwrite:
            raise OutputError(f"{path}: exists already; move it away or pass --overwrite")
        folder = next((folder for folder in path.absolute().parents if folder.exists()), None)
    except OSError as error:  # a name that is too long, a folder that may not be looked into
        raise OutputError(f"{path}: cannot be written: {error.strerror or error}") from None
    if folder is None or not folder.is_dir():
        raise OutputError(f"{path}: {folder} is not a folder")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OutputError(f"{path}: {folder} may not be written to (permission denied)")


def make_folder(path: Path) -> None:
    """Make a folder and those above it, or raise `OutputError`."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{path}: the folder cannot be made: {error.strerror or error}") from None


def create(path: Path) -> None:
    """Make an empty file, and the folders above it, or raise `OutputError`."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror or error}") from None


def is_special(path: Path) -> bool:
    """Whether a path names a device, a pipe or a socket: something to write to, never to replace."""
    return path.exists() and not path.is_file() and not path.is_dir()


@contextmanager
def replacing(path: Path, *, inputs: Iterable[str | os.PathLike[str]] = ()) -> Iterator[Path]:
    """Give the path to write a new version of `path` to; when the block ends, that becomes `path`.

    If the block raises, what was written is removed and `path` is as it was. Whether an existing file may be replaced
    is the caller's question (`check_output`); one of `inputs` never is. Raises `OutputError` before the block where
    nothing can be written there, `WriteError` for an `OSError` inside or after it.
    """
    for given in inputs:
        if same_file(path, given):
            raise OutputError(f"{path}: is the input; name another file for the output")
    target = Path(os.path.realpath(path))
    if is_special(target):
        with _written(path):
            yield target
        return
    make_folder(target.parent)
    aside, descriptor = _private(target, path)
    try:
        with _written(path):
            yield aside
            finish(aside, target)
    finally:
        aside.unlink(missing_ok=True)
        os.close(descriptor)


def write_whole(path: Path, data: bytes | memoryview, *, inputs: Iterable[str | os.PathLike[str]] = ()) -> None:
    """Write a file in one go, safely. Raises as `replacing` does."""
    with replacing(path, inputs=inputs) as aside:
        aside.write_bytes(data)


def finish(written: Path, path: Path) -> None:
    """Flush a file to disk and give it its final name in the same folder, which is flushed too. Raises `OSError`."""
    descriptor = os.open(written, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    with suppress(OSError):  # what is replaced keeps its permissions
        written.chmod(path.stat().st_mode & 0o7777)
    written.replace(path)
    with suppress(OSError):  # some systems do not open folders
        descriptor = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@contextmanager
def lock_outputs(*paths: Path) -> Iterator[None]:
    """Keep other runs of this user off these outputs; `OutputError` if one is writing them.

    The system lets go of a lock when the program ends, however it ends. Where the file system has no locks, none is
    taken.
    """
    with ExitStack() as locks:
        for path in paths:
            locks.enter_context(_locked(path))
        yield


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    folder = Path(tempfile.gettempdir()) / f"yolo3-locks-{os.getuid()}"
    lock = folder / hashlib.sha256(os.fsencode(os.path.realpath(path))).hexdigest()
    while True:
        try:
            folder.mkdir(mode=0o700, exist_ok=True)
            descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError:  # nowhere to put a lock is no reason not to work
            yield
            return
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(descriptor)
            if error.errno in _NO_LOCKS:
                yield
                return
            raise OutputError(f"{path}: another run is writing it; wait for it, or name another file") from None
        # A run that has just ended may have removed this very file: then the lock guards nothing.
        if lock.exists() and os.fstat(descriptor).st_ino == lock.stat().st_ino:
            break
        os.close(descriptor)
    try:
        yield
    finally:
        lock.unlink(missing_ok=True)
        os.close(descriptor)


def _private(target: Path, shown: Path) -> tuple[Path, int]:
    """A new file in the folder of `target` that no other program knows, and a descriptor that holds a lock on it.

    Those that killed runs left of the same output, which nobody holds a lock on, are removed.
    """
    _remove_abandoned(target)
    ending = f".{secrets.token_hex(8)}.{_MARK}{target.suffix}"
    room = _LONGEST_NAME_BYTES - len(os.fsencode(ending)) - 1
    aside = target.with_name("." + os.fsdecode(os.fsencode(target.stem)[:room]) + ending)
    try:
        descriptor = os.open(aside, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise OutputError(f"{shown}: cannot be written: {error.strerror or error}") from None
    with suppress(OSError):
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return aside, descriptor


def _remove_abandoned(target: Path) -> None:
    pattern = re.compile(rf"\.{re.escape(target.stem)}\.[0-9a-f]{{16}}\.{_MARK}{re.escape(target.suffix)}")
    with suppress(OSError):
        for name in os.listdir(target.parent):  # noqa: PTH208 - names are enough
            if pattern.fullmatch(name):
                _remove_unlocked(target.with_name(name))


def _remove_unlocked(path: Path) -> None:
    with suppress(OSError):
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink()
        finally:
            os.close(descriptor)


@contextmanager
def _written(path: Path) -> Iterator[None]:
    """Name the output in errors of writing it."""
    try:
        yield
    except OSError as error:
        raise WriteError(f"{path}: could not be written: {error.strerror or error}") from error
