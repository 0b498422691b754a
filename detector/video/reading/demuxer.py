"""Open a video's container, seek in it, and read it packet by packet into decoded frames."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from threading import Lock
from time import monotonic
from typing import Any

from detector.errors import VideoError
from detector.video.ffmpeg import av
from detector.video.frames import MAX_FRAME_PIXELS, check_frame_size
from detector.video.reading.containers import DAMAGE, is_address, limit_frames, open_container, reason
from detector.video.reading.pipes import PipeReader, is_pipe

_CLOSE_SECONDS = 1.0

_SEEK_BACK_SECONDS = (0, 5, 60)
"""Seconds before the requested time at which to look for a key frame: not every format finds the last one before it."""


class Demuxer:
    """The first video stream of a file or address: its properties and its decoded frames.

    `timeout_seconds` limits the wait for an answer from the network and for a frame. `live` decodes without delay.
    `options` are FFmpeg's, for opening it. Raise `VideoError` if there is no video to read.
    """

    def __init__(
        self,
        name: str,
        *,
        timeout_seconds: float | None = None,
        live: bool = False,
        options: dict[str, str] | None = None,
    ) -> None:
        self.name = name
        self.timeout_seconds = timeout_seconds
        self._live = live
        self._options = options
        self._reading = Lock()
        self._pipe = PipeReader(name) if is_pipe(name) else None
        self.container = self._open()
        try:
            self.stream = self._video_stream()
        except BaseException:
            self.container.close()
            raise
        self.end_seconds = Fraction(0)
        """End of the packets read so far, on the video's clock."""
        self.lost_frames = 0
        """Number of packets that could not be decoded."""
        self.is_cut = False
        """Whether the last packet of the video is incomplete."""
        self._broken: BaseException | None = None
        self._silent = False
        self._decoded = self._decode()

    def next_frame(self) -> av.VideoFrame | None:
        """Return the next frame that can be decoded; None after the last one."""
        with self._reading:
            return next(self._decoded, None)

    def seek(self, seconds: Fraction) -> av.VideoFrame | None:
        """Return a key frame at or before a moment of the video's clock, or its first frame; more frames follow."""
        if self._pipe is not None:
            return self.next_frame()  # it can be read only once
        for back in _SEEK_BACK_SECONDS:
            ticks = round((seconds - back) / (self.stream.time_base or Fraction(1, av.time_base)))
            try:
                self.container.seek(ticks, stream=self.stream)
            except DAMAGE:
                break  # a raw stream
            self._decoded = self._decode()
            frame = next((frame for frame in self._decoded if frame.key_frame), None)
            tick = (frame and frame.time_base) or self.stream.time_base
            if frame is not None and frame.pts is not None and tick and frame.pts * tick <= seconds:
                self.lost_frames = 0
                return frame
        self.container.close()
        self.container = self._open()
        self.stream = self._video_stream()
        self._decoded = self._decode()
        self.lost_frames = 0
        return self.next_frame()

    def stop(self) -> None:
        """End a wait for a pipe; called from another thread than the reading one."""
        if self._pipe is not None:
            self._pipe.stop()

    def close(self) -> None:
        """Close the video."""
        self.stop()
        # If a thread still waits for a silent server, leave the container open: closing it now would crash.
        if self._reading.acquire(timeout=_CLOSE_SECONDS):
            self.container.close()
            if self._pipe is not None:
                self._pipe.close()
            self._reading.release()

    @property
    def is_pipe(self) -> bool:
        """Whether the video can be read only once, from its start to its end."""
        return self._pipe is not None

    @property
    def start_seconds(self) -> Fraction:
        """Time on the video's clock at its beginning."""
        rounded, tick = Fraction(self.container.start_time or 0, av.time_base), Fraction(1, av.time_base)
        starts = [
            stream.start_time * (stream.time_base or tick) for stream in self.container.streams if stream.start_time
        ]
        return next((start for start in starts if abs(start - rounded) <= tick), rounded)

    @property
    def duration_seconds(self) -> Fraction | None:
        """Seconds that the video claims to last; None if unknown."""
        if self.stream.duration and self.stream.time_base:
            return self.stream.duration * self.stream.time_base
        if not self.container.duration:
            return None
        duration = Fraction(self.container.duration, av.time_base)
        # Matroska counts from 0, regardless of when the first stream begins.
        return duration - self.start_seconds if "matroska" in self.container.format.name else duration

    @property
    def break_off(self) -> str | None:
        """Why reading ended early, in a few words; None if it did not."""
        if self._silent or isinstance(self._broken, av.error.ExitError):
            return f"no data arrived for {self.timeout_seconds:g} seconds"
        return None if self._broken is None else f"reading failed: {reason(self._broken)}"

    def decode_packet(self, packet: av.Packet[Any] | None) -> list[av.VideoFrame]:
        """Return the frames that a packet completes; with None, those that remain in the decoder."""
        try:
            return self.stream.decode(packet)
        except EOFError:
            return []
        except DAMAGE:
            self.lost_frames += 1
            return []

    def _open(self) -> av.container.InputContainer:
        return open_container(self.name, timeout_seconds=self.timeout_seconds, options=self._options, pipe=self._pipe)

    def _video_stream(self) -> av.VideoStream:
        for stream in self.container.streams.video:
            if not stream.disposition & av.stream.Disposition.attached_pic:  # an album's cover
                if stream.codec_context is None:
                    raise VideoError(f"{self.name}: FFmpeg cannot decode its video format")
                context = stream.codec_context
                check_frame_size(self.name, context.width, context.height)
                context.options = {"max_pixels": str(MAX_FRAME_PIXELS)}  # frames may become larger later
                limit_frames(stream)
                # Frame threads would each delay one frame.
                stream.thread_type = "SLICE" if self._live else "AUTO"
                return stream
        raise VideoError(f"{self.name}: contains no video stream")

    def _decode(self) -> Iterator[av.VideoFrame]:
        """Yield every frame that can be decoded, and count the packets that cannot."""
        # Audio packets are read and dropped: they show how far the file really goes.
        packets = self.container.demux([self.stream, *self.container.streams.audio])
        waiting_since = monotonic()
        while True:
            try:
                packet = next(packets, None)
            except DAMAGE as error:
                self._broken = error
                packet = None
            if packet is None:
                break
            if self.timeout_seconds and monotonic() - waiting_since > self.timeout_seconds:
                self._silent = True  # data arrives, but no frame
                break
            if packet.pts is not None and packet.time_base:
                self.end_seconds = max(self.end_seconds, (packet.pts + (packet.duration or 0)) * packet.time_base)
            if packet.stream is self.stream and packet.size:
                self.is_cut = packet.is_corrupt  # as the last packet is if the file is truncated within it
                for frame in self.decode_packet(packet):
                    yield frame
                    waiting_since = monotonic()
        yield from self.decode_packet(None)

    @property
    def is_network(self) -> bool:
        """Whether the video comes from an address."""
        return is_address(self.name)
