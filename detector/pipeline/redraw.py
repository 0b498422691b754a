"""A video and its log made into a new video, cut-out objects or a sheet: source, loop and sinks without a network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from convert.files import lock_outputs
from detector.detections import Detections
from detector.drawing.blur import hide
from detector.drawing.boxes import draw
from detector.errors import SettingsError
from detector.logs.box_filter import BoxFilter
from detector.logs.replay import LogIndex, LogReplay
from detector.pipeline.contact_sheet import ContactSheet
from detector.pipeline.crops import Crops
from detector.pipeline.loop import LoopOptions, RunResult, run
from detector.pipeline.outputs import Bar
from detector.video.frames import Frame, Image, OpenedVideo, Sink
from detector.video.reading.image_sequence import is_picture_series
from detector.video.reading.opening import open_video
from detector.video.section import Section
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
    """Folder for a picture of each object."""
    sheet: Path | None = None
    """Picture of the most eventful frames."""
    overwrite: bool = False


class _Step(Sink):
    """Changes the images of frames on their way from one sink to the next."""

    def __init__(self, change: Callable[[Image, Detections], object]) -> None:
        super().__init__()
        self._change = change

    def write(self, frame: Frame, detections: Detections) -> None:
        self._change(frame.image, detections)

    def __exit__(self, *ending: object) -> None:
        pass


def redraw_video(options: RedrawOptions, *, bar: Bar) -> RunResult:
    """Draw a video's boxes again from its log, without the network.

    Raises the errors of `detector.errors`, `LogError` among them where the log is of another video.
    """
    if not any((options.video, options.crops, options.sheet)):
        raise SettingsError("nothing to make: name an OUT.mp4, --crops DIR or --sheet FILE")
    logged = LogIndex(options.log)
    options.boxes.check(logged.run)
    fps = logged.run.frame_rate if is_picture_series(str(options.source)) else None
    section = Section.logged(logged.run.settings)
    with (
        open_video(options.source, section=section, fps=fps) as video,
        lock_outputs(*(path for path in (options.video,) if path)),
    ):
        logged.check_size(video.info.width, video.info.height, options.source)
        with bar(video.info.frame_count) as progress:
            return run(LogReplay(video, logged), _logged, _sinks(options, video), LoopOptions(progress=progress))


def _logged(frame: Frame) -> Detections:
    """What the log says of a frame; `LogReplay` gives every frame its detections."""
    assert frame.detections is not None
    return frame.detections


def _sinks(options: RedrawOptions, video: OpenedVideo) -> list[Sink]:
    """What happens to each frame: hide, cut out, draw, collect, encode."""
    boxes = options.boxes
    sinks: list[Sink] = [_Step(lambda image, found: hide(image, boxes.hidden(found)))]
    if options.crops:
        sinks.append(Crops(options.crops, boxes, overwrite=options.overwrite))
    sinks.append(_Step(lambda image, found: draw(image, boxes.drawn(found))))
    if options.sheet:
        sinks.append(ContactSheet(options.sheet, options.log, boxes, overwrite=options.overwrite))
    if options.video:
        writer = VideoWriter(options.video, video.info, sound_from=video.sound_from, overwrite=options.overwrite)
        sinks.append(writer)
    return sinks
