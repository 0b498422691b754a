"""Choose the engine that runs a model: the requested one, or the fastest installed."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass

from convert.opened_model import OpenedModel
from detector.engines.base import Engine, available_cores
from detector.errors import EngineError

PACKAGES = {
    "keras": "keras",
    "litert": "ai_edge_litert",
    "onnxruntime": "onnxruntime",
    "openvino": "openvino",
}
"""The module that each engine needs."""

OnNote = Callable[[str], object]


def ignore_note(note: str) -> None:
    """Take a note for the user and do nothing with it."""


@dataclass(frozen=True)
class Cores:
    """How an engine may use the processor."""

    threads: int
    """Threads in all."""

    workers: int = 1
    """Number of threads that run images at the same time; LiteRT and OpenVINO divide their threads among them."""


def open_engine(
    name: str,
    model: OpenedModel,
    *,
    threads: int | None = None,
    workers: int = 1,
    on_note: OnNote = ignore_note,
) -> Engine:
    """Open a model with the named engine; `auto` is LiteRT if it is installed, else Keras.

    `threads` is for the CPU, all of its cores by default. `workers` callers run images at the same time; LiteRT and
    OpenVINO divide the threads among them, other engines serve them one by one. `on_note` is called with the choice of
    `auto` and before anything slow. Raise `EngineError` for an engine that is not installed or cannot run this network.
    """
    cores = Cores(threads or available_cores(), workers)
    if name != "auto":
        return _open(name, model, cores, on_note)
    if not _installed("litert"):
        on_note("engine: keras (slower on a CPU than litert, which is not installed: pip install ai-edge-litert)")
        return _open("keras", model, cores, on_note)
    try:
        engine = _open("litert", model, cores, on_note)
    except EngineError as error:
        on_note(f"engine: keras (litert cannot run this network: {error})")
        return _open("keras", model, cores, on_note)
    on_note("engine: litert (of the engines that are always installed, the fastest to start and run on a CPU)")
    return engine


def _open(name: str, model: OpenedModel, cores: Cores, on_note: OnNote) -> Engine:
    if name not in PACKAGES:
        raise ValueError(f"there is no engine {name!r}")
    if not _installed(name):
        raise EngineError(f"engine {name} is not installed; pip install -e '.[{name}]', or leave --engine at auto")
    try:
        return _make(name, model, cores, on_note)
    except ImportError as error:
        raise EngineError(f"engine {name} is installed but does not start ({error}); try --engine keras") from None


def _make(name: str, model: OpenedModel, cores: Cores, on_note: OnNote) -> Engine:
    if name == "keras":
        from detector.engines.keras import KerasEngine

        return KerasEngine(model.path)
    from detector.engines.cache import compiled

    kind = "onnx" if name == "onnxruntime" else "litert"
    file = compiled(model.path, kind, sha256=model.sha256, on_note=on_note)
    if name == "onnxruntime":
        from detector.engines.onnxruntime import OnnxRuntimeEngine

        return OnnxRuntimeEngine(file, threads=cores.threads)
    if name == "openvino":
        from detector.engines.openvino import OpenVinoEngine

        return OpenVinoEngine(file, threads=cores.threads, workers=cores.workers)
    from detector.engines.litert import LitertEngine

    return LitertEngine(file, threads=max(1, cores.threads // cores.workers), workers=cores.workers)


def _installed(name: str) -> bool:
    return importlib.util.find_spec(PACKAGES[name]) is not None
