"""Measure what `--every` and `--skip-still` cost in average precision and save in CPU time on videos."""

from __future__ import annotations

import argparse
import functools
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2

from benchmarks import networks, rejected
from benchmarks.report import PAGE, machine, put, table
from detector import Detections, Detector
from detector.evaluation.average_precision import MOST_DETECTIONS, Score, Truth, score
from detector.tracking.frame_skipping import FrameSkipping, FrameSkippingDetector
from detector.video.frames import Detect, Frame
from detector.video.reading.video_file import VideoFile

ALL = "all"
EVERY = (2, 3, 5, 10)
CHOICES = {
    **{f"--every {n} --carry still": FrameSkipping(n, "still") for n in EVERY},
    **{f"--every {n}": FrameSkipping(n) for n in EVERY},
    "--skip-still": FrameSkipping(skip_still=True),
    **{f"--skip-still --every {n}": FrameSkipping(n, skip_still=True) for n in (2, 5)},
}

BESIDE = {
    name: CHOICES[name] for name in ("--every 2", "--every 3", "--every 10", "--skip-still", "--skip-still --every 2")
}
"""Shown beside the rejected methods for comparison."""

_LINES = {
    "--every 2, 3, 5, 10": ((ALL, *(f"--every {n}" for n in EVERY)), "o-"),
    "with --carry still": ((ALL, *(f"--every {n} --carry still" for n in EVERY)), ".:"),
    "--skip-still, and with --every 2, 5": ([name for name in CHOICES if name.startswith("--skip")], "*--"),
}


@dataclass
class Way:
    """One method, and its results on a video."""

    name: str
    detect: Detect
    found: list[Detections] = field(default_factory=list)
    seconds: float = 0.0
    detected: float = 0.0
    """Frames, or the equivalent number of input pixels."""

    def take(self, frame: Frame) -> None:
        """Return the boxes of the next frame."""
        began = time.thread_time()
        found = self.detect(frame)
        self.seconds += time.thread_time() - began
        self.found.append(found)


@dataclass(frozen=True)
class Result:
    """A row of the table."""

    detected: float
    """Fraction of the frames."""

    ap50: float
    ap: float
    milliseconds: float
    """CPU time per frame of the video: the network and everything else that computes boxes."""


def main() -> None:
    """Measure, plot, and write the section `less work` of docs/performance.md."""
    parser = argparse.ArgumentParser(description=__doc__, prog="scripts/less_work")
    parser.add_argument(
        "--network", action="append", nargs=3, metavar=("CFG", "SIZE", "WEIGHTS"), required=True, help="may be repeated"
    )
    parser.add_argument("--videos", nargs="+", type=Path, required=True)
    parser.add_argument("--rejected", action="store_true", help="also measure rejected methods, into their own section")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    measured: dict[str, dict[str, dict[str, Result]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for cfg, size, weights in options.network:
            network = networks.prepare(Path(cfg), Path(weights), int(size), Path(folder))
            others = rejected.WAYS if options.rejected else {}
            opened = functools.partial(Detector.open, network.model, size=size, threads=1)
            measured[network.name] = {video.stem: measure(opened, video, others) for video in options.videos}
    if options.rejected:
        put("less work, rejected", rejected_report(measured))
    else:
        plot(measured)
        put("less work", report(measured))


def measure(open_one: Callable[[], Detector], video: Path, others: dict[str, Any]) -> dict[str, Result]:
    """Run every method on a video, alternating at each frame."""
    detector = open_one()
    with VideoFile(video) as source:
        ways = [Way(ALL, detector.detect_frame)]
        ways += [Way(name, make(open_one)) for name, make in others.items()]
        chosen = BESIDE if others else CHOICES
        ways += [Way(name, FrameSkippingDetector(detector.detect_frame, choice)) for name, choice in chosen.items()]
        for frame in source:
            for way in ways:
                way.take(frame)
    truths = [Truth(found.xyxy, found.class_id) for found in ways[0].found]
    frames = len(truths)
    results = {}
    for way in ways:
        figures = score(truths, [found[:MOST_DETECTIONS] for found in way.found], detector.names)
        looked = frames if way.name == ALL else getattr(way.detect, "detected", 0.0)
        results[way.name] = Result(looked / frames, *weighted(figures), way.seconds / frames * 1e3)
    return results


def weighted(figures: Score) -> tuple[float, float]:
    """Return AP50 and AP, averaged over classes by number of boxes, so that rare wrong classes do not dominate."""
    classes = [one for one in figures.classes.values() if one.boxes]
    boxes = sum(one.boxes for one in classes)
    ap50, ap = (sum(getattr(one, name) * one.boxes for one in classes) / max(boxes, 1) for name in ("ap50", "ap"))
    return ap50, ap


def report(measured: dict[str, dict[str, dict[str, Result]]]) -> str:
    """Return the section's text: a table for each network."""
    parts = [
        "## Frame skipping",
        "Written by `scripts/less_work`. Ground truth is what the same network detects in every frame at a confidence "
        "of 0.25. AP50 and AP (COCO's, IoU 0.50:0.95) measure how much of that is kept, with classes weighted by their "
        "number of boxes. CPU time covers resizing, network, decoding and propagation, per frame of the video, on one "
        "thread; reading and writing the video come on top and do not change. All methods alternate frame by frame.",
        "![Average precision against CPU time](less_work.png)",
    ]
    for network, videos in measured.items():
        parts += [f"### Frame skipping: {network}", _rows(videos, [ALL, *CHOICES])]
    return "\n\n".join([*parts, machine()])


def rejected_report(measured: dict[str, dict[str, dict[str, Result]]]) -> str:
    """Return the section's text: rejected methods beside those that were kept."""
    parts = ["### Frame skipping: what was tried and rejected", (rejected.__doc__ or "").strip()]
    for network, videos in measured.items():
        parts += [f"#### {network}", _rows(videos, [ALL, *BESIDE, *rejected.WAYS])]
    return "\n\n".join([*parts, machine()])


def _rows(videos: dict[str, dict[str, Result]], names: Iterable[str]) -> str:
    names = list(names)
    rows = []
    for video, results in videos.items():
        base = results[ALL].milliseconds
        rows += [
            (
                video if name == ALL else "",
                name,
                f"{one.detected:.0%}",
                f"{one.ap50:.3f}",
                f"{one.ap:.3f}",
                f"{one.milliseconds:.2f}",
                f"{one.milliseconds / base:.0%}",
            )
            for name in names
            for one in [results[name]]
        ]
    return table(("video", "frames", "detected", "AP50", "AP", "CPU ms a frame", "CPU"), rows)


def plot(measured: dict[str, dict[str, dict[str, Result]]]) -> None:
    """Plot docs/less_work.png: a panel for each network, a colour for each video."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    _, axes = plt.subplots(1, len(measured), figsize=(5 * len(measured), 4.5), squeeze=False, sharey=True)
    for axis, (network, videos) in zip(axes[0], measured.items(), strict=True):
        for number, (video, results) in enumerate(videos.items()):
            base = results[ALL].milliseconds

            for names, style in _LINES.values():
                chosen = [results[name] for name in names]
                parts = [one.milliseconds / base for one in chosen]
                axis.plot(parts, [one.ap for one in chosen], style, color=f"C{number}", markersize=4)
            axis.plot([], [], color=f"C{number}", label=video)
        axis.set(title=network, xlabel="CPU time, part of that for all frames", xlim=(0, 1.15))
        axis.grid(alpha=0.3)
    axes[0][0].set_ylabel("AP 0.50:0.95 against all frames")
    axes[0][0].legend(fontsize=8, loc="lower right")
    marks = [plt.plot([], [], style, color="grey", markersize=4)[0] for _, style in _LINES.values()]
    axes[0][-1].legend(marks, list(_LINES), fontsize=8, loc="lower right")
    plt.tight_layout()
    plt.savefig(PAGE.with_name("less_work.png"), dpi=80)


if __name__ == "__main__":
    main()
