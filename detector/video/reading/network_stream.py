"""Read videos from a network: their pace, playlists, and how they end."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from fractions import Fraction
from time import monotonic, sleep
from typing import Any
from zlib import crc32

from detector.errors import StreamError, VideoError
from detector.video.ffmpeg import av
from detector.video.frames import Frame
from detector.video.reading.containers import counted, open_container
from detector.video.reading.demuxer import Demuxer
from detector.video.reading.reconnecting import StreamFinished
from detector.video.reading.video_file import VideoFile

_EARLY_SECONDS = 0.5
"""A recording that ends this many seconds before its declared end has broken off."""

_REMEMBERED_PACKETS = 20_000
"""More packets than a playlist lists: a minute of segments is 1,500 packets."""

_HLS = {"max_reload": "1000000", "m3u8_hold_counters": "1000000"}
"""How often an unchanged playlist is read again: as often as the timeout allows.

At its own limit, FFmpeg would skip the next segment. Other formats ignore these options.
"""

_LATE_SECONDS = 1.0
"""Seconds by which a frame may be late, or ahead, before the clock is reset."""


class Memory:
    """The packets of a stream that were read, kept from one connection to the next.

    A packet is identified by its timestamp and all bytes since the keyframe before it, because still images are encoded
    identically again and again.
    """

    def __init__(self) -> None:
        self._known: set[tuple[int, int]] = set()
        self._order: deque[tuple[int, int]] = deque()
        self._since_keyframe = 0
        self.newest: int | None = None
        """The timestamp of the last new packet."""

    def knows(self, packet: av.Packet[Any]) -> bool:
        """Return whether this packet was read before, and remember it."""
        self._since_keyframe = crc32(bytes(packet), 0 if packet.is_keyframe else self._since_keyframe)
        key = packet.pts or 0, self._since_keyframe
        if key in self._known:
            return True
        self.newest = packet.pts
        self._known.add(key)
        self._order.append(key)
        if len(self._order) > _REMEMBERED_PACKETS:
            self._known.discard(self._order.popleft())
        return False


class Pace:
    """Delays frames until their timestamps are due, as a player does.

    The clock is set to the current frame when frames come late or their times jump.
    """

    def __init__(self) -> None:
        self._started: float | None = None

    def wait(self, seconds: float) -> None:
        """Wait until the frame with this timestamp is due, for a second at most."""
        now = monotonic()
        if self._started is None or now - (self._started + seconds) > _LATE_SECONDS:
            self._started = now - seconds
        ahead = self._started + seconds - now
        if ahead > _LATE_SECONDS:
            self._started -= ahead - _LATE_SECONDS
        sleep(min(max(ahead, 0.0), _LATE_SECONDS))


class _PlaylistDemuxer(Demuxer):
    """Leaves out what earlier connections to the same HLS playlist have read; other formats are unchanged."""

    def __init__(self, name: str, memory: Memory, *, timeout_seconds: float, options: dict[str, str]) -> None:
        self._memory = memory
        self._left_at = memory.newest
        self._again: set[int | None] = set()
        self._is_over = False
        super().__init__(name, timeout_seconds=timeout_seconds, live=True, options=options)

    @property
    def is_playlist(self) -> bool:
        """Whether it is HLS."""
        return self.container.format.name == "hls"

    @property
    def has_nothing_new(self) -> bool:
        """Whether the playlist has ended and everything read of it is known."""
        return self._is_over and bool(self._again)

    def decode_packet(self, packet: av.Packet[Any] | None) -> list[av.VideoFrame]:
        """Return the frames that a packet completes, without those that were read before."""
        if packet is not None and self.is_playlist:
            self._is_over = self.container.duration is not None
            # A playlist that has ended meanwhile begins at its first segment, perhaps long before the loss.
            before = self._is_over and (self._left_at or 0) > (packet.pts or 0)
            if self._memory.knows(packet) or before:
                self._again.add(packet.pts)
            else:
                self._again.discard(packet.pts)
        return [frame for frame in super().decode_packet(packet) if frame.pts not in self._again]


class NetworkStream(VideoFile):
    """A live video from an address, or a recording from one, which is played at its own pace.

    HLS comes in segments of some seconds, and a playlist that is opened again lists some a second time: frames come at
    the pace of their timestamps, and packets that `memory` knows are not shown again. When the playlist says that the
    stream has ended, `info` has a duration, as that of a recording. Raise `VideoError` if there is no video to read,
    `StreamFinished` if the stream has ended.
    """

    def __init__(
        self,
        address: str,
        *,
        timeout_seconds: float,
        memory: Memory | None = None,
        options: dict[str, str] | None = None,
    ) -> None:
        self._source = _PlaylistDemuxer(
            address, memory or Memory(), timeout_seconds=timeout_seconds, options={**_HLS, **(options or {})}
        )
        try:
            super().__init__(address, live=True, demuxer=self._source)
        except VideoError:
            if self._source.has_nothing_new:
                raise StreamFinished from None
            raise

    @property
    def starts_over(self) -> bool:
        """Whether a new connection would begin again at the first frame, as for a recording."""
        return self.info.duration_seconds is not None and not self._source.is_playlist

    def __iter__(self) -> Iterator[Frame]:
        pace = Pace() if self._source.is_playlist or self.info.duration_seconds is not None else None
        count = 0
        for frame in super().__iter__():
            if pace is not None:
                pace.wait(float(frame.time))
                frame.arrived = monotonic()
            yield frame
            count += 1
        why = self._why_no_more()
        if why is not None:
            raise StreamError(f"{self._name}: the stream broke off; {counted(count, 'frame')} could be read, {why}")

    def _why_no_more(self) -> str | None:
        """Return why a stream ended without an error; None if it is complete."""
        duration = self.info.duration_seconds
        if duration is not None:
            missing = duration - (self._source.end_seconds - self.info.start_seconds)
            return f"{float(missing):.1f} seconds are missing" if missing >= _EARLY_SECONDS else None
        return self._why_no_segments() if self._source.is_playlist else "then it ended"

    def _why_no_segments(self) -> str | None:
        """Return why a playlist has no more segments; None if it is complete.

        FFmpeg ends in the same way when it is complete, when the playlist is gone, and when it lists nothing new.
        """
        try:
            with closing(open_container(self._name, timeout_seconds=self._source.timeout_seconds)) as container:
                start, duration = container.start_time, container.duration
        except VideoError as error:
            return f"then {str(error).removeprefix(self._name).lstrip(': ')}"
        # It may have ended at this very moment, with segments still to be read.
        end = None if duration is None else Fraction((start or 0) + duration, av.time_base)
        if duration is None or end is None or end - self._source.end_seconds >= _EARLY_SECONDS:
            return "then its playlist listed nothing new"
        self.info = replace(self.info, duration_seconds=Fraction(duration, av.time_base))
        return None
