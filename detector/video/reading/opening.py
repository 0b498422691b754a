"""What `yolo3 video` and `redraw` read: a video, a folder or glob of pictures, an animation."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from fractions import Fraction
from types import TracebackType
from typing import Protocol, Self

from detector.errors import SettingsError
from detector.video.frames import Frame, VideoInfo
from detector.video.reading.image_sequence import (
    USUAL_RATE,
    Animation,
    PictureSeries,
    is_picture_series,
    may_be_animation,
)
from detector.video.reading.video_file import VideoFile
from detector.video.section import WHOLE, Section


class OpenedVideo(Protocol):
    """A source of frames that ends by itself, open in its `with` block."""

    info: VideoInfo

    @property
    def notes(self) -> list[str]:
        """What the user should know of the frames yielded so far, a line each."""
        ...

    @property
    def files(self) -> Sequence[str]:
        """What is read, and so must not be written."""
        ...

    @property
    def sound_from(self) -> str | None:
        """The video whose sound and subtitles go with the pictures."""
        ...

    def __iter__(self) -> Iterator[Frame]: ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


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
