"""Run networks with OpenVINO, an optional extra, from the file compiled for LiteRT."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from threading import Lock

import numpy as np
import openvino
from numpy.typing import NDArray

from detector.engines.base import Engine, one_by_one
from detector.errors import EngineError


class OpenVinoEngine(Engine):
    """A compiled network on the CPU; the first image of each input size takes longer."""

    name = "openvino"

    def __init__(self, compiled: Path, *, threads: int) -> None:
        options = {
            "INFERENCE_NUM_THREADS": threads,
            "INFERENCE_PRECISION_HINT": "f32",  # otherwise bfloat16 on processors that have it, which changes boxes
            "PERFORMANCE_HINT": "LATENCY",
        }
        try:
            core = openvino.Core()
            self._request = core.compile_model(core.read_model(compiled), "CPU", options).create_infer_request()
        except RuntimeError as error:
            raise EngineError(f"{compiled}: OpenVINO cannot open it ({error}); try --engine keras") from None
        self._lock = Lock()

    def run(self, batch: NDArray[np.float32]) -> Sequence[NDArray[np.float32]]:
        """Compute the raw heads, coarsest first."""
        with self._lock:
            return one_by_one(self._run, batch)

    def _run(self, picture: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        # The input is shared, because the array outlives the call; heads are copied, because the next image overwrites
        # them.
        heads = self._request.infer([picture], share_inputs=True, share_outputs=False)
        return [heads[index] for index in range(len(heads))]
