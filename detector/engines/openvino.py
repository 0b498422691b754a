"""Run networks with OpenVINO, an optional extra: the file compiled for LiteRT, or an int8 network."""

from __future__ import annotations

import mmap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue
from threading import Event, Lock, Thread
from typing import Any, Literal

import numpy as np
import openvino
from numpy.typing import NDArray

from detector.engines.base import Engine, one_by_one
from detector.engines.quantising import Network
from detector.errors import EngineError

Precision = Literal["float", "bf16", "int8"]

_MOST_SHAPES = 4
"""Number of input sizes with a separately compiled network, which is faster than one for every size."""

_PAUSE_SECONDS = 0.01


class OpenVinoEngine(Engine):
    """A compiled network on the CPU; the first image of each input size takes longer.

    `compiled` is a file for LiteRT, or an int8 network. `workers` images run at the same time and share the `threads`.
    """

    name = "openvino"

    def __init__(
        self,
        compiled: Path | Network,
        *,
        threads: int,
        workers: int = 1,
        precision: Precision = "float",
    ) -> None:
        self.workers = workers
        self.precision = precision
        self._options = {
            "INFERENCE_NUM_THREADS": threads,
            # Without a hint, OpenVINO computes in bfloat16 on processors that have it, which changes boxes. The hint is
            # for what an int8 network leaves in floats.
            "INFERENCE_PRECISION_HINT": "bf16" if precision == "bf16" else "f32",
            "PERFORMANCE_HINT": "LATENCY",
            "NUM_STREAMS": workers,
        }
        self._core = openvino.Core()
        self._free: dict[tuple[int, ...], SimpleQueue[Any]] = {}
        self._lock = Lock()
        self._network: Network | None = None
        try:
            self._model = self._read(compiled)
        except RuntimeError as error:
            what = compiled if isinstance(compiled, Path) else "the int8 network"
            raise EngineError(f"{what}: OpenVINO cannot open it ({_first_line(error)}); try --engine keras") from None

    def prepare(self, height: int, width: int, channels: int) -> None:
        """Compile for images of a size."""
        self._requests((1, height, width, channels))

    def run(self, batch: NDArray[np.float32]) -> Sequence[NDArray[np.float32]]:
        """Compute the raw heads, coarsest first."""
        return one_by_one(self._run, batch)

    def _run(self, picture: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        free = self._requests(picture.shape)
        request = free.get()
        try:
            # The input is shared, because the array outlives the call; heads are copied, because the next image
            # overwrites them.
            heads = request.infer([picture], share_inputs=True, share_outputs=False)
            return [heads[index] for index in range(len(heads))]
        finally:
            free.put(request)

    def _requests(self, shape: tuple[int, ...]) -> SimpleQueue[Any]:
        """Return the requests for images of a shape, one per worker; all shapes after the first few share theirs."""
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
            with _dropping_pages(self._network.mapping if self._network else None):
                return self._core.compile_model(model, "CPU", self._options)
        except RuntimeError as error:
            raise EngineError(f"OpenVINO cannot compile it ({_first_line(error)}); try --engine keras") from None

    def _read(self, compiled: Path | Network) -> Any:
        if isinstance(compiled, Path):
            return self._core.read_model(compiled)
        self._network = compiled  # its memory is shared
        weights = openvino.Tensor(compiled.weights, shared_memory=True)
        return self._core.read_model(model=compiled.xml, weights=weights)


@contextmanager
def _dropping_pages(mapping: mmap.mmap | None) -> Iterator[None]:
    """Drop the pages of a mapped file again and again while OpenVINO packs weights out of them, each of them once.

    Otherwise, the process would hold all weights twice: 62 MB more for YOLOv3.
    """
    drop = getattr(mmap, "MADV_DONTNEED", None)
    if mapping is None or drop is None:
        yield
        return
    done = Event()

    def run() -> None:
        while not done.wait(_PAUSE_SECONDS):
            mapping.madvise(drop)

    thread = Thread(target=run, name="yolo3-pages")
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
        mapping.madvise(drop)


def capabilities() -> frozenset[str]:
    """Return the number formats that OpenVINO computes fast on this processor, such as FP32, BF16 and INT8."""
    return frozenset(openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"))


def _first_line(error: Exception) -> str:
    """Return the message of an error without the places in OpenVINO's source."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip() and not line.startswith("Exception from")]
    return lines[0][:200] if lines else type(error).__name__
