"""Run compiled networks with LiteRT, TensorFlow's CPU runtime (XNNPACK), without TensorFlow."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from queue import SimpleQueue
from threading import Lock

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray

from convert.keras_import import held_back_stderr
from detector.engines.base import Engine, one_by_one
from detector.engines.mapped import drop_mapped
from detector.errors import EngineError

_allocating = Lock()
"""Standard error is redirected for the whole process."""


class LitertEngine(Engine):
    """A compiled network; the first image of each input size takes some milliseconds longer.

    `workers` images are run at a time, each with this many `threads`; further callers wait for a free worker.
    """

    name = "litert"

    def __init__(self, compiled: Path, *, threads: int, workers: int = 1) -> None:
        self.workers = workers
        self._free: SimpleQueue[_Interpreter] = SimpleQueue()
        for _ in range(workers):
            self._free.put(_Interpreter(compiled, threads))

    def prepare(self, height: int, width: int, channels: int) -> None:
        """Prepare for images of a size, which temporarily takes more memory than running them."""
        for _ in range(self._free.qsize()):
            interpreter = self._free.get()
            try:
                interpreter.prepare((1, height, width, channels))
            finally:
                self._free.put(interpreter)

    def run(self, batch: NDArray[np.float32]) -> Sequence[NDArray[np.float32]]:
        """Compute the raw heads, coarsest first."""
        interpreter = self._free.get()
        try:
            return one_by_one(interpreter.run, batch)
        finally:
            self._free.put(interpreter)


class _Interpreter:
    """An interpreter, which runs one image at a time."""

    announced = False
    """Whether LiteRT's C++ side has printed on standard error that it uses XNNPACK, which it does once."""

    def __init__(self, compiled: Path, threads: int) -> None:
        try:
            self._interpreter = Interpreter(str(compiled), num_threads=threads)
        except (ValueError, RuntimeError) as error:
            raise EngineError(f"{compiled}: LiteRT cannot open it ({error}); try --engine keras") from None
        (self._input,) = (tensor["index"] for tensor in self._interpreter.get_input_details())
        self._outputs = [tensor["index"] for tensor in self._interpreter.get_output_details()]
        self._file = compiled
        self._shape: tuple[int, ...] = ()

    def prepare(self, shape: tuple[int, ...]) -> None:
        """Prepare for images of a shape: (1, height, width, channels)."""
        if shape == self._shape:
            return
        self._shape = ()
        self._interpreter.resize_tensor_input(self._input, shape)
        with _allocating, nullcontext() if _Interpreter.announced else held_back_stderr():
            self._interpreter.allocate_tensors()
            _Interpreter.announced = True
        drop_mapped(self._file)  # XNNPACK has its own copy of the weights now
        self._shape = shape

    def run(self, picture: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        """Compute the raw heads of one image."""
        self.prepare(picture.shape)
        interpreter = self._interpreter
        interpreter.set_tensor(self._input, picture)
        interpreter.invoke()
        return [interpreter.get_tensor(output) for output in self._outputs]
