"""A video opened as its log was made: the same section, rate and deinterlacing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from detector.logs.replay import LogIndex, LogReplay
from detector.video.reading.deinterlacing import Deinterlace
from detector.video.reading.image_sequence import is_picture_series
from detector.video.reading.opening import open_video
from detector.video.section import Section


@contextmanager
def open_logged(source: str | Path, logged: LogIndex) -> Iterator[LogReplay]:
    """The frames of a video with the boxes of its log. Raises `LogError` where the log is of another video."""
    settings = logged.run.settings
    fps = logged.run.frame_rate if is_picture_series(str(source)) else None
    deinterlace: Deinterlace = "off" if settings.get("deinterlace") == "off" else "auto"
    with open_video(source, section=Section.logged(settings), fps=fps, deinterlace=deinterlace) as video:
        logged.check_size(video.info.width, video.info.height, Path(source))
        yield LogReplay(video, logged)
