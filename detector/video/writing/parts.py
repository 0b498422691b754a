"""Write part files: the encoded video until it is complete, playable even after the program was killed.

A part is a fragmented MP4 with a fragment for each frame. What is kept of a part is a run of packets without a gap
between the frames they show, so that the next part continues with the next frame.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import count, takewhile
from math import lcm
from pathlib import Path
from typing import Any

from detector.video.ffmpeg import av
from detector.video.reading.containers import DAMAGE

_LEAST_TIMESCALE = 10_000
_MOST_TICKS = 2**31 - 1
_MARK = "yolo3 run "
_USUAL_STEP = Fraction(1, 25)
"""Seconds for which a video's only frame is shown if the video does not say."""


@dataclass(frozen=True)
class Part:
    """The usable beginning of a part file."""

    path: Path

    frames: int
    """Number of packets to keep, from the start; each is a frame."""

    shift_seconds: Fraction = Fraction(0)
    """Time in the whole video of this file's time 0."""


def part_options(time_base: Fraction) -> dict[str, str]:
    """FFmpeg's options for writing a part."""
    return {
        # The header waits for the first frame, which determines when the track starts.
        "movflags": "+frag_every_frame+delay_moov+default_base_moof",
        "movie_timescale": str(timescale(time_base)),
        "flush_packets": "1",
    }


def mark(stream: av.VideoStream, run_digest: str) -> None:
    """Mark a file with the digest of the run that made it.

    MP4 and Matroska keep a track's handler name, which no player shows.
    """
    stream.metadata["handler_name"] = _MARK + run_digest


def made_by(path: Path) -> str | None:
    """Return the digest of the run that made a part or an unfinished video; None if the file has none."""
    try:
        with av.open(f"file:{path}") as video:
            tags = {name.lower(): text for name, text in video.streams.video[0].metadata.items()}
    except (*DAMAGE, OSError):
        return None
    name = tags.get("handler_name", "")
    return name.removeprefix(_MARK) if name.startswith(_MARK) else None


def kept_of(paths: Iterable[Path]) -> list[Part]:
    """Return the usable beginnings of these parts, each of which continues where the one before ends."""
    parts = [Part(path, _whole_frames(path)) for path in paths]
    return [part for part in parts if part.frames]


def packets_of(parts: Sequence[Part]) -> Iterator[av.Packet[Any]]:
    """Yield the packets of all parts in decoding order, with timestamps that one track can hold."""
    last: Fraction | None = None
    for part in parts:
        with av.open(f"file:{part.path}") as video:
            for number, packet in enumerate(_packets(video)):
                if number == part.frames:
                    break
                assert packet.dts is not None and packet.pts is not None
                if part.shift_seconds:
                    shift = round(part.shift_seconds / packet.time_base)
                    packet.pts, packet.dts = packet.pts + shift, packet.dts + shift
                # Each encoder counts decoding times from before its first frame.
                if last is not None and packet.dts * packet.time_base <= last:
                    packet.dts = int(last / packet.time_base) + 1
                if not packet.duration:  # VP9 loses the duration, and an MP4 would not show the last frame
                    step = _USUAL_STEP if last is None else packet.dts * packet.time_base - last
                    packet.duration = max(1, round(step / packet.time_base))
                last = packet.dts * packet.time_base
                yield packet


def timescale(time_base: Fraction, sound_rates: Iterable[int] = ()) -> int:
    """Return the ticks per second of an MP4 file's own clock, in which the start of each track is stored.

    FFmpeg's default of 1000 would round the start of a track that starts late.
    """
    ticks = time_base.denominator
    while ticks < _LEAST_TIMESCALE:  # FFmpeg gives the video track ticks of this resolution
        ticks *= 2
    exact = lcm(ticks, *sound_rates)
    return exact if exact <= _MOST_TICKS else ticks


def _packets(video: av.container.InputContainer) -> Iterator[av.Packet[Any]]:
    """Yield the packets of a part, up to the first damaged one."""
    try:
        for packet in video.demux(video=0):
            if packet.size and (packet.is_corrupt or packet.pts is None or packet.dts is None):
                return
            if packet.size:
                yield packet
    except DAMAGE:
        return


def _whole_frames(path: Path) -> int:
    """Return how many packets from the start hold all frames up to some moment."""
    shown: list[int] = []
    decoded = None
    try:
        with av.open(f"file:{path}") as video:
            for packet in _packets(video):
                assert packet.pts is not None
                shown.append(packet.pts)
                decoded = packet.dts
    except (*DAMAGE, OSError):
        return 0
    # No later packet shows anything before the last decoding time, so nothing is missing up to there.
    whole = latest = 0
    ordered = sorted(shown)
    for number, pts in enumerate(shown, 1):
        latest = max(latest, pts) if number > 1 else pts
        if decoded is not None and latest <= decoded and ordered[number - 1] == latest:
            whole = number
    return whole


def part_path(path: Path, number: int = 1) -> Path:
    """Return where a video is written until it is complete: beside its final name, always as MP4.

    A resumed run adds a part.
    """
    # A name that users do not give their files, because it is deleted without asking.
    return path.with_name(f"{path.name}.yolo3-part{number}.mp4")


def whole_path(part: Path) -> Path | None:
    """Return the final name of the video that a part belongs to; None for a file that is not named as a part."""
    match = re.fullmatch(r"(.+)\.yolo3-part\d+\.mp4", part.name)
    return part.with_name(match[1]) if match else None


def parts_left(path: Path) -> list[Path]:
    """Return the parts that an unfinished run left of this video, in order."""
    return list(takewhile(Path.exists, (part_path(path, number) for number in count(1))))
