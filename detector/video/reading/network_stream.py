"""A video that comes over a network, in the ways that such videos differ from files."""

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
from detector.video.reading.reconnecting import StreamFinished
from detector.video.reading.video_file import VideoFile

_EARLY_SECONDS = 0.5
"""A recording that ends this much before the end it promises has broken off."""

_REMEMBERED_PACKETS = 20_000
"""More than a playlist lists: a minute of segments is 1,500 packets."""

_HLS = {"max_reload": "1000000", "m3u8_hold_counters": "1000000"}
"""How often a playlist without news is read again: as often as the timeout allows. FFmpeg, when it has counted to its
own limit, passes over the segment that comes next. Other formats do not know these options."""

_LATE_SECONDS = 1.0
"""A frame this late, or due this far ahead, starts the clock anew."""


class Memory:
    """Which packets of a stream were read, from one connection to the next.

    A packet is known by its timestamp and by all bytes since the keyframe before it: pictures that stand still are
    encoded alike again and again.
    """

    def __init__(self) -> None:
        self._known: set[tuple[int, int]] = set()
        self._order: deque[tuple[int, int]] = deque()
        self._since_keyframe = 0
        self.newest: int | None = None
        """The timestamp of the last packet that was new."""

    def knows(self, packet: av.Packet[Any]) -> bool:
        """Whether this packet was read before; from now on it was."""
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
    """Lets frames go when their timestamps say, as a player does.

    Where they come late, or their times jump, the clock is set to the frame at hand.
    """

    def __init__(self) -> None:
        self._started: float | None = None

    def wait(self, seconds: float) -> None:
        """Return when the frame of this timestamp is due, after a second at most."""
        now = monotonic()
        if self._started is None or now - (self._started + seconds) > _LATE_SECONDS:
            self._started = now - seconds
        ahead = self._started + seconds - now
        if ahead > _LATE_SECONDS:
            self._started -= ahead - _LATE_SECONDS
        sleep(min(max(ahead, 0.0), _LATE_SECONDS))


class NetworkStream(VideoFile):
    """A live video from an address, or a recording from one, which is played at its own pace.

    HLS comes in segments of some seconds, and a playlist that is opened again lists some a second time: frames go at
    the pace of their timestamps, and packets that `memory` knows are not shown again. When the playlist says that the
    stream has ended, `info` has a duration, as that of a recording.

    Raises `VideoError` where there is no video to read, `StreamFinished` where there is none any more.
    """

    def __init__(
        self,
        address: str,
        *,
        timeout_seconds: float,
        memory: Memory | None = None,
        options: dict[str, str] | None = None,
    ) -> None:
        self._memory = memory or Memory()
        self._left_at = self._memory.newest
        self._again: set[int | None] = set()
        self._finished = False
        try:
            super().__init__(address, timeout_seconds=timeout_seconds, live=True, options={**_HLS, **(options or {})})
        except VideoError:
            if self._finished and self._again:
                raise StreamFinished from None
            raise

    @property
    def starts_over(self) -> bool:
        """Whether a new connection would begin again at the first frame, as that to a recording does."""
        return self.info.duration_seconds is not None and not self._is_playlist

    def __iter__(self) -> Iterator[Frame]:
        pace = Pace() if self._is_playlist or self.info.duration_seconds is not None else None
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
        """What a stream without an error has ended by; None where it is complete."""
        duration = self.info.duration_seconds
        if duration is not None:
            missing = duration - (self._end - self.info.start_seconds)
            return f"{float(missing):.1f} seconds are missing" if missing >= _EARLY_SECONDS else None
        return self._why_no_segments() if self._is_playlist else "then it ended"

    def _why_no_segments(self) -> str | None:
        """Why a playlist gives no more; None where it is complete.

        FFmpeg ends alike in that case, when the playlist is not there, and when it lists nothing new.
        """
        try:
            with closing(open_container(self._name, timeout_seconds=self._timeout_seconds)) as container:
                start, duration = container.start_time, container.duration
        except VideoError as error:
            return f"then {str(error).removeprefix(self._name).lstrip(': ')}"
        # It may have ended at this very moment, with segments that are still to be read.
        if duration is None or Fraction((start or 0) + duration, av.time_base) - self._end >= _EARLY_SECONDS:
            return "then its playlist listed nothing new"
        self.info = replace(self.info, duration_seconds=Fraction(duration, av.time_base))
        return None

    @property
    def _is_playlist(self) -> bool:
        return self._container.format.name == "hls"

    def _decode_packet(self, packet: av.Packet[Any] | None) -> list[av.VideoFrame]:
        if packet is not None and self._is_playlist:
            self._finished = self._container.duration is not None
            # A playlist that has ended meanwhile begins at its first segment, perhaps long before it was lost.
            before = self._finished and (self._left_at or 0) > (packet.pts or 0)
            if self._memory.knows(packet) or before:
                self._again.add(packet.pts)
            else:
                self._again.discard(packet.pts)
        return [frame for frame in super()._decode_packet(packet) if frame.pts not in self._again]
