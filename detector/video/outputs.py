"""Output paths: checked before the work starts, and never taken from the user's other files."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from detector.errors import OutputError


def check_output(path: Path, *, overwrite: bool, inputs: Iterable[str | os.PathLike[str]] = ()) -> None:
    """Raise `OutputError` if `path` cannot or must not be written; `inputs` are the files being read."""
    for given in inputs:
        if _same_file(path, Path(given)):
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


def part_path(path: Path) -> Path:
    """Where the file is written until it is whole: beside its final name, of the same kind."""
    return path.with_name(f"{path.stem}.part{path.suffix}")


def create(path: Path) -> None:
    """Make an empty file, and the folders above it, or raise `OutputError`."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror or error}") from None


def _same_file(path: Path, other: Path) -> bool:
    try:
        return path.samefile(other)
    except (OSError, ValueError):  # one of them does not exist, or is an address
        return False
