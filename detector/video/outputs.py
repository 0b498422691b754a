"""Output paths: checked before the work starts, and never taken from the user's other files."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import count, takewhile
from pathlib import Path

from detector.errors import OutputError


def check_output(path: Path, *, overwrite: bool, inputs: Iterable[str | os.PathLike[str]] = ()) -> None:
    """Raise `OutputError` if `path` cannot or must not be written; `inputs` are the files being read."""
    for given in inputs:
        if same_file(path, Path(given)):
            raise OutputError(f"{path}: is the input; name another file for the output")
    if path.is_dir():
        raise OutputError(f"{path}: is a folder; name a file in it")
    if path.exists() and not overwrite:
        raise OutputError(f"{path}: exists already; move it away or pass --overwrite")
    folder = next((folder for folder in path.absolute().parents if folder.exists()), None)
    if folder is None or not folder.is_dir():
        raise OutputError(f"{path}: {folder} is not a folder")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OutputError(f"{path}: {folder} may not be written to (permission denied)")


def part_path(path: Path, number: int = 1) -> Path:
    """Where a video is written until it is whole: beside its final name, always as MP4; a resumed run adds a part."""
    # A name that nobody else gives a file, for it is taken away without asking.
    return path.with_name(f"{path.name}.yolo3-part{number}.mp4")


def parts_left(path: Path) -> list[Path]:
    """The parts that a run which did not come to its end left of this video, in order."""
    return list(takewhile(Path.exists, (part_path(path, number) for number in count(1))))


def create(path: Path) -> None:
    """Make an empty file, and the folders above it, or raise `OutputError`."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror or error}") from None


@contextmanager
def held(*paths: Path) -> Iterator[None]:
    """Keep other runs off these outputs; `OutputError` if one is at work on them.

    The system lets go of the lock when the program ends, however it ends; a lock file left by a kill means nothing.
    """
    with ExitStack() as locks:
        for path in paths:
            locks.enter_context(_held(path))
        yield


@contextmanager
def _held(path: Path) -> Iterator[None]:
    lock = path.with_name(f".{path.name}.lock")
    while True:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        except OSError as error:
            raise OutputError(f"{path}: cannot be written: {error.strerror or error}") from None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            raise OutputError(f"{path}: another run is writing it; wait for it, or name another file") from None
        # A run that has just ended may have taken this very file away: then it guards nothing.
        if lock.exists() and os.fstat(descriptor).st_ino == lock.stat().st_ino:
            break
        os.close(descriptor)
    try:
        yield
    finally:
        lock.unlink(missing_ok=True)
        os.close(descriptor)


def same_file(path: Path, other: Path) -> bool:
    """Whether two names are of one file, also of one that is not there yet."""
    try:
        return path.samefile(other)
    except (OSError, ValueError):  # one of them does not exist, or is an address
        return os.path.realpath(path) == os.path.realpath(other)
