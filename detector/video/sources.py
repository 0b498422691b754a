"""Videos, from files or addresses, as frames."""

from __future__ import annotations

import os
from collections.abc import Iterator
from fractions import Fraction
from threading import Lock
from time import monotonic
from types import TracebackType
from typing import Any, Self

import cv2
import numpy as np

from detector.errors import StreamError, VideoError
from detector.planes import Planes
from detector.video.colours import ToImage, colours_of
from detector.video.containers import DAMAGE, counted, is_address, open_container, reason
from detector.video.ffmpeg import av
from detector.video.frames import Frame, Image, VideoInfo
from detector.video.hdr import is_hdr
from detector.video.timeline import Timeline

_EARLY_SECONDS = Fraction(1, 2)
"""A file that ends this much before the end it promises has been cut off."""

_HIGHEST_RATE = 1000
"""Frames per second above which a file's claim is the tick of its clock and not a rate."""

_CLOSE_SECONDS = 1.0

_CLOCKLESS = {"mpjpeg", "mjpeg", "h264", "hevc", "m4v"}
"""Formats without timestamps, for which FFmpeg makes up an even rate."""

ARRIVAL_TICK_SECONDS = Fraction(1, 90_000)
"""The clock by which frames are stamped that come without a time."""

_TURNS = {1: cv2.ROTATE_90_COUNTERCLOCKWISE, 2: cv2.ROTATE_180, 3: cv2.ROTATE_90_CLOCKWISE}


class VideoFile:
    """A video that FFmpeg can read, opened; iterate once for its frames, in order of time.

    A damaged or cut-off video yields every frame that can still be read and then raises `StreamError`.
    `timeout_seconds` bounds the wait for each answer of a video that comes over a network, and for each frame; a
    `live` one may leave its frames to be stamped as they arrive. `options` are FFmpeg's, for opening it.

    Raises `VideoError` where there is no video to read.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        timeout_seconds: float | None = None,
        live: bool = False,
        options: dict[str, str] | None = None,
    ) -> None:
        self._name = os.fspath(path)
        self._timeout_seconds = timeout_seconds
        self._live = live
        self._container = open_container(self._name, timeout_seconds=timeout_seconds, options=options)
        self._clockless = live and self._container.format.name in _CLOCKLESS
        self._reading = Lock()
        self._lost = 0
        self._broken: BaseException | None = None
        self._cut = False
        self._silent = False
        self._end = Fraction(0)
        try:
            self._stream = self._video_stream()
            # Threads that share out whole frames would each hold one back.
            self._stream.thread_type = "SLICE" if live else "AUTO"
            self._decoded = self._decode()
            # What is displayed, rotation above all, is known for certain only once a frame is there.
            self._first = next(self._decoded, None)
            if self._first is None:
                raise VideoError(f"{self._name}: holds no frame that can be read")
            self.info = self._describe(self._first)
            self._image_of = ToImage(self._first)
        except BaseException:
            self._container.close()
            raise
        step = 1 / ((self.info.frame_rate or 25) * self.info.time_base)
        self._timeline = Timeline(self.info.time_base, step=round(step))

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
        return found

    def __iter__(self) -> Iterator[Frame]:
        index = 0
        started = monotonic()
        decoded, self._first = self._first, None
        while decoded is not None:
            pts, duration = decoded.pts, int(decoded.duration or 0)
            if self._clockless:
                pts, duration = round((monotonic() - started) / ARRIVAL_TICK_SECONDS), 0
            yield Frame(
                index=index,
                pts=self._timeline.place(pts, duration),
                time_base=self.info.time_base,
                image=_turned(self._image_of(decoded), self._quarter_turns),
                duration=duration,
                arrived=monotonic() if self._live else None,
            )
            index += 1
            with self._reading:
                decoded = next(self._decoded, None)
        problem = self._problem(index)
        if problem:
            raise StreamError(problem)

    def _video_stream(self) -> av.VideoStream:
        for stream in self._container.streams.video:
            if not stream.disposition & av.stream.Disposition.attached_pic:  # an album's cover is no video
                if stream.codec_context is None:
                    raise VideoError(f"{self._name}: its video is in a format that FFmpeg cannot decode")
                return stream
        raise VideoError(f"{self._name}: holds no video stream")

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
        count = stream.frames or (round(duration * rate) if duration and rate else 0)
        return VideoInfo(
            source=self._name,
            width=width,
            height=height,
            time_base=time_base,
            frame_rate=rate,
            frame_count=count or None,
            duration_seconds=duration,
            start_seconds=Fraction(container.start_time or 0, av.time_base),
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
        if promised is not None and not self._live:
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
