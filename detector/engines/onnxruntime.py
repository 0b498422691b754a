"""Run networks with ONNX Runtime, an optional extra."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from detector.engines.base import Engine, one_by_one
from detector.errors import EngineError


class OnnxRuntimeEngine(Engine):
    """A network as ONNX, on the CPU."""

    name = "onnxruntime"

    def __init__(self, compiled: Path, *, threads: int) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(compiled, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # noqa: BLE001  (its errors share no base class)
            raise EngineError(f"{compiled}: ONNX Runtime cannot open it ({error}); try --engine keras") from None
        (self._input,) = (tensor.name for tensor in self._session.get_inputs())

    def run(self, batch: NDArray[np.float32]) -> Sequence[NDArray[np.float32]]:
        """Compute the raw heads, coarsest first."""
        return one_by_one(self._run, batch)

    def _run(self, picture: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        planes = np.ascontiguousarray(picture.transpose(0, 3, 1, 2))
        heads: list[NDArray[np.float32]] = self._session.run(None, {self._input: planes})
        return heads
