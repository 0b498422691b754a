"""Open what `yolo3 video` and `redraw` read: a video, a folder or glob of images, an animation."""

from __future__ import annotations

import os
from fractions import Fraction

from detector.errors import SettingsError
from detector.video.frames import OpenedVideo
from detector.video.reading.containers import is_address
from detector.video.reading.deinterlacing import Deinterlace
from detector.video.reading.image_sequence import (
    USUAL_RATE,
    Animation,
    PictureSeries,
    is_picture_series,
    may_be_animation,
)
from detector.video.reading.interrupting import TIMEOUT_SECONDS, interruptible
from detector.video.reading.pipes import STANDARD_INPUT, is_pipe
from detector.video.reading.video_file import VideoFile
from detector.video.section import WHOLE, Section


def open_video(
    source: str | os.PathLike[str],
    *,
    section: Section = WHOLE,
    fps: Fraction | None = None,
    as_darknet: bool = False,
    deinterlace: Deinterlace = "auto",
) -> OpenedVideo:
    """Open a video, a folder or glob of images (shown at `fps`, 25 by default), or an animation.

    A video is a file, a pipe (`-` is standard input) or an address. `as_darknet` sets how images of a series are read
    (see `read_picture`). Raise `VideoError` or `PictureError` if there is nothing to read, `SettingsError` if section
    or `fps` do not suit the source.
    """
    name = STANDARD_INPUT if os.fspath(source) == "-" else os.fspath(source)
    if is_picture_series(name):
        return PictureSeries(name, rate=fps or USUAL_RATE, section=section, as_darknet=as_darknet)
    if fps is not None:
        raise SettingsError(f"{name}: has its own timestamps; --fps is for folders and patterns of pictures")
    if may_be_animation(name):
        return Animation(name, section=section)
    timeout_seconds = TIMEOUT_SECONDS if is_address(name) else None

    def open_file() -> VideoFile:
        return VideoFile(name, section=section, deinterlace=deinterlace, timeout_seconds=timeout_seconds)

    return interruptible(open_file) if is_address(name) or is_pipe(name) else open_file()
