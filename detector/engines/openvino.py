<<<<<<< HEAD
"""Run networks with OpenVINO, an optional extra, from the file compiled for LiteRT."""
=======
"""OpenVINO, an optional extra; it reads the network that was compiled for LiteRT, or one of 8-bit integers."""
>>>>>>> bce7be3 (Networks run in bfloat16 or int8: made for pictures at hand, compared with floats, kept)

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from queue import SimpleQueue
from threading import Lock
from typing import Any, Literal

import numpy as np
import openvino
from numpy.typing import NDArray

from detector.engines.base import Engine, one_by_one
from detector.errors import EngineError

Precision = Literal["float", "bf16", "int8"]

_MOST_SHAPES = 4
"""Input sizes that get a compiled network of their own, which is faster than one for every size."""


class OpenVinoEngine(Engine):
<<<<<<< HEAD
    """A compiled network on the CPU; the first image of each input size takes longer."""
=======
    """A compiled network, on the CPU; the first picture of each input size takes longer.

    `compiled` is a file for LiteRT, or the bytes of OpenVINO's own .xml and .bin. `workers` pictures are run at a time
    and share the `threads`.
    """
>>>>>>> bce7be3 (Networks run in bfloat16 or int8: made for pictures at hand, compared with floats, kept)

    name = "openvino"

    def __init__(
        self,
        compiled: Path | tuple[bytes, bytes],
        *,
        threads: int,
        workers: int = 1,
        precision: Precision = "float",
    ) -> None:
        self.workers = workers
        self.precision = precision
        self._options = {
            "INFERENCE_NUM_THREADS": threads,
<<<<<<< HEAD
            "INFERENCE_PRECISION_HINT": "f32",  # otherwise bfloat16 on processors that have it, which changes boxes
=======
            # Without a hint, OpenVINO computes in bfloat16 where the processor can, which moves boxes. The integers of
            # an int8 network stay integers with any hint; the rest of it is float.
            "INFERENCE_PRECISION_HINT": "bf16" if precision == "bf16" else "f32",
>>>>>>> bce7be3 (Networks run in bfloat16 or int8: made for pictures at hand, compared with floats, kept)
            "PERFORMANCE_HINT": "LATENCY",
            "NUM_STREAMS": workers,
        }
        self._core = openvino.Core()
        self._free: dict[tuple[int, ...], SimpleQueue[Any]] = {}
        self._lock = Lock()
        try:
            self._model = self._read(compiled)
        except RuntimeError as error:
            what = compiled if isinstance(compiled, Path) else "the int8 network"
            raise EngineError(f"{what}: OpenVINO cannot open it ({_first_line(error)}); try --engine keras") from None

    def prepare(self, height: int, width: int, channels: int) -> None:
        """Compile for pictures of a size."""
        self._requests((1, height, width, channels))

    def run(self, batch: NDArray[np.float32]) -> Sequence[NDArray[np.float32]]:
<<<<<<< HEAD
        """Compute the raw heads, coarsest first."""
        with self._lock:
            return one_by_one(self._run, batch)

    def _run(self, picture: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        # The input is shared, because the array outlives the call; heads are copied, because the next image overwrites
        # them.
        heads = self._request.infer([picture], share_inputs=True, share_outputs=False)
        return [heads[index] for index in range(len(heads))]
=======
        """The raw heads, coarsest first."""
        return one_by_one(self._run, batch)

    def _run(self, picture: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        free = self._requests(picture.shape)
        request = free.get()
        try:
            # Shared in, because the array outlives the call; copied out, because the next picture overwrites the heads.
            heads = request.infer([picture], share_inputs=True, share_outputs=False)
            return [heads[index] for index in range(len(heads))]
        finally:
            free.put(request)

    def _requests(self, shape: tuple[int, ...]) -> SimpleQueue[Any]:
        """What runs pictures of a shape, one per worker. The first few shapes have their own, further ones share."""
        with self._lock:
            if shape not in self._free and len(self._free) >= _MOST_SHAPES:
                shape = ()
            if shape not in self._free:
                model = self._model
                if shape:
                    model = model.clone()
                    model.reshape(list(shape))
                network = self._compile(model)
                requests: SimpleQueue[Any] = SimpleQueue()
                for _ in range(self.workers):
                    requests.put(network.create_infer_request())
                self._free[shape] = requests
            return self._free[shape]

    def _compile(self, model: Any) -> Any:
        try:
            return self._core.compile_model(model, "CPU", self._options)
        except RuntimeError as error:
            raise EngineError(
                f"OpenVINO cannot compile the network ({_first_line(error)}); try --engine keras"
            ) from None

    def _read(self, compiled: Path | tuple[bytes, bytes]) -> Any:
        if isinstance(compiled, Path):
            return self._core.read_model(compiled)
        xml, weights = compiled
        tensor = (
            openvino.Tensor(np.frombuffer(weights, np.uint8)) if weights else openvino.Tensor(np.zeros(0, np.uint8))
        )
        return self._core.read_model(model=xml, weights=tensor)


def capabilities() -> frozenset[str]:
    """The number formats that OpenVINO computes fast on this processor, such as FP32, BF16 and INT8."""
    return frozenset(openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"))


def _first_line(error: Exception) -> str:
    """What OpenVINO says of an error, without the places in its source."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip() and not line.startswith("Exception from")]
    return lines[0][:200] if lines else type(error).__name__
>>>>>>> bce7be3 (Networks run in bfloat16 or int8: made for pictures at hand, compared with floats, kept)
