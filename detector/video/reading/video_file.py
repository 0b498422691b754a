"""Videos, from files or addresses, as frames."""

from __future__ import annotations

import os
from collections.abc import Iterator
from copy import copy
from dataclasses import replace
from fractions import Fraction
from math import ceil
from pathlib import Path
from threading import Lock
from time import monotonic
from types import TracebackType
from typing import Any, Self

import cv2
import numpy as np

from detector.errors import StreamError, VideoError
from detector.images.planes import Planes
from detector.video.colours import ToImage, colours_of
from detector.video.ffmpeg import av
from detector.video.frames import Frame, Image, OpenedVideo, VideoInfo
from detector.video.hdr import is_hdr
from detector.video.reading.containers import DAMAGE, counted, is_address, open_container, reason
from detector.video.section import WHOLE, Section, empty_section, start_after_end
from detector.video.timeline import Timeline

_EARLY_SECONDS = Fraction(1, 2)
"""A file that ends this much before the end it promises has been cut off."""

_HIGHEST_RATE = 1000
"""Frames per second above which a file's claim is the tick of its clock and not a rate."""

_CLOSE_SECONDS = 1.0

_SEEK_BACK_SECONDS = (0, 5, 60)
"""How far before the start of a section to look for a key frame: not every format finds the last one before."""

_CLOCKLESS = {"mpjpeg", "mjpeg", "h264", "hevc", "m4v"}
"""Formats without timestamps, for which FFmpeg makes up an even rate."""

ARRIVAL_TICK_SECONDS = Fraction(1, 90_000)
"""The clock by which frames are stamped that come without a time."""

_TURNS = {1: cv2.ROTATE_90_COUNTERCLOCKWISE, 2: cv2.ROTATE_180, 3: cv2.ROTATE_90_CLOCKWISE}


class VideoFile(OpenedVideo):
    """A video that FFmpeg can read, opened; iterate once for its frames, in order of time.

    A damaged or cut-off video yields every frame that can still be read and then raises `StreamError`.
    `timeout_seconds` bounds the wait for each answer of a video that comes over a network, and for each frame; a
    `live` one may leave its frames to be stamped as they arrive. `options` are FFmpeg's, for opening it. Of a
    `section` the frames are counted from its first.

    Raises `VideoError` where there is no video to read, `SettingsError` where the section holds no frame.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        timeout_seconds: float | None = None,
        live: bool = False,
        options: dict[str, str] | None = None,
        section: Section = WHOLE,
    ) -> None:
        self._name = os.fspath(path)
        self.files = [self._name]
        self.sound_from = self._name
        self._timeout_seconds = timeout_seconds
        self._live = live
        self._options = options
        self._section = section
        self._reading = Lock()
        self._lost = 0
        self._broken: BaseException | None = None
        self._cut = False
        self._silent = False
        self._end = Fraction(0)
        self._end_reached = False
        self._last_end: Fraction | None = None
        self._container = self._open()
        self._clockless = live and self._container.format.name in _CLOCKLESS
        try:
            self._stream = self._video_stream()
            self._decoded = self._decode()
            # What is displayed, rotation above all, is known for certain only once a frame is there.
            first = next(self._decoded, None) if section.start is None else self._sought(section.start)
            if first is None:
                raise VideoError(f"{self._name}: holds no frame that can be read")
            self.info = self._describe(first)
            self._image_of = ToImage(first)
            step = 1 / ((self.info.frame_rate or 25) * self.info.time_base)
            self._timeline = Timeline(self.info.time_base, step=round(step))
            self._first: av.VideoFrame | None = first if section == WHOLE else self._first_of_section(first)
        except BaseException:
            self._container.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the video."""
        # A thread that still waits for a silent server is left to it: closing under it would be a crash.
        if self._reading.acquire(timeout=_CLOSE_SECONDS):
            self._container.close()
            self._reading.release()

    @property
    def starts_over(self) -> bool:
        """Whether a new connection would begin at the first frame again (`reconnecting.Connection`)."""
        return False

    @property
    def notes(self) -> list[str]:
        """What was changed in the frames yielded so far, a line each."""
        found = []
        if is_hdr(self.info.colours):
            found.append(f"{self._name}: HDR; its brightness is pressed into the range of ordinary screens (BT.709)")
        if self._timeline.missing:
            missing = counted(self._timeline.missing, "frame")
            found.append(f"{self._name}: {missing} had no timestamp; spaced evenly instead")
        if self._timeline.moved:
            moved = counted(self._timeline.moved, "timestamp")
            found.append(f"{self._name}: {moved} out of order; moved behind the one before")
        if self._section.end is not None and self._last_end is not None and not self._end_reached:
            found.append(self._section.end_not_reached(self._name, self._last_end - self.info.start_seconds))
        return found

    def __iter__(self) -> Iterator[Frame]:
        index = 0
        end = Fraction(0)
        started = monotonic()
        decoded, self._first = self._first, None
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
                image=_turned(self._image_of(decoded), self._quarter_turns),
                duration=duration,
                arrived=monotonic() if self._live else None,
                pixel_aspect=self.info.pixel_aspect,
            )
            index += 1
            end = (pts + duration) * self.info.time_base
            with self._reading:
                decoded = next(self._decoded, None)
        self._last_end = end
        problem = self._problem(index)
        if problem:
            raise StreamError(problem)

    def _open(self) -> av.container.InputContainer:
        return open_container(self._name, timeout_seconds=self._timeout_seconds, options=self._options)

    def _video_stream(self) -> av.VideoStream:
        for stream in self._container.streams.video:
            if not stream.disposition & av.stream.Disposition.attached_pic:  # an album's cover is no video
                if stream.codec_context is None:
                    raise VideoError(f"{self._name}: its video is in a format that FFmpeg cannot decode")
                # Threads that share out whole frames would each hold one back.
                stream.thread_type = "SLICE" if self._live else "AUTO"
                return stream
        raise VideoError(f"{self._name}: holds no video stream")

    def _sought(self, start: Fraction) -> av.VideoFrame | None:
        """A key frame at or before a time of the video, or its first frame; those after it follow in `_decoded`."""
        if not is_address(self._name) and not Path(self._name).is_file():
            return next(self._decoded, None)  # a pipe can be read once only
        seconds = self._start_seconds + start
        for back in _SEEK_BACK_SECONDS:
            ticks = round((seconds - back) / (self._stream.time_base or Fraction(1, av.time_base)))
            try:
                self._container.seek(ticks, stream=self._stream)
            except DAMAGE:
                break  # a raw stream
            self._decoded = self._decode()
            frame = next((frame for frame in self._decoded if frame.key_frame), None)
            tick = (frame and frame.time_base) or self._stream.time_base
            if frame is not None and frame.pts is not None and tick and frame.pts * tick <= seconds:
                self._lost = 0
                return frame
        self._container.close()
        self._container = self._open()
        self._stream = self._video_stream()
        self._decoded = self._decode()
        self._lost = 0
        return next(self._decoded, None)

    def _first_of_section(self, found: av.VideoFrame) -> av.VideoFrame:
        """The first frame to hand out, `found` or a later one; puts into `info` what the section changes there."""
        beginning, section = self.info.start_seconds, self._section
        begin = None if section.start is None else beginning + section.start
        frame, time = self._skipped_to(begin, found)
        if section.end is not None and time >= beginning + section.end:
            raise empty_section(self._name, section, time - beginning)
        tick, starts = self._stream.time_base or self.info.time_base, self._stream.start_time
        late = starts is not None and begin is not None and starts * tick >= begin
        self.info = replace(
            self.info,
            # Pictures that begin later than the section keep their distance from the sound before them.
            begin_seconds=begin if begin is None or late else time,
            end_seconds=None if section.end is None else beginning + section.end,
            frame_count=self._count_of_section(),
        )
        return frame

    def _skipped_to(self, begin: Fraction | None, found: av.VideoFrame) -> tuple[av.VideoFrame, Fraction]:
        """The first frame at or after a moment of the source's clock, and its time; it is not yet in the timeline."""
        frame: av.VideoFrame | None = found
        end = Fraction(0)
        while frame is not None:
            time = copy(self._timeline).place(frame.pts, frame.duration) * self.info.time_base
            if begin is None or time >= begin:
                return frame, time
            self._timeline.place(frame.pts, frame.duration)
            end = time + (frame.duration or 0) * self.info.time_base
            frame = next(self._decoded, None)
        raise start_after_end(self._name, self._section.start or Fraction(0), end - self.info.start_seconds)

    def _count_of_section(self) -> int | None:
        """How many frames to expect of the section, were they evenly spaced."""
        count, whole = self.info.frame_count, self.info.duration_seconds
        if not count or not whole:
            return count
        rate, end = count / whole, self._section.end or whole
        return max(1, ceil(min(end, whole) * rate) - ceil((self._section.start or 0) * rate))

    @property
    def _start_seconds(self) -> Fraction:
        """Where the video's clock stands at its beginning."""
        rounded, tick = Fraction(self._container.start_time or 0, av.time_base), Fraction(1, av.time_base)
        starts = [
            stream.start_time * (stream.time_base or tick) for stream in self._container.streams if stream.start_time
        ]
        return next((start for start in starts if abs(start - rounded) <= tick), rounded)

    def _describe(self, frame: av.VideoFrame) -> VideoInfo:
        stream, container = self._stream, self._container
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
        duration = None
        if stream.duration:
            duration = stream.duration * (stream.time_base or time_base)
        elif container.duration:
            duration = Fraction(container.duration, av.time_base)
            if "matroska" in container.format.name:  # which counts from 0, whenever the first stream begins
                duration -= self._start_seconds
        count = stream.frames or (round(duration * rate) if duration and rate else 0)
        return VideoInfo(
            source=self._name,
            width=width,
            height=height,
            time_base=time_base,
            frame_rate=rate,
            frame_count=count or None,
            duration_seconds=duration,
            start_seconds=self._start_seconds,
            pixel_aspect=aspect,
            pixel_format=frame.format.name,
            colours=colours_of(frame),
            live=self._live,
        )

    def _decode(self) -> Iterator[av.VideoFrame]:
        """Every frame that can be decoded; what could not is remembered for `_problem`."""
        # Sound is read along and dropped: only so is it known how far the file really goes.
        packets = self._container.demux([self._stream, *self._container.streams.audio])
        waiting_since = monotonic()
        while True:
            try:
                packet = next(packets, None)
            except DAMAGE as error:
                self._broken = error
                packet = None
            if packet is None:
                break
            if self._timeout_seconds and monotonic() - waiting_since > self._timeout_seconds:
                self._silent = True  # bytes come, but nothing can be made of them
                break
            if packet.pts is not None and packet.time_base:
                self._end = max(self._end, (packet.pts + (packet.duration or 0)) * packet.time_base)
            if packet.stream is self._stream and packet.size:
                self._cut = packet.is_corrupt  # as the last packet is when the file ends within it
                for frame in self._decode_packet(packet):
                    yield frame
                    waiting_since = monotonic()
        yield from self._decode_packet(None)

    def _decode_packet(self, packet: av.Packet[Any] | None) -> list[av.VideoFrame]:
        """The frames that a packet completes; with None those that the decoder still holds."""
        try:
            return self._stream.decode(packet)
        except EOFError:
            return []
        except DAMAGE:
            self._lost += 1
            return []

    def _problem(self, frame_count: int) -> str | None:
        """What is wrong with the video now that all its frames are out, in a line."""
        what = "the stream broke off" if is_address(self._name) else "damaged or cut off"
        read = f"{self._name}: {what}; {counted(frame_count, 'frame')} could be read"
        if self._silent or isinstance(self._broken, av.error.ExitError):
            return f"{read}, then nothing came for {self._timeout_seconds:g} seconds"
        if self._broken is not None:
            return f"{read}, then: {reason(self._broken)}"
        promised = self.info.duration_seconds
        if promised is not None and not self._live and not self._end_reached:
            end = self._end - self.info.start_seconds
            if promised - end >= _EARLY_SECONDS:
                return f"{read}, it ends after {float(end):.2f} of {float(promised):.2f} seconds"
            if self._cut:
                return f"{read}, it ends in the middle of one"
        if self._lost:
            return f"{read}, {self._lost} could not"
        return None


def _turned(image: Image, quarter_turns: int) -> Image:
    """The image rotated counterclockwise."""
    if not quarter_turns:
        return image
    code = _TURNS[quarter_turns]
    return image.turned(code) if isinstance(image, Planes) else np.asarray(cv2.rotate(image, code), dtype=np.uint8)
