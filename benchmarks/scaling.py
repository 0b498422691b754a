"""Measure how the cost of a frame depends on image size, position in the video and number of sources."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np

from benchmarks.networks import Measured
from benchmarks.report import table
from detector import Detector
from detector.detections import Detections
from detector.images.planes import Planes
from detector.logs.frame_log import FrameLog, RunRecord
from detector.pipeline.annotate_video import VideoOptions, annotate_video, draw_boxes
from detector.pipeline.loop import LoopOptions, RunResult, run
from detector.pipeline.outputs import Outputs
from detector.pipeline.watch import CameraOptions, watch_cameras
from detector.settings import Settings
from detector.video.frames import Colours, Frame, Image, Sink, Source, VideoInfo
from detector.video.reading.video_file import VideoFile
from detector.video.writing.codecs import VideoSettings
from detector.video.writing.video_writer import VideoWriter

SIZES = ((320, 180), (640, 360), (1280, 720), (1920, 1080), (3840, 2160))
SOURCES = (1, 2, 4)
LONG_FRAMES = 20_000
_WINDOW = 1_000
_WARM_UP = 100


def picture_sizes(network: Measured, folder: Path, *, frames: int = 120) -> str:
    """Return a table of CPU time against the size of a generated video's images."""
    rows = []
    for width, height in SIZES:
        video = _generated(folder / f"{width}x{height}.mp4", width, height, frames)
        costs = []
        for annotated in (False, True):
            out = folder / "sized.mp4" if annotated else None
            outputs = Outputs(out, folder / "sized.jsonl", overwrite=True, profile=True)
            settings = Settings(size=str(network.size), shape="rect", engine="litert")
            began = time.process_time()
            options = VideoOptions(video, network.model, settings, outputs)
            summary = annotate_video(options, bar=lambda _: contextlib.nullcontext())
            seconds = time.process_time() - began
            costs.append(f"{seconds / summary.frames * 1e3:.1f}")
        rows.append((f"{width}x{height}", *costs))
    head = ("pictures", "log only, CPU ms a frame", "video and log, CPU ms a frame")
    return f"### Cost against picture size\n\n{table(head, rows)}"


def place_in_video(network: Measured, folder: Path) -> str:
    """Return a table of CPU time along a video of 20,000 frames, whose images repeat."""
    video = _generated(folder / "loop.mp4", 320, 180, 200)
    with VideoFile(video) as source:
        info, images = source.info, [frame.image for frame in source]
    marks: list[tuple[int, float]] = []

    class Bar:
        count = 0

        def update(self, n: int = 1, /) -> None:
            self.count += n
            if self.count == _WARM_UP or (self.count % _WINDOW == 0):
                marks.append((self.count, time.process_time()))

    detector = Detector.open(network.model, size=str(network.size), shape="rect", engine="litert")
    record = RunRecord.of(info, model="", model_sha256="", settings={}, classes=detector.names)
    sinks: list[Sink] = [
        FrameLog(folder / "long.jsonl", record, overwrite=True),
        VideoWriter(folder / "long.mp4", info, settings=VideoSettings(preset="ultrafast"), overwrite=True),
    ]
    loop = LoopOptions(annotate=draw_boxes, progress=Bar())
    run(Repeated(info, images), detector.detect_frame, sinks, loop)
    costs = {last: (then - now) / (last - first) * 1e3 for (first, now), (last, then) in pairwise(marks)}
    fifths = np.array_split(list(costs.values()), 5)
    base = float(np.median(fifths[0]))
    ends = [int(part[-1]) for part in np.array_split(list(costs), 5)]
    rows = [
        (f"to frame {end:,}", f"{np.median(part):.2f}", f"{np.median(part) / base:.2f}")
        for end, part in zip(ends, fifths, strict=True)
    ]
    return f"### Cost along a video of 20,000 frames\n\n{table(('', 'CPU ms a frame', 'against the first'), rows)}"


def sources(network: Measured, folder: Path) -> str:
    """Return a table of several live sources of 25 frames per second that share one detector."""
    video = _generated(folder / "live.mp4", 640, 360, 250)
    rows = []
    for count in SOURCES:
        began = time.process_time()
        settings = Settings(size=str(network.size), shape="rect", engine="litert")
        outputs = Outputs(None, folder / "live.jsonl", overwrite=True)
        options = CameraOptions((str(video),) * count, network.model, settings, outputs, window=False)
        answers = watch_cameras(options, bar=lambda _: contextlib.nullcontext(), on_note=print)
        seconds = time.process_time() - began
        done = [answer for answer in answers if isinstance(answer, RunResult)]
        frames, dropped = sum(one.frames for one in done), sum(one.dropped for one in done)
        rows.append((count, frames, dropped, f"{seconds / frames * 1e3:.1f}"))
    head = ("sources of 25 frames/s", "frames done", "dropped", "CPU ms a frame, opening included")
    return f"### Several sources, ten seconds\n\n{table(head, rows)}"


def memory(network: Measured, video: Path) -> str:
    """Return a sentence on the peak memory of `yolo3 video`, in a separate process."""
    program = """
import contextlib, sys
from pathlib import Path
from detector.settings import Settings
from detector.pipeline.annotate_video import VideoOptions, annotate_video
from detector.pipeline.outputs import Outputs
video, model, folder, size = sys.argv[1:]
outputs = Outputs(Path(folder) / "out.mp4", Path(folder) / "out.jsonl", overwrite=True)
settings = Settings(size=size, engine="litert")
options = VideoOptions(Path(video), Path(model), settings, outputs)
annotate_video(options, bar=lambda _: contextlib.nullcontext())
print([line.split()[1] for line in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in line][0])
"""
    arguments = [video, network.model, network.model.parent, network.size]
    done = subprocess.run(
        [sys.executable, "-c", program, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[1],
    )
    peak = int(done.stdout.split()[-1]) / 1024
    weights = network.weights.stat().st_size / 2**20
    return (
        f"`yolo3 video` with {network.name}, annotated, on {video.name}: {peak:.0f} MB at most; "
        f"the weights have {weights:.0f} MB, 1.5 times that and 250 MB are {1.5 * weights + 250:.0f}."
    )


class Repeated(Source):
    """Yield copies of the same images over and over, because drawing changes them."""

    def __init__(self, info: VideoInfo, images: list[Image]) -> None:
        self._info, self._images = info, images

    def __iter__(self) -> Iterator[Frame]:
        rate = self._info.frame_rate or Fraction(25)
        for index in range(LONG_FRAMES):
            image = self._images[index % len(self._images)]
            assert isinstance(image, Planes)
            yield Frame(index, round(index / rate / self._info.time_base), self._info.time_base, image.copy())


def _generated(path: Path, width: int, height: int, frames: int) -> Path:
    """Write a video of soft shapes that drift, with some noise."""
    random = np.random.default_rng(5)
    wide = cv2.resize(random.integers(0, 256, (9, 32, 3), np.uint8), (2 * width, height), interpolation=cv2.INTER_CUBIC)
    info = VideoInfo(
        "generated", width, height, Fraction(1, 25), frame_rate=Fraction(25), colours=Colours(matrix=1, primaries=1)
    )
    with VideoWriter(path, info, settings=VideoSettings(preset="ultrafast"), overwrite=True) as writer:
        for number in range(frames):
            left = number * width // frames
            noise = random.integers(0, 8, (height, width, 1), np.uint8)
            picture = np.clip(wide[:, left : left + width].astype(np.int16) + noise, 0, 255).astype(np.uint8)
            writer.write(Frame(number, number, info.time_base, np.ascontiguousarray(picture), 1), Detections.empty())
    return path
