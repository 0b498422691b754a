"""OpenVINO, an optional extra; it reads the network that was compiled for LiteRT."""

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
    """A compiled network, on the CPU; the first picture of each input size takes longer."""

    name = "openvino"

    def __init__(self, compiled: Path, *, threads: int) -> None:
        options = {
            "INFERENCE_NUM_THREADS": threads,
            "INFERENCE_PRECISION_HINT": "f32",  # else bfloat16 on processors that have it: other boxes
            "PERFORMANCE_HINT": "LATENCY",
        }
        try:
            core = openvino.Core()
            self._request = core.compile_model(core.read_model(compiled), "CPU", options).create_infer_request()
        except RuntimeError as error:
            raise EngineError(f"{compiled}: OpenVINO cannot open it ({error}); try --engine keras") from None
        self._lock = Lock()

    def run(self, batch: NDArray[np.float32]) -> Sequence[NDArray[np.float32]]:
        """The raw heads, coarsest first."""
        with self._lock:
            return one_by_one(self._run, batch)

    def _run(self, picture: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        # Shared in, because the array outlives the call; copied out, because the next picture overwrites the heads.
        heads = self._request.infer([picture], share_inputs=True, share_outputs=False)
        return [heads[index] for index in range(len(heads))]
