"""What all requests share: settings, models, memory, what is counted."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from importlib.util import find_spec

from detector.errors import SettingsError
from detector.pipeline.camera_file import read_cameras
from detector.pipeline.metrics import Metrics
from detector.service.cameras import LiveCamera
from detector.service.job_store import JobStore
from detector.service.jobs import Jobs
from detector.service.model_queue import ModelQueue
from detector.service.models import Models
from detector.service.settings import ServiceSettings
from detector.service.uploads import Memory
from detector.settings import Settings


@dataclass
class Service:
    """One running service."""

    settings: ServiceSettings
    models: Models
    metrics: Metrics
    memory: Memory
    on_note: Callable[[str], None]
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the server begins to stop, so that streams end."""
    explaining: ModelQueue = field(default_factory=lambda: ModelQueue("explain", workers=1, limit=8))
    """Heat maps, one at a time: they take a gradient through Keras."""

    @classmethod
    def of(cls, settings: ServiceSettings, *, on_note: Callable[[str], None]) -> Service:
        """The service of these settings; its models are read, none is open."""
        metrics = new_metrics()

        def on_done(model: str, waited: float, ran: float) -> None:
            metrics.observe("yolo3_model_wait_seconds", waited, model=model)
            metrics.observe("yolo3_model_run_seconds", ran, model=model)

        models = Models(settings.models, queue=settings.limits.queue, on_done=on_done, on_note=on_note)
        return cls(settings, models, metrics, Memory(settings.limits.shared_bytes), on_note)

    @cached_property
    def jobs(self) -> Jobs:
        """The video jobs."""
        return Jobs(
            JobStore(self.settings.data),
            limit=self.settings.limits.jobs,
            keep_seconds=self.settings.keep_hours * 3600,
            on_note=self.on_note,
        )

    @cached_property
    def cameras(self) -> dict[str, LiveCamera]:
        """The live cameras by name. Raises `SettingsError` for a file that lists them wrongly."""
        path = self.settings.cameras
        entries = {} if path is None else read_cameras(path, Settings())
        for entry in entries.values():
            if entry.model is not None and entry.model not in {model.name for model in self.models if model.detects}:
                raise SettingsError(f"{path}: camera {entry.name!r} names model {entry.model!r}, which is not served")
        return {name: LiveCamera(entry, self.models, on_note=self.on_note) for name, entry in entries.items()}

    @property
    def ready(self) -> bool:
        """Whether the default model is open."""
        opened = self.models.default.opened
        return opened is not None and opened.done() and not opened.cancelled() and opened.exception() is None

    def info(self) -> dict[str, object]:
        """What a client may ask for."""
        limits = self.settings.limits
        return {
            "urls": self.settings.allow_urls,
            "tracking": find_spec("trackers") is not None,
            "cameras": list(self.cameras),
            "picture_bytes": limits.picture_bytes,
            "video_bytes": limits.video_bytes,
            "video_seconds": limits.video_seconds,
        }

    def gauges(self) -> dict[str, list[tuple[dict[str, str], float]]]:
        """What is measured when it is asked for."""
        return {
            "yolo3_model_waiting": [({"model": name}, count) for name, count in self.models.waiting().items()],
            "yolo3_upload_bytes": [({}, self.memory.taken)],
            "yolo3_camera_viewers": [({"camera": name}, one.viewers) for name, one in self.cameras.items()],
            "yolo3_jobs": [({"state": state}, count) for state, count in self.jobs.counts().items()],
        }

    async def start(self) -> None:
        """Begin what runs beside the requests."""
        await self.jobs.start()

    async def stop(self) -> None:
        """Finish what is under way."""
        self.stopping.set()
        for camera in self.cameras.values():
            await asyncio.to_thread(camera.stop)
        await self.jobs.stop()
        await asyncio.to_thread(self.models.close)
        await asyncio.to_thread(self.explaining.close)


def new_metrics() -> Metrics:
    """The metrics of a service, each with what it means."""
    metrics = Metrics()
    for name, kind, text in (
        ("yolo3_requests_total", "counter", "Requests answered."),
        ("yolo3_request_seconds", "histogram", "From the first byte of a request to the last of its answer."),
        ("yolo3_model_wait_seconds", "histogram", "How long pictures waited for their model."),
        ("yolo3_model_run_seconds", "histogram", "How long a model took for a picture, decoding included."),
        ("yolo3_model_waiting", "gauge", "Pictures that wait for a model."),
        ("yolo3_upload_bytes", "gauge", "Bytes of large uploads in memory."),
        ("yolo3_jobs", "gauge", "Video jobs by state."),
        ("yolo3_camera_viewers", "gauge", "Clients that watch a camera."),
    ):
        metrics.describe(name, kind, text)
    return metrics
