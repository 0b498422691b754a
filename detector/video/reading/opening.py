"""What `yolo3 video` and `redraw` read: a video, a folder or glob of pictures, an animation."""

from __future__ import annotations

import os
from fractions import Fraction

from detector.errors import SettingsError
from detector.video.frames import OpenedVideo
from detector.video.reading.image_sequence import (
    USUAL_RATE,
    Animation,
    PictureSeries,
    is_picture_series,
    may_be_animation,
)
from detector.video.reading.video_file import VideoFile
from detector.video.section import WHOLE, Section


def open_video(
    source: str | os.PathLike[str],
    *,
    section: Section = WHOLE,
    fps: Fraction | None = None,
    as_darknet: bool = False,
) -> OpenedVideo:
    """Open a video file or address, a folder or glob of pictures (at `fps`, 25 by default), or an animation.

    `as_darknet` is how pictures of a series are read (see `read_picture`). Raises `VideoError` or `PictureError` where
    there is nothing to read, `SettingsError` where section or `fps` do not suit it.
    """
    name = os.fspath(source)
    if is_picture_series(name):
        return PictureSeries(name, rate=fps or USUAL_RATE, section=section, as_darknet=as_darknet)
    if fps is not None:
        raise SettingsError(f"{name}: has times of its own; --fps is for folders and patterns of pictures")
    if may_be_animation(name):
        return Animation(name, section=section)
    return VideoFile(name, section=section)
