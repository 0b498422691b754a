"""A video and its log made into a new video, cut-out objects or a sheet: source, loop and sinks without a network."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from convert.files import lock_outputs
from detector.detections import Detections
from detector.drawing.blur import hide
from detector.drawing.boxes import draw
from detector.errors import SettingsError
from detector.logs.box_filter import BoxFilter
from detector.logs.replay import LogIndex, LogReplay
from detector.pipeline.annotate_video import Bar
from detector.pipeline.contact_sheet import ContactSheet
from detector.pipeline.crops import Crops
from detector.pipeline.loop import RunResult, run
from detector.video.frames import Frame, Image, Sink
from detector.video.reading.image_sequence import is_picture_series
from detector.video.reading.opening import open_video
from detector.video.section import Section
from detector.video.writing.video_writer import VideoWriter


@dataclass(frozen=True)
class RedrawOutputs:
    """What to make of a video and its log."""

    video: Path | None = None
    crops: Path | None = None
    """Folder for a picture of each object."""
    sheet: Path | None = None
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


def redraw_video(source: Path, log: Path, chosen: BoxFilter, outputs: RedrawOutputs, *, bar: Bar) -> RunResult:
    """Draw a video's boxes again from its log.

    Raises the errors of `detector.errors`, `LogError` among them where the log is of another video.
    """
    made = [path for path in (outputs.video, outputs.crops, outputs.sheet) if path]
    if not made:
        raise SettingsError("nothing to make: name an OUT.mp4, --crops DIR or --sheet FILE")
    logged = LogIndex(log)
    chosen.check(logged.run)
    fps = logged.run.frame_rate if is_picture_series(str(source)) else None
    section = Section.logged(logged.run.settings)
    with open_video(source, section=section, fps=fps) as video, contextlib.ExitStack() as stack:
        logged.check_size(video.info.width, video.info.height, source)
        sinks: list[Sink] = [_Step(lambda image, found: hide(image, chosen.hidden(found)))]
        if outputs.crops:
            sinks.append(Crops(outputs.crops, chosen, overwrite=outputs.overwrite))
        sinks.append(_Step(lambda image, found: draw(image, chosen.drawn(found))))
        if outputs.sheet:
            sinks.append(ContactSheet(outputs.sheet, log, chosen, overwrite=outputs.overwrite))
        if outputs.video:
            stack.enter_context(lock_outputs(outputs.video))
            sinks.append(
                VideoWriter(outputs.video, video.info, sound_from=video.sound_from, overwrite=outputs.overwrite)
            )
        with bar(video.info.frame_count) as progress:
            matched = LogReplay(video, logged)
            return run(matched, matched.detect, sinks, progress=progress)
