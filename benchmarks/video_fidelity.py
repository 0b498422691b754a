"""Measure the fidelity of copied videos, as a Markdown table: `python -m benchmarks.video_fidelity FOLDER`."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from detector.detections import Detections
from detector.errors import Yolo3Error
from detector.pipeline.loop import run
from detector.video.ffmpeg import av
from detector.video.reading.containers import DAMAGE
from detector.video.reading.video_file import VideoFile
from detector.video.writing.codecs import VideoSettings
from detector.video.writing.video_writer import VideoWriter

_HIGH_QUALITY = 16
"""The `--quality` at which images are compared."""

_COMPARED_EVERY = 10
"""Frames between two compared frames."""


@dataclass(frozen=True)
class Measured:
    """What a decoder finds in a file."""

    times: tuple[Fraction, ...]
    sound_packets: int
    video_seconds: Fraction
    """Seconds from the first frame's timestamp to the end of the last."""


def measure(path: Path) -> Measured:
    """Read a video with PyAV alone; frames that cannot be decoded are skipped."""
    times: list[Fraction] = []
    sound = 0
    last = Fraction(0)
    with av.open(str(path), metadata_errors="replace") as video:
        stream = video.streams.video[0]
        packets = video.demux([stream, *video.streams.audio])
        while True:
            try:
                packet = next(packets, None)
            except DAMAGE:
                break
            if packet is None:
                break
            if packet.stream is not stream:
                sound += bool(packet.size)
                continue
            try:
                for frame in packet.decode():
                    if isinstance(frame, av.VideoFrame) and frame.pts is not None:
                        tick = frame.time_base or Fraction(1)
                        times.append(frame.pts * tick)
                        last = (frame.duration or 0) * tick
            except DAMAGE:
                continue
    length = max(times) - min(times) + last if times else Fraction(0)
    return Measured(tuple(sorted(times)), sound, length)


def mean_difference(path: Path, copy: Path) -> float:
    """Return the mean difference of a copy's pixels, of 255, in RGB by FFmpeg's own conversion."""
    differences = []
    with av.open(str(path), metadata_errors="replace") as before, av.open(str(copy)) as after:
        for number, (old, new) in enumerate(zip(_pictures(before), _pictures(after), strict=False)):
            if number % _COMPARED_EVERY == 0:
                height, width = old.shape[:2]  # a copy's sides are even
                differences.append(np.abs(old.astype(np.int16) - new[:height, :width]).mean())
    return float(np.mean(differences)) if differences else float("nan")


def _pictures(video: av.container.InputContainer) -> Iterator[NDArray[np.uint8]]:
    """Yield every frame that can be decoded, in RGB and upright."""
    for packet in video.demux(video.streams.video[0]):
        with suppress(*DAMAGE):
            for frame in packet.decode():
                if isinstance(frame, av.VideoFrame):
                    picture = np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)
                    yield np.rot90(picture, round(frame.rotation / 90))


def row(path: Path, folder: Path) -> str:
    """Return one video's line of the table."""
    target = folder / f"{path.stem}.mp4"
    try:
        with VideoFile(path) as video:
            writer = VideoWriter(
                target, video.info, audio_from=path, settings=VideoSettings(crf=_HIGH_QUALITY), overwrite=True
            )
            summary = run(video, lambda frame: Detections.empty(), [writer])
    except Yolo3Error as error:
        return f"| {path.name} | {str(error).removeprefix(str(path)).lstrip(': ')} | | | | | |"
    before, after = measure(path), measure(target)
    shift = before.times[0] - after.times[0] if writer.notes and "starts at 0 s" in writer.notes[-1] else Fraction(0)
    pairs = zip(before.times, after.times, strict=False)
    error_seconds = max((abs(old - new - shift) for old, new in pairs), default=Fraction(0))
    return (
        f"| {path.name} | {summary.status} | {len(before.times)} / {len(after.times)} | "
        f"{float(error_seconds) * 1e6:.3f} | {before.sound_packets} / {after.sound_packets} | "
        f"{float(before.video_seconds):.3f} / {float(after.video_seconds):.3f} | "
        f"{mean_difference(path, target):.2f} |"
    )


def main() -> None:
    """Print the table of the videos in the given folders."""
    print(
        "| video | run | frames in / out | largest timestamp error, µs | sound packets in / out | seconds in / out "
        "| mean difference, of 255 |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as folder:
        for name in sys.argv[1:]:
            for path in sorted(Path(name).iterdir()):
                if path.is_file():
                    print(row(path, Path(folder)), flush=True)


if __name__ == "__main__":
    main()
