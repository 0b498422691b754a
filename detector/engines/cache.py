"""Compiled networks, kept in the user's cache folder and made again when stale or damaged.

A file's name says what it was made from and what it holds: `MODEL-KIND-VERSION-CONTENT.tflite`, where MODEL and
CONTENT are digests of the model file and of the compiled one. So a model that changes by a byte has a file of its own,
a damaged file is known by its name, and processes that start at once never see half a file: each writes under another
name and renames it when whole.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from platformdirs import user_cache_path

from convert.files import file_sha256
from detector.errors import EngineError, ModelFileError, WorkError

VERSION = 1
"""Raised when networks are compiled in another way: what older versions compiled is stale then."""

SUFFIXES = {"litert": ".tflite", "onnx": ".onnx"}

_DIGITS = 32  # of a digest's 64: enough that no two files meet, and names that fit a screen
_FORGOTTEN_SECONDS = 90 * 24 * 3600


def compiled(
    model: Path,
    kind: str,
    *,
    sha256: str | None = None,
    on_note: Callable[[str], object] = lambda note: None,
    folder: Path | None = None,
    build: Callable[[Path, str, Path], None] | None = None,
) -> Path:
    """The path of a model file compiled to `litert` or `onnx`, compiling it now if no good copy is kept.

    `sha256` is the model file's digest, where the caller has it. `folder` and
    `build`, a function of the model, the kind and the file to write, are for tests. Raises `EngineError`
    when the network cannot be compiled, `ModelFileError` when the model cannot be read.
    """
    folder = folder or user_cache_path("yolo3", appauthor=False)
    suffix = SUFFIXES[kind]
    try:
        digest = (sha256 or file_sha256(model))[:_DIGITS]
    except OSError as error:
        raise ModelFileError(f"{model}: cannot be read ({error.strerror})") from None
    stem = f"{digest}-{kind}-"
    for kept in folder.glob(f"{stem}{VERSION}-*{suffix}"):
        # Another process may be replacing it at this moment.
        with contextlib.suppress(OSError):
            if file_sha256(kept)[:_DIGITS] == kept.stem.rpartition("-")[2]:
                os.utime(kept)
                return kept
    on_note(f"compiling {model.name} for {'LiteRT' if kind == 'litert' else 'ONNX'}, once ...")
    folder = _writable(folder, on_note)
    fresh = folder / f".{digest}-{os.getpid()}-{time.monotonic_ns()}{suffix}"
    try:
        (build or _build)(model, kind, fresh)
        _forget(folder, stem)
        return fresh.replace(folder / f"{stem}{VERSION}-{file_sha256(fresh)[:_DIGITS]}{suffix}")
    except OSError as error:
        raise WorkError(f"{folder}: the compiled network could not be written ({error.strerror})") from None
    finally:
        fresh.unlink(missing_ok=True)


def _build(model: Path, kind: str, out: Path) -> None:
    """Compile in a process of its own: TensorFlow's half a gigabyte goes with it."""
    package = Path(__file__).parents[2]
    run = subprocess.run(
        [sys.executable, "-P", "-m", "detector.engines.compiling", model.resolve(), kind, out],
        env={
            **os.environ,
            "KERAS_BACKEND": "tensorflow",
            "PYTHONPATH": os.pathsep.join(filter(None, [str(package), os.environ.get("PYTHONPATH")])),
            "TF_CPP_MIN_LOG_LEVEL": "3",
        },
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        check=False,
    )
    if run.returncode:
        lines = run.stderr.strip().splitlines() or [f"it ended with {run.returncode}"]
        raise EngineError(f"{model}: cannot be compiled to {kind} ({lines[-1]}); --engine keras runs it")


def _writable(folder: Path, on_note: Callable[[str], object]) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if os.access(folder, os.W_OK):
            return folder
    except OSError:
        pass
    on_note(f"{folder}: cannot be written to, so the compiled network is not kept")
    return Path(tempfile.mkdtemp(prefix="yolo3-"))


def _forget(folder: Path, stem: str) -> None:
    """Delete stale and damaged copies of this network, and those of any that were not used for three months."""
    for kept in folder.iterdir():
        with contextlib.suppress(OSError):
            old = time.time() - kept.stat().st_mtime > _FORGOTTEN_SECONDS
            if kept.suffix in SUFFIXES.values() and (kept.name.startswith(stem) or old):
                kept.unlink()
