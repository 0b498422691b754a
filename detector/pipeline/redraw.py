"""Make a new video, cut-out objects or a sheet from a video and its log, without a network."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from convert.files import lock_outputs
from detector.detections import Detections
from detector.drawing.blur import hide, hide_all
from detector.drawing.boxes import draw
from detector.errors import SettingsError
from detector.logs.box_filter import BoxFilter
from detector.logs.held_boxes import MOST_BOXES, HeldBoxes
from detector.logs.replay import LogIndex, LogReplay
from detector.logs.steady_boxes import SteadyBoxes
from detector.pipeline.contact_sheet import ContactSheet
from detector.pipeline.crops import Crops
from detector.pipeline.live_tracking import LiveTracking, TrackingOptions
from detector.pipeline.loop import LoopOptions, RunResult, known_or, run
from detector.pipeline.outputs import Bar
from detector.video.frames import Frame, OpenedVideo, Sink, VideoInfo
from detector.video.reading.deinterlacing import Deinterlace
from detector.video.reading.image_sequence import is_picture_series
from detector.video.reading.opening import open_video
from detector.video.section import Section
from detector.video.status import KeepEarlier, RunStatus
from detector.video.writing.codecs import VideoSettings
from detector.video.writing.video_writer import VideoWriter


@dataclass(frozen=True)
class RedrawOptions:
    """What to make of a video and its log."""

    source: Path
    log: Path
    boxes: BoxFilter = field(default_factory=BoxFilter)
    """Which boxes to draw, cut out and hide."""
    video: Path | None = None
    crops: Path | None = None
    """Folder for an image of each object."""
    sheet: Path | None = None
    """Path for an image of the most eventful frames."""
    overwrite: bool = False
    smooth: bool = False
    """Draw no boxes that live for one frame, and fill gaps of one frame."""
    tracking: TrackingOptions = field(default_factory=TrackingOptions)
    """Which zones and trails to draw, for a log with tracks."""


class _Hide(Sink):
    """Hides the objects of some classes, or the whole image if the log has no line for it."""

    def __init__(self, logged: LogIndex, boxes: BoxFilter) -> None:
        super().__init__()
        self._held = HeldBoxes(logged.records(), boxes.hidden_ids(logged.run.classes))

    def write(self, frame: Frame, detections: Detections) -> None:
        """Change the frame's image."""
        if frame.detections is None:
            hide_all(frame.image)
            return
        boxes = self._held.in_frame(frame.index)
        if len(boxes) > MOST_BOXES:
            hide_all(frame.image)
        else:
            hide(frame.image, boxes)

    def __exit__(self, *ending: object) -> None:
        pass


class _Draw(Sink):
    """Draws the chosen boxes, or the steady ones among them."""

    def __init__(self, boxes: BoxFilter, steady: SteadyBoxes | None = None) -> None:
        super().__init__()
        self._boxes = boxes
        self._steady = steady

    def write(self, frame: Frame, detections: Detections) -> None:
        """Change the frame's image."""
        if self._steady is not None:
            detections = self._steady.in_frame(frame.index)
        draw(frame.image, self._boxes.drawn(detections))

    def __exit__(self, *ending: object) -> None:
        pass


class _Places(Sink):
    """Draws zones with their counts, and trails, from the tracks of a log."""

    def __init__(self, options: TrackingOptions, info: VideoInfo, names: tuple[str, ...]) -> None:
        super().__init__()
        self._tracking = LiveTracking(options, info, names)

    def write(self, frame: Frame, detections: Detections) -> None:
        """Change the frame's image."""
        self._tracking.refine(frame, detections)
        self._tracking.draw_places(frame, detections)

    def __exit__(self, *ending: object) -> None:
        pass


def redraw_video(options: RedrawOptions, *, bar: Bar) -> RunResult:
    """Draw a video's boxes again from its log, without the network.

    If classes are to be hidden, a frame that the log has no line for is hidden completely, and the result is
    `TRUNCATED`. Raise the errors of `detector.errors`, such as `LogError` if the log is of another video.
    """
    if not any((options.video, options.crops, options.sheet)):
        raise SettingsError("nothing to make: name an OUT.mp4, --crops DIR or --sheet FILE")
    logged = LogIndex(options.log)
    earlier = options.video is not None and options.video.exists()
    options.boxes.check(logged.run)
    with (
        open_logged(options.source, logged) as video,
        lock_outputs(*(path for path in (options.video,) if path)),
    ):
        replay = LogReplay(video, logged)
        nothing = Detections.empty(logged.run.classes)
        with bar(video.info.frame_count) as progress:
            sinks = _sinks(options, video, logged)
            result = run(replay, known_or(lambda frame: nothing), sinks, LoopOptions(progress=progress))
    result = replace(result, kept_earlier=earlier and KeepEarlier.UNTIL_COMPLETE.keeps(result.status))
    if not options.boxes.blur or not replay.unknown:
        return result
    note = f"{options.log}: has no line for {replay.unknown} frames of the video; they were hidden completely"
    return replace(result, status=RunStatus.TRUNCATED, notes=(*result.notes, note))


@contextmanager
def open_logged(source: Path, logged: LogIndex) -> Iterator[OpenedVideo]:
    """Open the video of a log as the run that wrote it did; raise `LogError` for one of another size."""
    fps = logged.run.frame_rate if is_picture_series(str(source)) else None
    section = Section.logged(logged.run.settings)
    deinterlace: Deinterlace = "off" if logged.run.settings.get("deinterlace") == "off" else "auto"
    with open_video(source, section=section, fps=fps, deinterlace=deinterlace) as video:
        logged.check_size(video.info.width, video.info.height, source)
        yield video


def _sinks(options: RedrawOptions, video: OpenedVideo, logged: LogIndex) -> list[Sink]:
    """Return the sinks that hide, cut out, draw, collect and encode each frame."""
    boxes = options.boxes
    sinks: list[Sink] = [_Hide(logged, boxes)] if boxes.blur else []
    if options.crops:
        sinks.append(Crops(options.crops, boxes, overwrite=options.overwrite))
    if not options.tracking.everything_off:
        sinks.append(_Places(options.tracking, video.info, logged.run.classes))
    names = logged.run.classes
    sinks.append(_Draw(boxes, SteadyBoxes(logged.records(), names, boxes.of) if options.smooth else None))
    if options.sheet:
        sinks.append(ContactSheet(options.sheet, options.log, boxes, overwrite=options.overwrite))
    if options.video:
        settings = VideoSettings(location=not boxes.blur)
        sinks.append(
            VideoWriter(
                options.video,
                video.info,
                audio_from=video.audio_from,
                settings=settings,
                overwrite=options.overwrite,
                keep_earlier=KeepEarlier.UNTIL_COMPLETE,
            )
        )
    return sinks
