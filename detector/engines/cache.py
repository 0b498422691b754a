"""Keep compiled networks in the user's cache folder, and compile them again when stale or damaged.

A file's name identifies its source and its content: `MODEL-KIND-VERSION-CONTENT.tflite`, where MODEL and CONTENT are
digests of the model file and of the compiled one. So a changed model gets a file of its own, and a damaged file is
recognised by its name. Files appear when they are complete, and no file that another process may be about to open is
removed.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from platformdirs import user_cache_path

from convert.files import file_sha256, replacing
from detector.engines.child import last_line, run_module
from detector.errors import EngineError, ModelFileError, WriteError

VERSION = 1
"""Increased when networks are compiled differently: files compiled by older versions are then stale."""

COMPILED = {"litert": ("litert", "float32"), "litert_int8": ("litert", "int8"), "onnx": ("onnx", "float32")}
"""Kind -> format and precision of the weights."""

SUFFIXES = {"litert": ".tflite", "litert_int8": ".tflite", "onnx": ".onnx", "quantised": ".network"}

_DIGITS = 32  # of 64: enough to avoid collisions, and short enough to read
_STALE_SECONDS = 3600
"""Age at which files of older versions and damaged copies are removed: no process is about to open them by then."""

_FORGOTTEN_SECONDS = 90 * 24 * 3600
_WRITE_FAILED = 3


def compiled(
    model: Path,
    kind: str,
    *,
    sha256: str | None = None,
    variant: str = "",
    on_note: Callable[[str], object] = lambda note: None,
    folder: Path | None = None,
    build: Callable[[Path, str, Path], None] | None = None,
) -> Path:
    """Return the path of a model file compiled to a kind of `SUFFIXES`, compiling it if no intact copy is cached.

    `sha256` is the model file's digest, if known. `variant` names what else the result depends on, in letters, digits,
    dots and underscores. `build` makes the file, given the model, the kind and the output file; by default the compiler
    of `COMPILED`. `folder` is for tests. Raise `EngineError` when the network cannot be compiled, `ModelFileError` when
    the model cannot be read or changes meanwhile, and `WriteError` when the disk is full.
    """
    folder = folder or user_cache_path("yolo3", appauthor=False)
    digest = (sha256 or _digest(model))[:_DIGITS]
    stem, suffix = f"{digest}-{kind}{variant and '_'}{variant}-", SUFFIXES[kind]
    pattern = f"{stem}{VERSION}-*{suffix}"
    kept = _good_copy(folder, pattern)
    if kept:
        return kept
    folder, note = _writable(folder)
    kept = _good_copy(folder, pattern)
    if kept:
        return kept
    if kind in COMPILED:
        on_note(f"compiling {model.name} for {'ONNX' if kind == 'onnx' else 'LiteRT'}, once ...")
    if note:
        on_note(note)
    _forget(folder, stem)
    with contextlib.suppress(_Kept), replacing(folder / f"{stem}new{suffix}") as private:
        (build or _build)(model, kind, private)
        if _digest(model)[:_DIGITS] != digest:
            raise ModelFileError(f"{model}: was changed while it was being compiled; run again")
        path = folder / f"{stem}{VERSION}-{file_sha256(private)[:_DIGITS]}{suffix}"
        with replacing(path) as copy:
            shutil.copyfile(private, copy)
        raise _Kept
    return path


class _Kept(Exception):  # noqa: N818 - it is no error
    """The compiled network has been stored under a name that identifies its content."""


def _digest(model: Path) -> str:
    try:
        return file_sha256(model)
    except OSError as error:
        raise ModelFileError(f"{model}: cannot be read ({error.strerror})") from None


def _good_copy(folder: Path, pattern: str) -> Path | None:
    """Return a file whose content matches its name, and reset its age."""
    for kept in folder.glob(pattern):
        with contextlib.suppress(OSError):  # it may be replaced or removed at this moment
            if file_sha256(kept)[:_DIGITS] == _content(kept):
                os.utime(kept)
                return kept
    return None


def _content(kept: Path) -> str:
    return kept.stem.rpartition("-")[2]


def _build(model: Path, kind: str, out: Path) -> None:
    to, precision = COMPILED[kind]
    run = run_module("detector.engines.compiling", model.resolve(), to, out.resolve(), precision)
    if run.returncode == _WRITE_FAILED:
        raise WriteError(f"{out.parent}: the compiled network could not be written ({last_line(run)})")
    if run.returncode:
        raise EngineError(f"{model}: cannot be compiled to {kind} ({last_line(run)}); --engine keras runs it")


def _writable(folder: Path) -> tuple[Path, str]:
    """Return the folder and "", or a temporary folder and a note if the folder cannot be written to."""
    with contextlib.suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        if os.access(folder, os.W_OK | os.X_OK):
            return folder, ""
    own = _own_temporary_folder()
    if own:
        return own, f"{folder}: cannot be written to; the compiled network is kept in {own}"
    once = tempfile.mkdtemp(prefix="yolo3-")
    atexit.register(shutil.rmtree, once, ignore_errors=True)
    return Path(once), f"{folder}: cannot be written to, so the compiled network is not kept"


def _own_temporary_folder() -> Path | None:
    """Return this user's own folder in the temporary folder, created if needed; None if there is none."""
    if not hasattr(os, "getuid"):
        return None
    folder = Path(tempfile.gettempdir()) / f"yolo3-cache-{os.getuid()}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
    except OSError:
        return None
    mine = stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o022
    return folder if mine else None


def _forget(folder: Path, stem: str) -> None:
    """Remove stale and damaged copies of this network, and those of other networks unused for three months."""
    for kept in folder.iterdir():
        if kept.suffix not in SUFFIXES.values() or kept.name.startswith("."):
            continue
        with contextlib.suppress(OSError):
            age = time.time() - kept.stat().st_mtime
            of_this = kept.name.startswith(stem)
            damaged = of_this and file_sha256(kept)[:_DIGITS] != _content(kept)
            if damaged or (of_this and age > _STALE_SECONDS) or age > _FORGOTTEN_SECONDS:
                kept.unlink()
