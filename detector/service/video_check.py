"""Uploaded videos: which container they are, and whether they are within the limits.

`python -m detector.service.video_check FILE FORMAT LIMITS` looks at one in a process of its own and prints what it
found as JSON.
"""

from __future__ import annotations

import json
import re
import sys
from dataclasses import asdict, dataclass

from detector.errors import VideoError, Yolo3Error
from detector.service.request_errors import VIDEO
from detector.video.reading.containers import DAMAGE, Confinement, confined
from detector.video.reading.demuxer import Demuxer

SNIFFED_BYTES = 400
SECONDS = 60.0
"""For the look at one video."""

_HIGHEST_RATE = 240
"""Frames per second; a video of the longest length may hold so many."""

_CONTAINERS = (
    (rb"....(ftyp|moov|mdat|wide|free|skip|pnot)", "mov", ".mp4"),
    (rb"\x1a\x45\xdf\xa3", "matroska", ".mkv"),
    (rb"RIFF....AVI ", "avi", ".avi"),
    (rb"\x47.{187}\x47", "mpegts", ".ts"),
    (rb"\0\0\x01\xba", "mpeg", ".mpg"),
    (rb"FLV\x01", "flv", ".flv"),
    (rb"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "asf", ".wmv"),
    (rb"OggS", "ogg", ".ogv"),
)


@dataclass(frozen=True)
class VideoLimits:
    """How large a video may be."""

    seconds: float
    pixels: int


@dataclass(frozen=True)
class CheckedVideo:
    """What a video is."""

    width: int
    height: int
    seconds: float
    frames: int


def container_of(start: bytes) -> tuple[str, str] | None:
    """FFmpeg's name of the container that a file begins as, and the suffix to keep it under; None for others."""
    for signature, name, suffix in _CONTAINERS:
        if re.match(signature, start, re.DOTALL):
            return name, suffix
    return None


def check_video(path: str, limits: VideoLimits, *, container: str) -> CheckedVideo:
    """Look at a video; raises `VideoError` where it cannot be read or is beyond the limits.

    What it says of its length is not believed: all of its packets are looked at.
    """
    with confined(Confinement(container, limits.pixels)):
        demuxer = Demuxer(path)
        try:
            size = demuxer.stream.codec_context
            width, height = size.width, size.height
            if width * height > limits.pixels:
                raise VideoError(f"{VIDEO} is {width}x{height}: more than {limits.pixels:,} pixels a frame")
            if demuxer.next_frame() is None:
                raise VideoError(f"{VIDEO}: no frame of it can be read; convert it to MP4 first")
            frames, seconds = _length(demuxer, limits.seconds)
        finally:
            demuxer.close()
    return CheckedVideo(width, height, seconds, frames)


def _length(demuxer: Demuxer, most_seconds: float) -> tuple[int, float]:
    """How many packets of pictures follow, and how long they last."""
    frames, first, last = 1, None, 0.0
    try:
        for packet in demuxer.container.demux(demuxer.stream):
            if packet.pts is None:
                continue
            time = float(packet.pts * packet.time_base)
            first = time if first is None else min(first, time)
            last = max(last, time)
            frames += 1
            if last - first > most_seconds or frames > most_seconds * _HIGHEST_RATE:
                raise VideoError(f"{VIDEO} is longer than {most_seconds / 60:g} minutes, the most that is taken")
    except DAMAGE:
        pass  # what can be read of it is processed
    return frames, 0.0 if first is None else last - first


def main() -> None:
    """Check the video that the command line names."""
    path, container, limits = sys.argv[1:]
    try:
        found = check_video(path, VideoLimits(**json.loads(limits)), container=container)
    except Yolo3Error as error:
        print(json.dumps({"error": str(error).replace(path, VIDEO)}))
        return
    print(json.dumps(asdict(found)))


if __name__ == "__main__":
    main()
