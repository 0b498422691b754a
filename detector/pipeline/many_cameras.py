"""Watch the cameras of a file day and night: what dies is started again, and metrics say how each is doing."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from threading import Event, Lock, Thread
from time import monotonic
from types import TracebackType

from convert.files import make_folder
from convert.opened_model import OpenedModel
from detector.detections import Detections
from detector.detector import Detector
from detector.errors import Yolo3Error
from detector.pipeline.annotate_video import OpenDetector
from detector.pipeline.camera_file import CameraEntry
from detector.pipeline.metrics import Metrics
from detector.pipeline.outputs import OnNote, Outputs, ignore_note
from detector.pipeline.signals import signals_noted
from detector.pipeline.watch import CameraOptions, watch_source
from detector.profiling import Stopwatch
from detector.settings import Settings
from detector.video.frames import Detect, Frame, Gap, Sink
from detector.video.reading.cameras import TIMEOUT_SECONDS
from detector.video.status import RunStatus
from detector.video.writing.codecs import USUAL, VideoSettings

_FIRST_PAUSE_SECONDS = 1.0
_LONGEST_PAUSE_SECONDS = 60.0
_HEALTHY_SECONDS = 60.0
"""After so long without a failure the next pause is a short one again."""

_RATE_SECONDS = 10.0
_POLL_SECONDS = 0.2


@dataclass(frozen=True)
class ManyCamerasOptions:
    """Which cameras to watch, and what to write."""

    cameras: Sequence[CameraEntry]
    models: Mapping[str, Path]
    """The model file of each camera, by the camera's name."""
    logs: Path | None = None
    """Folder for the logs, one for each start of a camera: NAME-20261121T235959Z.jsonl."""
    videos: Path | None = None
    """Folder for the recordings, named alike."""
    encoding: VideoSettings = field(default_factory=lambda: USUAL)
    timeout_seconds: float = TIMEOUT_SECONDS


class CameraState:
    """How one camera is doing; read and written by several threads."""

    def __init__(self, name: str, clock: Callable[[], float] = monotonic) -> None:
        self.name = name
        self.up = False
        """Whether it delivers frames."""
        self.ended = False
        """Whether its source has come to its end, or the run was interrupted."""
        self._clock = clock
        self._last = clock()
        self._recent: deque[float] = deque()
        self._lock = Lock()

    def count(self) -> None:
        """Count a frame."""
        now = self._clock()
        with self._lock:
            self.up, self._last = True, now
            self._recent.append(now)
            self._forget(now)

    @property
    def age_seconds(self) -> float:
        """Seconds since the last frame, or since the beginning."""
        return self._clock() - self._last

    @property
    def frames_per_second(self) -> float:
        """Frames of the last ten seconds, per second."""
        with self._lock:
            self._forget(self._clock())
            return len(self._recent) / _RATE_SECONDS

    def _forget(self, now: float) -> None:
        while self._recent and now - self._recent[0] > _RATE_SECONDS:
            self._recent.popleft()


class ManyCameras:
    """Watches each camera in a thread; cameras with the same model and settings share a detector."""

    def __init__(
        self,
        options: ManyCamerasOptions,
        *,
        on_note: OnNote = ignore_note,
        open_detector: OpenDetector = Detector.open,
    ) -> None:
        self.states = [CameraState(entry.name) for entry in options.cameras]
        self.metrics = Metrics()
        for name, text in (
            ("frames", "Frames that were processed"),
            ("boxes", "Boxes that were found"),
            ("gaps", "Interruptions of a source that came back"),
            ("gap_seconds", "Duration of these interruptions"),
            ("restarts", "Starts of a camera after a failure"),
        ):
            self.metrics.describe(f"yolo3_camera_{name}_total", "counter", f"{text}.")
        for name, text in (
            ("up", "Whether a camera delivers frames"),
            ("frames_per_second", "Frames per second, of the last ten seconds"),
            ("last_frame_age_seconds", "Seconds since the last frame"),
        ):
            self.metrics.describe(f"yolo3_camera_{name}", "gauge", f"{text}.")
        self._options = options
        self._on_note = on_note
        self._open = open_detector
        self._detectors: dict[tuple[Path, Settings], tuple[OpenedModel, Detect]] = {}
        self._pressed: list[int] = []
        self._wake = Event()

    def text(self) -> str:
        """Return the metrics for Prometheus."""
        states = [({"camera": state.name}, state) for state in self.states]
        return self.metrics.text(
            {
                "yolo3_camera_up": [(labels, float(state.up)) for labels, state in states],
                "yolo3_camera_frames_per_second": [(labels, state.frames_per_second) for labels, state in states],
                "yolo3_camera_last_frame_age_seconds": [(labels, state.age_seconds) for labels, state in states],
            }
        )

    def run(self) -> None:
        """Watch until Ctrl-C, or until every source has ended. Raise the errors of opening the models."""
        options = self._options
        for folder in (options.logs, options.videos):
            if folder is not None:
                make_folder(folder)
        for entry in options.cameras:
            self._detector_of(entry)
        threads = [
            Thread(target=self._keep_watching, args=pair, name=f"camera-{pair[0].name}")
            for pair in zip(options.cameras, self.states, strict=True)
        ]
        with signals_noted(self._pressed):
            for thread in threads:
                thread.start()
            while not self._pressed and not all(state.ended for state in self.states):
                self._wake.wait(_POLL_SECONDS)
            self._wake.set()
            for thread in threads:
                thread.join()

    def stop(self) -> None:
        """End the run soon, as Ctrl-C does; called from another thread."""
        self._pressed.append(0)

    def _keep_watching(self, entry: CameraEntry, state: CameraState) -> None:
        """The thread of one camera."""
        pause = _FIRST_PAUSE_SECONDS
        while not self._pressed:
            began, trouble = monotonic(), ""
            try:
                if self._watch(entry, state) is RunStatus.COMPLETE:
                    break
            except Yolo3Error as error:
                trouble = str(error)
            except Exception as error:  # noqa: BLE001 - a fault of one camera must not end the others
                trouble = f"{type(error).__name__}: {error}"
            state.up = False
            if self._pressed:
                break
            pause = _FIRST_PAUSE_SECONDS if monotonic() - began > _HEALTHY_SECONDS else pause
            self._on_note(f"camera {entry.name}: {trouble or 'it broke off'}; started again in {pause:g} s")
            self.metrics.count("yolo3_camera_restarts_total", camera=entry.name)
            self._wake.wait(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
        state.up, state.ended = False, True

    def _watch(self, entry: CameraEntry, state: CameraState) -> RunStatus:
        options = self._options
        name = f"{entry.name}-{datetime.now(UTC):%Y%m%dT%H%M%S%fZ}"
        outputs = Outputs(
            options.videos / f"{name}.mp4" if options.videos else None,
            options.logs / f"{name}.jsonl" if options.logs else None,
            options.encoding,
        )
        model, detect = self._detector_of(entry)
        given = CameraOptions(
            (entry.source,), model.path, entry.settings, outputs, window=False, timeout_seconds=options.timeout_seconds
        )
        result = watch_source(
            given,
            model,
            detect,
            sinks=[_Counter(self.metrics, state)],
            interrupted=lambda: bool(self._pressed),
            on_note=lambda note: self._on_note(f"camera {entry.name}: {note}"),
        )
        return result.status

    def _detector_of(self, entry: CameraEntry) -> tuple[OpenedModel, Detect]:
        """Return the model and the detector of a camera; one frame is in it at a time."""
        path = self._options.models[entry.name]
        known = self._detectors.get((path, entry.settings))
        if known is None:
            model, turn = OpenedModel.read(path), Lock()
            detector = self._open(model, entry.settings, on_note=ignore_note, stopwatch=Stopwatch(), workers=1)

            def detect(frame: Frame) -> Detections:
                with turn:
                    return detector.detect_frame(frame)

            known = self._detectors[path, entry.settings] = (model, detect)
        return known


class _Counter(Sink):
    """Counts frames, boxes and gaps."""

    def __init__(self, metrics: Metrics, state: CameraState) -> None:
        super().__init__()
        self._metrics = metrics
        self._state = state

    def write(self, frame: Frame, detections: Detections) -> None:
        """Count a frame."""
        self._state.count()
        self._metrics.count("yolo3_camera_frames_total", camera=self._state.name)
        self._metrics.count("yolo3_camera_boxes_total", len(detections), camera=self._state.name)

    def on_gap(self, gap: Gap) -> None:
        """Count an interruption."""
        self._metrics.count("yolo3_camera_gaps_total", camera=self._state.name)
        self._metrics.count("yolo3_camera_gap_seconds_total", gap.seconds, camera=self._state.name)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing is left to be done."""
