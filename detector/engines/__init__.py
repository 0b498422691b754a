"""Engines: what runs a network. An input array goes in, the raw heads come out.

    keras         the .h5 as Keras runs it: the reference, and the one for a GPU
    litert        the network compiled for TensorFlow's CPU runtime: starts and runs several times as fast
    openvino      the same compiled network, run by OpenVINO
    onnxruntime   the network as ONNX, run by ONNX Runtime

All but `keras` compile a network once and keep the result in the user's cache folder (`cache`, `compiling`).
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from detector.errors import EngineError

PACKAGES = {
    "keras": "keras",
    "litert": "ai_edge_litert",
    "onnxruntime": "onnxruntime",
    "openvino": "openvino",
}
"""Engine -> the module that it cannot do without."""


class Engine(Protocol):
    """Anything that runs one network."""

    name: str

    def run(self, batch: NDArray[np.float32]) -> Sequence[NDArray[np.float32]]:
        """From (batch, height, width, 3) in 0..1 to the raw heads, coarsest first, each NHWC."""


def open_engine(
    name: str,
    model: Path,
    *,
    threads: int | None = None,
    workers: int = 1,
    on_note: Callable[[str], None] = lambda note: None,
) -> Engine:
    """Open a model file with the named engine; `auto` is LiteRT where it is installed, else Keras.

    `threads` is for the CPU, all of its cores by default; LiteRT shares them out among as many `workers`, each of which
    runs a picture of its own. `on_note` is called with what `auto` picked and with anything
    that takes long. Raises `EngineError` for an engine that is not installed or cannot run this network.
    """
    if name != "auto":
        return _open(name, model, threads, workers, on_note)
    if not _installed("litert"):
        on_note("engine: keras (slower on a CPU than litert, which is not installed: pip install ai-edge-litert)")
        return _open("keras", model, threads, workers, on_note)
    try:
        engine = _open("litert", model, threads, workers, on_note)
    except EngineError as error:
        on_note(f"engine: keras (litert cannot run this network: {error})")
        return _open("keras", model, threads, workers, on_note)
    on_note("engine: litert (the fastest to start and run on a CPU of those that are always installed)")
    return engine


def _open(name: str, model: Path, threads: int | None, workers: int, on_note: Callable[[str], None]) -> Engine:
    if name not in PACKAGES:
        raise ValueError(f"no engine is called {name!r}")
    if not _installed(name):
        raise EngineError(f"engine {name} is not installed; pip install -e '.[{name}]', or leave --engine at auto")
    try:
        return _make(name, model, threads or available_cores(), workers, on_note)
    except ImportError as error:
        raise EngineError(f"engine {name} is installed but does not start ({error}); try --engine keras") from None


def _make(name: str, model: Path, threads: int, workers: int, on_note: Callable[[str], None]) -> Engine:
    if name == "keras":
        from detector.engines.keras import KerasEngine

        return KerasEngine(model)
    from detector.engines.cache import compiled

    if name == "onnxruntime":
        from detector.engines.onnxruntime import OnnxRuntimeEngine

        return OnnxRuntimeEngine(compiled(model, "onnx", on_note=on_note), threads=threads)
    if name == "openvino":
        from detector.engines.openvino import OpenVinoEngine

        return OpenVinoEngine(compiled(model, "litert", on_note=on_note), threads=threads)
    from detector.engines.litert import LitertEngine

    return LitertEngine(compiled(model, "litert", on_note=on_note), threads=max(1, threads // workers), workers=workers)


def _installed(name: str) -> bool:
    return importlib.util.find_spec(PACKAGES[name]) is not None


def available_cores() -> int:
    """The cores that this process may use, which a container or `taskset` can make fewer than there are."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def one_by_one(
    run: Callable[[NDArray[np.float32]], list[NDArray[np.float32]]], batch: NDArray[np.float32]
) -> list[NDArray[np.float32]]:
    """A batch through a function that takes one picture, (1, height, width, 3): on a CPU no slower than at once."""
    if len(batch) == 1:
        return run(batch)
    return [np.concatenate(heads) for heads in zip(*(run(batch[i : i + 1]) for i in range(len(batch))), strict=True)]
