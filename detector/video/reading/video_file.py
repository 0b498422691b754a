"""Read videos from files, pipes and addresses."""

from __future__ import annotations

import os
from collections.abc import Iterator
from copy import copy
from dataclasses import replace
from fractions import Fraction
from math import ceil
from time import monotonic
from types import TracebackType
from typing import Self

import cv2
import numpy as np

from detector.errors import StreamError, VideoError
from detector.images.planes import Planes
from detector.video.colours import ToImage, colours_of
from detector.video.ffmpeg import av
from detector.video.frames import Frame, Image, OpenedVideo, VideoInfo
from detector.video.hdr import is_hdr
from detector.video.reading.containers import counted
from detector.video.reading.deinterlacing import Deinterlace, Deinterlacer
from detector.video.reading.demuxer import Demuxer
from detector.video.reading.pipes import PIPE_HINT
from detector.video.section import WHOLE, Section, empty_section, start_after_end
from detector.video.timeline import Timeline

_EARLY_SECONDS = Fraction(1, 2)
"""A file that ends this many seconds before its declared end is truncated."""

_HIGHEST_RATE = 1000
"""Frames per second above which a file's value is the tick of its clock and not a rate."""

_CLOCKLESS = {"mpjpeg", "mjpeg", "h264", "hevc", "m4v"}
"""Formats without timestamps, for which FFmpeg assumes an even rate."""

ARRIVAL_TICK_SECONDS = Fraction(1, 90_000)
"""The time base of frames that are timestamped on arrival."""

_ROTATIONS = {1: cv2.ROTATE_90_COUNTERCLOCKWISE, 2: cv2.ROTATE_180, 3: cv2.ROTATE_90_CLOCKWISE}


class VideoFile(OpenedVideo):
    """An opened video in any format that FFmpeg can read; iterate once for its frames, in order of time.

    A damaged or truncated video yields every frame that can still be read and then raises `StreamError`. Frames of a
    `section` are counted from its first one. Interlaced frames are deinterlaced unless `deinterlace` is `off`.
    `timeout_seconds` limits the wait for each answer of a video that comes over a network, and for each frame. Frames
    of a `live` video that has no timestamps are timestamped on arrival. `demuxer` is the opened video, if it is open
    already. Raise `VideoError` if there is no video to read, `SettingsError` if the section contains no frame.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        section: Section = WHOLE,
        deinterlace: Deinterlace = "auto",
        timeout_seconds: float | None = None,
        live: bool = False,
        demuxer: Demuxer | None = None,
    ) -> None:
        self._name = os.fspath(path)
        self.files = [self._name]
        self._live = live
        self._section = section
        self._end_reached = False
        self._last_end: Fraction | None = None
        self._deinterlacer = Deinterlacer() if deinterlace == "auto" else None
        self._demuxer = demuxer or Demuxer(self._name, timeout_seconds=timeout_seconds, live=live)
        self.audio_from = None if self._demuxer.is_pipe else self._name
        self._clockless = live and self._demuxer.container.format.name in _CLOCKLESS
        try:
            # Some properties, such as the rotation, are certain only once a frame is decoded.
            start = None if section.start is None else self._demuxer.start_seconds + section.start
            first = self._demuxer.next_frame() if start is None else self._demuxer.seek(start)
            if first is None:
                hint = f"; {PIPE_HINT}" if self._demuxer.is_pipe else ""
                raise VideoError(f"{self._name}: contains no frame that can be read{hint}")
            self.info = self._describe(first)
            self._image_of = ToImage(first)
            self._has_alpha = _has_alpha(first, self._demuxer.stream)
            step = 1 / ((self.info.frame_rate or 25) * self.info.time_base)
            self._timeline = Timeline(self.info.time_base, step=round(step))
            self._decoded = self._pictures(first)
            self._first = next(self._decoded) if section == WHOLE else self._first_of_section()
        except BaseException:
            self._demuxer.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def stop(self) -> None:
        """End a wait for a pipe; called from another thread than the iterating one."""
        self._demuxer.stop()

    def close(self) -> None:
        """Close the video."""
        self._demuxer.close()

    @property
    def starts_over(self) -> bool:
        """Whether a new connection would begin at the first frame again (`reconnecting.Connection`)."""
        return False

    @property
    def notes(self) -> list[str]:
        """What was changed in the frames yielded so far, one line each."""
        found = []
        if self._demuxer.is_pipe:
            found.append("a pipe can be read only once, so its audio and subtitles are left out")
        if is_hdr(self.info.colours):
            found.append("HDR; its brightness is tone-mapped for ordinary screens (BT.709)")
        if self._deinterlacer is not None and self._deinterlacer.in_use:
            found.append("interlaced; deinterlaced (--deinterlace off turns this off)")
        if self._has_alpha:
            found.append("its transparency is discarded")
        if self._timeline.missing:
            found.append(f"{counted(self._timeline.missing, 'frame')} had no timestamp; spaced evenly instead")
        if self._timeline.moved:
            moved = counted(self._timeline.moved, "timestamp")
            found.append(f"{moved} out of order; moved after the one before")
        notes = [f"{self._name}: {note}" for note in found]
        if self._section.end is not None and self._last_end is not None and not self._end_reached:
            notes.append(self._section.end_not_reached(self._name, self._last_end - self.info.start_seconds))
        return notes

    def __iter__(self) -> Iterator[Frame]:
        index = 0
        end = Fraction(0)
        started = monotonic()
        decoded: av.VideoFrame | None = self._first
        while decoded is not None:
            pts, duration = decoded.pts, int(decoded.duration or 0)
            if self._clockless:
                pts, duration = round((monotonic() - started) / ARRIVAL_TICK_SECONDS), 0
            pts = self._timeline.place(pts, duration)
            if self.info.end_seconds is not None and pts * self.info.time_base >= self.info.end_seconds:
                self._end_reached = True
                break
            yield Frame(
                index=index,
                pts=pts,
                time_base=self.info.time_base,
                image=_rotated(self._image_of(decoded), self._quarter_turns),
                duration=duration,
                arrived=monotonic() if self._live else None,
                pixel_aspect=self.info.pixel_aspect,
            )
            index += 1
            end = (pts + duration) * self.info.time_base
            decoded = next(self._decoded, None)
        self._last_end = end
        problem = self._problem(index)
        if problem:
            raise StreamError(problem)

    def _pictures(self, frame: av.VideoFrame | None) -> Iterator[av.VideoFrame]:
        """Yield a decoded frame and those after it, deinterlaced."""
        while frame is not None:
            if self._deinterlacer is None:
                yield frame
            else:
                yield from self._deinterlacer.push(frame)
            frame = self._demuxer.next_frame()
        if self._deinterlacer is not None:
            yield from self._deinterlacer.flush()

    def _first_of_section(self) -> av.VideoFrame:
        """Return the first frame of the section; updates `info` for it."""
        beginning, section = self.info.start_seconds, self._section
        begin = None if section.start is None else beginning + section.start
        frame, time = self._skipped_to(begin)
        if section.end is not None and time >= beginning + section.end:
            raise empty_section(self._name, section, time - beginning)
        stream = self._demuxer.stream
        tick, starts = stream.time_base or self.info.time_base, stream.start_time
        late = starts is not None and begin is not None and starts * tick >= begin
        self.info = replace(
            self.info,
            # Images that begin later than the section keep their offset from the audio before them.
            begin_seconds=begin if begin is None or late else time,
            end_seconds=None if section.end is None else beginning + section.end,
            frame_count=self._count_of_section(),
        )
        return frame

    def _skipped_to(self, begin: Fraction | None) -> tuple[av.VideoFrame, Fraction]:
        """Return the first frame at or after a moment on the source's clock, and its time, outside the timeline."""
        end = Fraction(0)
        for frame in self._decoded:
            time = copy(self._timeline).place(frame.pts, frame.duration) * self.info.time_base
            if begin is None or time >= begin:
                return frame, time
            self._timeline.place(frame.pts, frame.duration)
            end = time + (frame.duration or 0) * self.info.time_base
        raise start_after_end(self._name, self._section.start or Fraction(0), end - self.info.start_seconds)

    def _count_of_section(self) -> int | None:
        """Return how many frames to expect in the section if they are evenly spaced."""
        count, whole = self.info.frame_count, self.info.duration_seconds
        if not count or not whole:
            return count
        rate, end = count / whole, self._section.end or whole
        return max(1, ceil(min(end, whole) * rate) - ceil((self._section.start or 0) * rate))

    def _describe(self, frame: av.VideoFrame) -> VideoInfo:
        stream = self._demuxer.stream
        self._quarter_turns = round(frame.rotation / 90) % 4
        width, height = frame.width, frame.height
        aspect = stream.sample_aspect_ratio or Fraction(1)
        if self._quarter_turns % 2:
            width, height, aspect = height, width, 1 / aspect
        time_base = frame.time_base or stream.time_base or Fraction(1, av.time_base)
        rates = (stream.average_rate, stream.guessed_rate, stream.base_rate)
        rate = next((rate for rate in rates if rate and 0 < rate <= _HIGHEST_RATE), None)
        if self._clockless:
            time_base, rate = ARRIVAL_TICK_SECONDS, None
        duration = self._demuxer.duration_seconds
        count = stream.frames or (round(duration * rate) if duration and rate else 0)
        return VideoInfo(
            source=self._name,
            width=width,
            height=height,
            time_base=time_base,
            frame_rate=rate,
            frame_count=count or None,
            duration_seconds=duration,
            start_seconds=self._demuxer.start_seconds,
            pixel_aspect=aspect,
            pixel_format=frame.format.name,
            colours=colours_of(frame),
            live=self._live,
        )

    def _problem(self, frame_count: int) -> str | None:
        """Return what is wrong with the video, after all its frames, in a line; None if nothing is."""
        demuxer = self._demuxer
        what = "the stream broke off" if demuxer.is_network else "damaged or truncated"
        read = f"{self._name}: {what}; {counted(frame_count, 'frame')} could be read"
        if demuxer.break_off is not None:
            return f"{read}, then {demuxer.break_off}"
        promised = self.info.duration_seconds
        if promised is not None and not self._live and not self._end_reached:
            end = demuxer.end_seconds - self.info.start_seconds
            if promised - end >= _EARLY_SECONDS:
                return f"{read}, it ends after {float(end):.2f} of {float(promised):.2f} seconds"
            if demuxer.is_cut:
                return f"{read}, it ends in the middle of one"
        if demuxer.lost_frames:
            return f"{read}, {demuxer.lost_frames} could not"
        return None


def _has_alpha(frame: av.VideoFrame, stream: av.VideoStream) -> bool:
    """Return whether a video has transparency. WebM stores it beside the frames; FFmpeg's own decoders ignore it."""
    in_frames = any(component.is_alpha for component in frame.format.components)
    return in_frames or stream.metadata.get("alpha_mode") == "1"


def _rotated(image: Image, quarter_turns: int) -> Image:
    """Return the image rotated counterclockwise."""
    if not quarter_turns:
        return image
    code = _ROTATIONS[quarter_turns]
    return image.turned(code) if isinstance(image, Planes) else np.asarray(cv2.rotate(image, code), dtype=np.uint8)
