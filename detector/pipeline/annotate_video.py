"""Run a video through a detector: combine source, loop and sinks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Protocol

from convert.files import is_special, lock_outputs
from convert.opened_model import OpenedModel
from detector.detections import Detections
from detector.detector import Detector
from detector.drawing.boxes import draw
from detector.engines.base import available_cores
from detector.errors import SettingsError
from detector.logs.frame_log import STANDARD_STREAM, FrameLog, RunRecord, pending_log
from detector.pipeline.live_tracking import LiveTracking, TrackingOptions, live_tracking
from detector.pipeline.loop import LoopOptions, RunResult, known_or, run
from detector.pipeline.outputs import Bar, OnNote, Outputs, ignore_note
from detector.pipeline.resume import (
    ResumedFrames,
    ResumePoint,
    current_log,
    find_resume_point,
    journal_path,
    last_detected,
    run_digest,
)
from detector.profiling import Stopwatch
from detector.settings import Settings
from detector.tracking.frame_skipping import EVERY_FRAME, FrameSkipping, FrameSkippingDetector
from detector.video.frames import Detect, Frame, OpenedVideo, Sink, VideoInfo
from detector.video.reading.deinterlacing import Deinterlace
from detector.video.reading.opening import open_video
from detector.video.section import WHOLE, Section
from detector.video.status import KeepEarlier, RunStatus
from detector.video.writing.video_writer import VideoWriter

_LARGEST_SHARED_BYTES = 64 << 20
_MOST_WORKERS = 4


class FrameDetector(Protocol):
    """What a run needs of a detector; implemented by `Detector`."""

    @property
    def workers(self) -> int:
        """How many threads can usefully call `detect_frame` at a time."""
        ...

    def prepare(self, info: VideoInfo) -> None:
        """Prepare for the frames of a video before memory fills with them."""
        ...

    def detect_frame(self, frame: Frame) -> Detections:
        """Detect objects in a frame."""
        ...


class OpenDetector(Protocol):
    """Opens a detector; `Detector.open` does."""

    def __call__(
        self, model: OpenedModel, settings: Settings, *, on_note: OnNote, stopwatch: Stopwatch, workers: int
    ) -> FrameDetector:
        """Open a model; `workers` threads will detect at a time."""
        ...


@dataclass(frozen=True)
class VideoOptions:
    """What to detect in, with which model, and what to write."""

    source: str | Path
    """A video, a folder or pattern of images, or an animation (see `open_video`)."""

    model: Path
    settings: Settings
    outputs: Outputs
    skipping: FrameSkipping = EVERY_FRAME
    section: Section = WHOLE
    fps: Fraction | None = None
    """Images per second, for folders and patterns."""
    deinterlace: Deinterlace = "auto"
    tracking: TrackingOptions = field(default_factory=TrackingOptions)
    images_alone: bool = False
    """Leave out audio, subtitles and tags, because the copy will be joined with others."""

    def check(self) -> None:
        """Raise `SettingsError` for options that contradict each other."""
        if not self.outputs.paths and self.outputs.log is None:
            raise SettingsError("nothing to make: name an OUT.mp4, or a frame log with --log")
        if self.outputs.overwrite and self.outputs.resume:
            raise SettingsError("--overwrite starts a new run, --resume continues one; choose one of them")
        if self.outputs.log == STANDARD_STREAM and self.outputs.resume:
            raise SettingsError("a log on standard output cannot be resumed; name a file for --log")
        if self.outputs.log == self.tracking.events == STANDARD_STREAM:
            raise SettingsError("log and events cannot both go to standard output; name a file for one of them")
        self.tracking.check_live()

    def open_video(self) -> OpenedVideo:
        """Open the source."""
        darknet = self.settings.interpolation == "darknet"
        return open_video(
            self.source, section=self.section, fps=self.fps, as_darknet=darknet, deinterlace=self.deinterlace
        )

    def as_json(self) -> dict[str, object]:
        """The settings stored in the log: everything that the boxes depend on."""
        interlaced = {} if self.deinterlace == "auto" else {"deinterlace": self.deinterlace}
        parts = (self.settings, self.skipping, self.section, self.tracking)
        return {**{name: value for part in parts for name, value in part.as_json().items()}, **interlaced}


def annotate_video(
    options: VideoOptions,
    *,
    bar: Bar,
    on_note: OnNote = ignore_note,
    open_detector: OpenDetector = Detector.open,
    model: OpenedModel | None = None,
) -> RunResult:
    """Detect in every frame of a video, or in those that `options.skipping` selects, and copy audio and subtitles.

    `model` is the model of the options if it is open already, as for one of many videos.
    `on_note` gets the notes of `open_detector`, and with frame skipping how many frames were detected in. Raise the
    errors of `detector.errors`; errors in the files are reported before the detector is opened.
    """
    options.check()
    outputs = options.outputs
    log = outputs.log or journal_path(*outputs.paths)
    journal = current_log(log) if outputs.resume else log
    with options.open_video() as video, lock_outputs(*outputs.paths):
        outputs.refuse_model(options.model)
        outputs.refuse_existing(options.source)
        model = model or OpenedModel.read(options.model)
        record = run_record(video.info, model, options.as_json())
        digest = run_digest(record, outputs.encoding)
        point = ResumePoint()
        if outputs.resume:
            replaces = journal != log
            point = find_resume_point(outputs.video, journal, record, digest=digest, replaces=replaces)
        if point.complete:
            note = f"{outputs.video or outputs.log}: is already complete"
            return RunResult(frames=0, boxes=0, seconds=0.0, status=RunStatus.COMPLETE, notes=(note,))
        earlier = outputs.replaces or journal != log or (outputs.video is not None and outputs.video.exists())
        keep = KeepEarlier.UNTIL_COMPLETE if earlier else KeepEarlier.NO
        if earlier and log == outputs.log != STANDARD_STREAM and not is_special(log):
            journal = pending_log(log)
        job = _Job(options, video, model, record, point, log, journal, keep)
        with live_tracking(
            options.tracking,
            video.info,
            record.classes,
            inputs=(options.model, journal, *outputs.paths, *video.files),
            overwrite=outputs.overwrite or outputs.resume,
            on_note=on_note,
            draws=outputs.video is not None,
        ) as tracking:
            result = _run(job, tracking, bar=bar, on_note=on_note, open_detector=open_detector)
            tracking.status = result.status
    if keep.keeps(result.status):
        again = "" if outputs.log == STANDARD_STREAM else "; --resume continues it"
        return replace(result, kept_earlier=True, notes=(*result.notes, f"the new run is not complete{again}"))
    if log != outputs.log:
        log.unlink(missing_ok=True)
    if point.frames:
        result = replace(result, notes=(f"continued at frame {point.frames}", *result.notes))
    return result


@dataclass(frozen=True)
class _Job:
    """A video that is ready to be processed."""

    options: VideoOptions
    video: OpenedVideo
    model: OpenedModel
    record: RunRecord
    point: ResumePoint
    log: Path
    """The final path of the log."""
    journal: Path
    """The path of its lines until then."""
    keep_earlier: KeepEarlier


def _run(job: _Job, tracking: LiveTracking, *, bar: Bar, on_note: OnNote, open_detector: OpenDetector) -> RunResult:
    """Open the detector and run the frames through it."""
    options, video, point = job.options, job.video, job.point
    skips, tracks = not options.skipping.everything, not options.tracking.everything_off
    stopwatch = Stopwatch()
    sinks = _sinks(job, stopwatch)
    # Frames that depend on the ones before them are processed one after another.
    in_order = point.progress is not None or skips
    workers = 1 if in_order else workers_for(options.model, options.settings)
    settings = options.settings.calibrated_on(options.source)
    detector = open_detector(job.model, settings, on_note=on_note, stopwatch=stopwatch, workers=workers)
    detector.prepare(video.info)
    detect: Detect = known_or(detector.detect_frame)
    frames = ResumedFrames(video, point, job.journal, job.record.classes)
    skipping = FrameSkippingDetector(detect, options.skipping, count_from=point.logged_frames)
    if skips:
        detect = skipping
    if point.progress is not None and (skips or tracks):
        first = last_detected(job.journal, before=point.frames) if skips else point.frames
        frames.pass_to(_passed_over(skipping, first, tracking), first=0 if tracks else first)
    with bar(video.info.frame_count) as progress:
        if progress is not None and point.frames:
            progress.update(point.frames)
        annotate = tracking.annotate if tracks else draw_boxes
        loop = LoopOptions(
            annotate=annotate if options.outputs.video else None,
            refine=tracking.refine if tracks else None,
            progress=progress,
            stopwatch=stopwatch,
            workers=min(workers, detector.workers),
        )
        result = run(frames, detect, sinks, loop)
    if skips:
        on_note(skipping.note)
    return result


def _passed_over(skipping: FrameSkippingDetector, first: int, tracking: LiveTracking) -> Detect:
    """Return a `Detect` that passes frames of an earlier run to the tracking and, from `first` on, to the skipping."""

    def pass_over(frame: Frame) -> Detections:
        assert frame.detections is not None
        if frame.index >= first:
            skipping(frame)
        tracking.pass_over(frame)
        return frame.detections

    return pass_over


def workers_for(model: Path, settings: Settings) -> int:
    """Return how many frames of a video to detect in at a time: small networks run faster with one frame per core.

    Each worker holds its own copy of the weights, and large networks keep all cores busy with one frame.
    """
    if settings.engine not in ("auto", "litert", "openvino") or model.stat().st_size > _LARGEST_SHARED_BYTES:
        return 1
    return min(settings.threads or available_cores(), _MOST_WORKERS)


def draw_boxes(frame: Frame, detections: Detections) -> None:
    """Draw boxes and their labels onto a frame."""
    draw(frame.image, detections)


def run_record(info: VideoInfo, model: OpenedModel, settings: Mapping[str, object]) -> RunRecord:
    """Return the first line of a run's log."""
    return RunRecord.of(
        info,
        model=str(model.path),
        model_sha256=model.sha256,
        settings=settings,
        classes=model.description.names,
    )


def _sinks(job: _Job, stopwatch: Stopwatch) -> list[Sink]:
    """Return the sinks, with the log first: it then also records how the video ended."""
    options, video, record, point = job.options, job.video, job.record, job.point
    outputs = options.outputs
    overwrite = outputs.overwrite or outputs.resume
    sinks: list[Sink] = [
        FrameLog(
            job.log,
            record,
            overwrite=overwrite,
            keep_earlier=job.keep_earlier if job.options.outputs.log else KeepEarlier.NO,
            inputs=[options.model, *video.files],
            resumed_from=point.progress,
            stopwatch=stopwatch if outputs.profile else None,
        )
    ]
    if outputs.video:
        writer = VideoWriter(
            outputs.video,
            video.info,
            audio_from=None if options.images_alone else video.audio_from,
            settings=outputs.encoding,
            overwrite=overwrite,
            keep_earlier=job.keep_earlier,
            kept=point.parts,
            run_digest=run_digest(record, outputs.encoding),
        )
        sinks.append(writer)
    return sinks
