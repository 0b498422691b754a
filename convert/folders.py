"""Folders written safely, as `files` does for single files."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from convert.errors import OutputError, WriteError
from convert.files import make_folder


def check_folder(path: Path, *, overwrite: bool, is_ours: Callable[[str], bool]) -> None:
    """Raise `OutputError` if a folder cannot or must not be written.

    One that exists and is not empty is replaced with `overwrite` only, and only if `is_ours` says of the name of each
    thing in it that an export wrote it: what else is in a folder is nobody's to delete.
    """
    if path.exists() and not path.is_dir():
        raise OutputError(f"{path}: is a file; name a folder")
    names = sorted(item.name for item in path.iterdir()) if path.is_dir() else []
    if names and not overwrite:
        raise OutputError(f"{path}: is not empty; name another folder or pass --overwrite")
    others = [name for name in names if not is_ours(name)]
    if others:
        raise OutputError(f"{path}: holds {others[0]}, which no export wrote; name another folder")


@contextmanager
def replacing_folder(path: Path, *, overwrite: bool, is_ours: Callable[[str], bool]) -> Iterator[Path]:
    """Give an empty folder to fill; when the block ends, that becomes `path`.

    If the block raises, `path` is as it was. Raises as `check_folder` does, `WriteError` for an `OSError` inside.
    """
    check_folder(path, overwrite=overwrite, is_ours=is_ours)
    make_folder(path.parent)
    token = secrets.token_hex(8)
    fresh, old = (path.with_name(f".{path.name[:80]}.{token}.{word}.yolo3-tmp") for word in ("new", "old"))
    try:
        fresh.mkdir()
        yield fresh
        if path.exists():
            path.rename(old)
        fresh.rename(path)
    except OSError as error:
        if old.exists() and not path.exists():
            old.rename(path)
        raise WriteError(f"{path}: could not be written: {error.strerror or error}") from error
    finally:
        for folder in (fresh, old):
            shutil.rmtree(folder, ignore_errors=True)
