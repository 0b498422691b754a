"""Live cameras: opened while somebody watches, and shown to all who do."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import CancelledError
from dataclasses import dataclass
from time import monotonic
from types import TracebackType
from typing import Any

import cv2
import numpy as np

from convert.errors import Yolo3Error
from detector.detections import Detections
from detector.detector import Detector
from detector.pipeline.annotate_video import draw_boxes
from detector.pipeline.camera_file import CameraEntry
from detector.pipeline.loop import LoopOptions, run
from detector.service.models import Models, OpenNetwork
from detector.service.request_errors import RequestError, busy
from detector.video.frames import Frame, Sink
from detector.video.reading.cameras import open_camera

MOST_VIEWERS = 32
"""Of one camera."""

_IDLE_SECONDS = 5.0
_RETRY_SECONDS = 2.0
_JPEG_QUALITY = 80
_WAIT_SECONDS = 1.0


@dataclass(frozen=True)
class Shown:
    """The newest frame of a camera."""

    number: int
    jpeg: bytes
    fields: dict[str, Any]
    """Its time, size and detections, for JSON."""


class LiveCamera:
    """One camera; opened by its first viewer, and closed some seconds after its last has left."""

    def __init__(self, entry: CameraEntry, models: Models, *, on_note: Callable[[str], object]) -> None:
        self.entry = entry
        self.viewers = 0
        self.trouble: str | None = None
        """Why there is no picture."""
        self.newest: Shown | None = None
        self._models = models
        self._on_note = on_note
        self._changed = asyncio.Event()
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()
        self._left = monotonic()

    async def watch(self, stopping: asyncio.Event) -> AsyncIterator[Shown | None]:
        """Each new frame, or None after a second without one, until the server stops. Raises `RequestError`."""
        if self.viewers >= MOST_VIEWERS:
            raise busy("too many watch this camera", after_seconds=10)
        self.viewers += 1
        try:
            await self._begin()
            seen = 0
            while not stopping.is_set():
                newest = self.newest
                if newest is not None and newest.number != seen:
                    seen = newest.number
                    yield newest
                    continue
                self._changed.clear()
                try:
                    await asyncio.wait_for(self._changed.wait(), _WAIT_SECONDS)
                except TimeoutError:
                    yield None
                    await self._begin()
        finally:
            self.viewers -= 1
            self._left = monotonic()

    def stop(self) -> None:
        """Close the camera; returns when its thread has ended."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    async def _begin(self) -> None:
        """Start the thread unless it runs."""
        if self._thread is not None and self._thread.is_alive():
            return
        network = await self._models.open(self._models.detecting(self.entry.model))
        detector = network.detector(self.entry.settings)
        loop = asyncio.get_running_loop()
        if self._stop.is_set() or (self._thread is not None and self._thread.is_alive()):
            return
        self._thread = threading.Thread(
            target=self._run, args=(detector, network, loop), name=f"camera-{self.entry.name}", daemon=True
        )
        self._thread.start()

    def _run(self, detector: Detector, network: OpenNetwork, loop: asyncio.AbstractEventLoop) -> None:
        """The camera's thread: the ordinary loop, again after each loss, while somebody watches."""

        def done() -> bool:
            return self._stop.is_set() or (self.viewers == 0 and monotonic() - self._left > _IDLE_SECONDS)

        found = Detections.empty(detector.names)

        def detect(frame: Frame) -> Detections:
            nonlocal found
            waiting = asyncio.run_coroutine_threadsafe(network.queue.run(lambda: detector.detect_frame(frame)), loop)
            while not done():
                try:
                    found = waiting.result(_WAIT_SECONDS)
                    break
                except (RequestError, CancelledError):
                    break  # too many pictures wait: the boxes stay where they were
                except TimeoutError:
                    continue
            return found

        options = LoopOptions(annotate=draw_boxes, buffer="latest", interrupted=done)
        while not done():
            try:
                with open_camera(self.entry.source, on_note=lambda note: None) as source:
                    self.trouble = None
                    run(source, detect, [_Broadcast(self, loop)], options)
            except Yolo3Error as error:
                if self.trouble is None:
                    self._on_note(f"camera {self.entry.name}: {error}")
                self.trouble = "the camera cannot be reached; it is tried again"
            self._stop.wait(_RETRY_SECONDS if not done() else 0)
        self.newest = None

    def show(self, shown: Shown, loop: asyncio.AbstractEventLoop) -> None:
        """Take the newest frame; called from the camera's thread."""
        self.newest = shown
        loop.call_soon_threadsafe(self._changed.set)


class _Broadcast(Sink):
    """Shows each frame to all who watch."""

    def __init__(self, camera: LiveCamera, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self._camera = camera
        self._loop = loop

    def write(self, frame: Frame, detections: Detections) -> None:
        """Encode the frame once for everybody."""
        bgr = np.ascontiguousarray(frame.picture[..., ::-1])
        _, encoded = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
        width, height = frame.size
        fields = {
            "frame": frame.index,
            "time": round(float(frame.time), 6),
            "width": width,
            "height": height,
            "detections": detections.as_records(),
        }
        before = self._camera.newest
        number = 1 if before is None else before.number + 1
        self._camera.show(Shown(number, encoded.tobytes(), fields), self._loop)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing is left to be done."""
