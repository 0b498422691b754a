"""Run one or several live cameras and streams through a detector."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Event, Lock, Thread
from typing import Literal

from convert.files import lock_outputs
from convert.opened_model import OpenedModel
from detector.detections import Detections
from detector.detector import Detector
from detector.drawing.boxes import draw_caption
from detector.errors import CameraError, Yolo3Error
from detector.logs.frame_log import FrameLog
from detector.pipeline.annotate_video import OpenDetector, draw_boxes, run_record
from detector.pipeline.live_tracking import TrackingOptions, live_tracking
from detector.pipeline.loop import LoopOptions, RunResult, run
from detector.pipeline.outputs import Bar, OnNote, Outputs, ignore_note
from detector.pipeline.signals import signals_noted
from detector.profiling import Stopwatch
from detector.settings import Settings
from detector.tracking.frame_skipping import EVERY_FRAME, FrameSkipping, FrameSkippingDetector
from detector.video.frames import Detect, Frame, Sink, VideoInfo
from detector.video.reading.cameras import TIMEOUT_SECONDS, open_camera
from detector.video.status import KeepEarlier
from detector.video.writing.video_writer import VideoWriter
from detector.video.writing.window import Window

_POLL_SECONDS = 0.2


@dataclass(frozen=True)
class CameraOptions:
    """Which cameras to watch, with which model, and what to write."""

    cameras: tuple[str, ...]
    """Indices, addresses, or video files played in real time."""

    model: Path
    settings: Settings
    outputs: Outputs = field(default_factory=Outputs)
    """The outputs; of several cameras, the first writes `OUT-1.mp4` and so on."""

    skipping: FrameSkipping = EVERY_FRAME
    tracking: TrackingOptions = field(default_factory=TrackingOptions)
    window: bool = True
    buffer: Literal["latest", "all"] = "latest"
    """Whether frames that arrive while the detector is busy are dropped in favour of newer ones."""

    timeout_seconds: float = TIMEOUT_SECONDS
    """Seconds without a frame after which a stream is lost; it is opened again until the run ends."""


def watch_camera(
    options: CameraOptions, *, bar: Bar, on_note: OnNote = ignore_note, open_detector: OpenDetector = Detector.open
) -> RunResult:
    """Detect in one live source until it ends, its window is closed, or Ctrl-C.

    `on_note` gets the notes of `open_detector`, and a line when the source is lost and when it is back. Raise
    `CameraError`, which says why a camera does not open.
    """
    (camera,) = options.cameras
    outputs = options.outputs
    screen = Window(f"yolo3: {camera}", caption=draw_caption) if options.window else None
    stopwatch = Stopwatch()
    with (
        open_camera(camera, timeout_seconds=options.timeout_seconds, on_note=on_note) as source,
        lock_outputs(*outputs.paths),
    ):
        outputs.refuse_model(options.model)
        model = OpenedModel.read(options.model)
        sinks = _files(source.info, model, options, outputs, stopwatch)
        if screen:
            sinks.append(screen)
        shown = screen is not None or outputs.video is not None
        with (
            _drawing(options.tracking, source.info, model, outputs, on_note, draws=shown) as drawing,
            bar(None) as progress,
        ):
            detector = open_detector(model, options.settings, on_note=on_note, stopwatch=stopwatch, workers=1)
            detector.prepare(source.info)
            loop = replace(
                drawing,
                progress=progress,
                stop=(lambda: screen.closed) if screen else (lambda: False),
                buffer=options.buffer,
                stopwatch=stopwatch,
            )
            return run(source, _detect(detector.detect_frame, options.skipping), sinks, loop)


def watch_cameras(
    options: CameraOptions, *, bar: Bar, on_note: OnNote = ignore_note, open_detector: OpenDetector = Detector.open
) -> list[RunResult | Yolo3Error]:
    """Detect in several live sources at once with one detector, until all have ended or Ctrl-C.

    The result of a source that fails is its error, and the others continue.
    """
    model = OpenedModel.read(options.model)
    detector = open_detector(model, options.settings, on_note=ignore_note, stopwatch=Stopwatch(), workers=1)
    turn = Lock()

    def detect(frame: Frame) -> Detections:
        with turn:
            return detector.detect_frame(frame)

    results: list[RunResult | Yolo3Error] = [CameraError(f"{camera}: was not opened") for camera in options.cameras]
    done = [Event() for _ in options.cameras]
    pressed: list[int] = []

    def watch(number: int) -> None:
        try:
            results[number] = _watch_one(number, model, options, detect, bar, on_note, pressed)
        except Yolo3Error as error:
            results[number] = error
            on_note(str(error))
        finally:
            done[number].set()

    threads = [Thread(target=watch, args=(number,), name=f"camera-{number + 1}") for number in range(len(done))]
    with signals_noted(pressed):
        for thread in threads:
            thread.start()
        while not all(event.wait(_POLL_SECONDS) for event in done):
            pass
    for thread in threads:
        thread.join()
    return results


def watch_source(
    options: CameraOptions,
    model: OpenedModel,
    detect: Detect,
    *,
    sinks: Sequence[Sink] = (),
    interrupted: Callable[[], bool],
    on_note: OnNote = ignore_note,
) -> RunResult:
    """Detect in one live source with a detector that is open already, without a window or tracks.

    `sinks` get the frames after those of the options. Raise as `watch_camera` does.
    """
    (camera,) = options.cameras
    outputs = options.outputs
    with (
        open_camera(camera, timeout_seconds=options.timeout_seconds, on_note=on_note) as source,
        lock_outputs(*outputs.paths),
    ):
        outputs.refuse_model(options.model)
        files = _files(source.info, model, options, outputs, Stopwatch())
        annotate = draw_boxes if outputs.video is not None else None
        loop = LoopOptions(annotate=annotate, buffer=options.buffer, interrupted=interrupted)
        return run(source, _detect(detect, options.skipping), [*files, *sinks], loop)


def _watch_one(
    number: int,
    model: OpenedModel,
    options: CameraOptions,
    detect: Detect,
    bar: Bar,
    on_note: OnNote,
    pressed: list[int],
) -> RunResult:
    """One of several cameras, in a separate thread."""
    outputs = options.outputs.numbered(number + 1)
    camera = options.cameras[number]
    with (
        open_camera(camera, timeout_seconds=options.timeout_seconds, on_note=on_note) as source,
        lock_outputs(*outputs.paths),
    ):
        outputs.refuse_model(options.model)
        sinks = _files(source.info, model, options, outputs, Stopwatch())
        tracking = options.tracking.numbered(number + 1)
        shown = outputs.video is not None
        with _drawing(tracking, source.info, model, outputs, on_note, draws=shown) as drawing, bar(None) as progress:
            loop = replace(drawing, progress=progress, buffer=options.buffer, interrupted=lambda: bool(pressed))
            return run(source, _detect(detect, options.skipping), sinks, loop)


@contextmanager
def _drawing(
    options: TrackingOptions, info: VideoInfo, model: OpenedModel, outputs: Outputs, on_note: OnNote, *, draws: bool
) -> Iterator[LoopOptions]:
    """Yield the part of a loop's options that tracks objects and draws."""
    options.check_live()
    if options.everything_off:
        yield LoopOptions(annotate=draw_boxes if draws else None)
        return
    inputs = (model.path, *outputs.paths)
    names = model.description.names
    with live_tracking(
        options, info, names, inputs=inputs, overwrite=outputs.overwrite, on_note=on_note, draws=draws
    ) as tracking:
        yield LoopOptions(annotate=tracking.annotate if draws else None, refine=tracking.refine)


def _detect(detect: Detect, skipping: FrameSkipping) -> Detect:
    return detect if skipping.everything else FrameSkippingDetector(detect, skipping)


def _files(
    info: VideoInfo, model: OpenedModel, options: CameraOptions, outputs: Outputs, stopwatch: Stopwatch
) -> list[Sink]:
    """Return the sinks, with the log first: it then also records how the video ended."""
    sinks: list[Sink] = []
    keep = KeepEarlier.UNTIL_END if outputs.replaces else KeepEarlier.NO
    if outputs.log:
        record = run_record(
            info, model, {**options.settings.as_json(), **options.skipping.as_json(), **options.tracking.as_json()}
        )
        profile = stopwatch if outputs.profile else None
        sinks.append(
            FrameLog(
                outputs.log,
                record,
                overwrite=outputs.overwrite,
                inputs=[model.path],
                keep_earlier=keep,
                stopwatch=profile,
            )
        )
    if outputs.video:
        sinks.append(
            VideoWriter(outputs.video, info, settings=outputs.encoding, overwrite=outputs.overwrite, keep_earlier=keep)
        )
    return sinks
