"""Cut a long video at key frames into segments that can be processed apart."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

from detector.errors import SettingsError, VideoError
from detector.video.reading.containers import DAMAGE
from detector.video.reading.demuxer import Demuxer
from detector.video.reading.pipes import is_pipe
from detector.video.section import Section, parse_seconds

_LEAST_BYTES_PER_MINUTE = 500_000
"""A smaller file is not opened to find out how long it is."""

_SHORTEST_SECONDS = 1.0
_LONGEST_PAUSE_SECONDS = 3600


@dataclass(frozen=True)
class Segment:
    """The frames of a video from one key frame up to another."""

    number: int
    """From 0."""
    count: int
    """Number of segments of the video."""
    section: Section
    frames: int
    """Number of frames in it."""


def parse_segment_seconds(text: str) -> float | None:
    """Parse the length of segments as a user writes it; None for 0, which means uncut. Raise `SettingsError`."""
    seconds = 60 * parse_seconds("segment-minutes", text)
    if 0 < seconds < _SHORTEST_SECONDS:
        raise SettingsError(f"segment-minutes {text} is too short; expected at least a second")
    return seconds or None


def segments_of(path: Path, seconds: float, *, deinterlace: bool) -> list[Segment]:
    """Return the segments of about so many seconds; empty for a video that is shorter, or that cannot be cut exactly.

    All packets are read, and none is decoded. A video is cut only if every packet has a timestamp of its own and they
    go on without jumps, so that each frame belongs to one segment. Interlaced videos are not cut, as a frame's fields
    depend on its neighbours.
    """
    try:
        if is_pipe(str(path)) or path.stat().st_size < seconds / 60 * _LEAST_BYTES_PER_MINUTE:
            return []
        demuxer = Demuxer(str(path))
    except (VideoError, OSError, ValueError):
        return []  # reported when it is processed
    try:
        if not demuxer.duration_seconds or demuxer.duration_seconds < 1.5 * seconds:
            return []
        first = demuxer.next_frame()
        if first is None or (deinterlace and first.interlaced_frame):
            return []
        tick, start = demuxer.stream.time_base, demuxer.start_seconds
    finally:
        demuxer.close()
    if tick is None:
        return []
    found = _timestamps(path)
    return [] if found is None else _cut(*found, tick=tick, start=start, seconds=seconds)


def _timestamps(path: Path) -> tuple[array[int], list[int]] | None:
    """Return the timestamps of all frames in order, and those of key frames; None if they are not as they should be."""
    shown, keys, last = array("q"), list[int](), None
    demuxer = Demuxer(str(path))
    try:
        for packet in demuxer.container.demux(demuxer.stream):
            if not packet.size or packet.is_discard:
                continue
            if packet.pts is None or packet.is_corrupt:
                return None
            if packet.dts is not None:
                if last is not None and packet.dts <= last:
                    return None
                last = packet.dts
            shown.append(packet.pts)
            if packet.is_keyframe:
                keys.append(packet.pts)
    except DAMAGE:
        return None
    finally:
        demuxer.close()
    ordered = array("q", sorted(shown))
    longest = _LONGEST_PAUSE_SECONDS / (demuxer.stream.time_base or Fraction(1))
    if any(not 0 < after - before < longest for before, after in pairwise(ordered)):
        return None
    return ordered, sorted(keys)


def _cut(shown: array[int], keys: list[int], *, tick: Fraction, start: Fraction, seconds: float) -> list[Segment]:
    if not shown:
        return []
    length = round(Fraction(seconds) / tick)
    edges: list[int] = []
    wanted = shown[0] + length
    # The last segment may be up to half as long again as the others.
    while wanted <= shown[-1] - length // 2:
        place = bisect_left(keys, wanted)
        if place == len(keys) or keys[place] > shown[-1] - length // 2:
            break
        edges.append(keys[place])
        wanted = keys[place] + length
    if not edges:
        return []
    moments = [None, *(edge * tick - start for edge in edges), None]
    places = [0, *(bisect_left(shown, edge) for edge in edges), len(shown)]
    return [
        Segment(number, len(edges) + 1, Section(begin, end), after - before)
        for number, ((begin, end), (before, after)) in enumerate(zip(pairwise(moments), pairwise(places), strict=True))
    ]
