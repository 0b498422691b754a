"""Tracks of the cartoon street, whose every object is known: identities, and counts at five lines.

    python -m benchmarks.street_tracks MODEL FOLDER [--seeds 1 2 3 4 5] [--seconds 12] [--figures docs]

MODEL is model_data/street.h5 (scripts/demo converts it). For each seed a clip is drawn and detected in; its logs
stay in FOLDER and are used again.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from statistics import mean

import numpy as np

from benchmarks.report import machine, table
from benchmarks.tracking import Score, compared, no_bar
from detector.detections import Detections
from detector.detector import Detector
from detector.images.reading import write_picture
from detector.logs.frame_log import FrameLog, FrameRecord, RunRecord, open_log
from detector.pipeline.live_tracking import TrackingOptions
from detector.pipeline.log_events import EventOptions, write_events
from detector.pipeline.log_plot import PlotOptions, summarize_with_tracks
from detector.pipeline.redraw import RedrawOptions, redraw_video
from detector.pipeline.show_zones import frame_at
from detector.pipeline.track_log import TrackOptions, track_log
from detector.video.frames import Frame, VideoInfo
from detector.video.writing.video_writer import VideoWriter
from scripts.street.clip import Clip
from scripts.street.render import NAMES

LINES = (0.2, 0.35, 0.5, 0.65, 0.8)
"""Where five upright lines stand, as parts of the picture's width."""

_MOVING = ("person", "bicycle", "car", "bus", "truck")

_SHOWN_LENGTH, _SHOWN_SECONDS = 10.0, "1.9"
_SHOWN = """[[line]]
name = "west"
from = [0.25, 0.95]
to = [0.25, 0.4]

[[line]]
name = "east"
from = [0.8, 0.95]
to = [0.8, 0.4]

[[zone]]
name = "zebra"
polygon = [[0.48, 0.5], [0.62, 0.5], [0.66, 0.95], [0.46, 0.95]]
classes = ["person"]
stay_seconds = 2
"""

Counts = Counter[tuple[str, str]]
"""By line and direction."""


@dataclass(frozen=True)
class Logs:
    """The files of one seed."""

    folder: Path
    seed: int

    @property
    def truth(self) -> Path:
        """True boxes with true identities."""
        return self.folder / f"truth-{self.seed}.jsonl"

    @property
    def whole(self) -> Path:
        """The same with hidden parts."""
        return self.folder / f"whole-{self.seed}.jsonl"

    @property
    def video(self) -> Path:
        """The clip."""
        return self.folder / f"clip-{self.seed}.mp4"

    @property
    def found(self) -> Path:
        """What the network detects."""
        return self.folder / f"found-{self.seed}.jsonl"


def main() -> None:
    """Measure, and print tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3, 4, 5])
    parser.add_argument("--seconds", type=float, default=12.0)
    parser.add_argument("--figures", type=Path, help="folder for the pictures of docs/tracking.md")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    zones = options.folder / "lines.toml"
    zones.write_text(lines_toml())
    everything = [Logs(options.folder, seed) for seed in options.seeds]
    for logs in everything:
        if not logs.found.exists():
            draw_and_detect(logs, options.model, Clip(logs.seed, width=640, height=360, seconds=options.seconds))
    if options.figures:
        draw_figures(options.model, options.folder / "shown", options.figures)
    print(measured(everything, zones))
    print(f"\n{machine()}")


def lines_toml() -> str:
    """The five lines, crossed inward to the right."""
    classes = json.dumps(list(_MOVING))
    return "".join(
        f'[[line]]\nname = "{place}"\nfrom = [{place}, 1]\nto = [{place}, 0]\nclasses = {classes}\n' for place in LINES
    )


def draw_and_detect(logs: Logs, model: Path, clip: Clip) -> None:
    """Draw a clip; write its truth and what is detected in it."""
    info = VideoInfo("street", clip.width, clip.height, Fraction(1, clip.rate), frame_rate=Fraction(clip.rate))
    detector = Detector.open(model)
    truth, found = (
        RunRecord.of(info, model=str(model), model_sha256="", settings=settings, classes=NAMES)
        for settings in ({"track": "truth"}, {})
    )
    with (
        FrameLog(logs.truth, truth, overwrite=True) as true,
        FrameLog(logs.whole, truth, overwrite=True) as whole,
        FrameLog(logs.found, found, overwrite=True) as seen,
        VideoWriter(logs.video, info, overwrite=True) as video,
    ):
        for number, shot in enumerate(clip):
            frame = Frame(number, number, info.time_base, shot.picture, duration=1)
            certain = np.ones(len(shot.xyxy), np.float32)
            true.write(frame, Detections(shot.xyxy, certain, shot.class_id, NAMES, shot.tracker_id))
            whole.write(frame, Detections(shot.whole, certain, shot.class_id, NAMES, shot.tracker_id))
            video.write(frame, Detections.empty())
            seen.write(frame, detector.detect_frame(frame))


def draw_figures(model: Path, made: Path, folder: Path) -> None:
    """A counted frame of a clip, and the plot of its log."""
    made.mkdir(parents=True, exist_ok=True)
    logs = Logs(made, 2)
    if not logs.found.exists():
        draw_and_detect(logs, model, Clip(logs.seed, seconds=_SHOWN_LENGTH))
    tracked, zones, video = made / "tracked.jsonl", made / "zones.toml", made / "shown.mp4"
    zones.write_text(_SHOWN)
    track_log(logs.found, tracked, overwrite=True, bar=no_bar)
    tracking = TrackingOptions(trails_seconds=2.0, zones=zones)
    redraw_video(RedrawOptions(logs.video, tracked, video=video, overwrite=True, tracking=tracking), bar=no_bar)
    write_picture(folder / "tracking.jpg", frame_at(str(video), _SHOWN_SECONDS))
    plot = PlotOptions(folder / "tracking-plot.png", zones, str(logs.video), overwrite=True)
    summarize_with_tracks(tracked, plot, bar=no_bar)


def crossings(ways: Iterable[Sequence[float]]) -> Counts:
    """How often ways, from left 0 to right 1, pass each line."""
    counts: Counts = Counter()
    for way in ways:
        for line in LINES:
            right = [place > line for place in way]
            for before, after in pairwise(right):
                if before != after:
                    counts[str(line), "in" if after else "out"] += 1
    return counts


def measured(everything: Sequence[Logs], zones: Path) -> str:
    """IDF1, MOTA and HOTA, and counts, of true boxes, online and offline tracks."""
    looks = "`yolo3 track --video`"
    ways = {
        "`--track sort`": TrackOptions("sort", forward_only=True),
        "`--track bytetrack`": TrackOptions("bytetrack", forward_only=True),
        "`--track botsort`": TrackOptions("botsort", forward_only=True),
        "`yolo3 track`": TrackOptions(),
        looks: TrackOptions(),
    }
    true = [_crossed(logs) for logs in everything]
    rows = [
        [name, "", "", *_count_cells(true, [counted(log, zones) for log in true_logs])]
        for name, true_logs in {
            "true boxes of whole things": [logs.whole for logs in everything],
            "true boxes of what is visible": [logs.truth for logs in everything],
        }.items()
    ]
    for name, options in ways.items():
        scores: list[Score] = []
        visible: list[Score] = []
        counts: list[Counts] = []
        for logs in everything:
            tracked = logs.folder / "tracked.jsonl"
            how = replace(options, video=logs.video) if name == looks else options
            track_log(logs.found, tracked, how, overwrite=True, bar=no_bar)
            truth = dict(_moving(logs.truth))
            scores.append(compared(truth, dict(_moving(tracked))))
            visible.append(compared(truth, dict(_moving(tracked, interpolated=False))))
            counts.append(counted(tracked, zones))
        rows.append([name, _mean(scores), _mean(visible), *_count_cells(true, counts)])
    head = [
        "",
        "IDF1 / MOTA / HOTA",
        "without filled gaps",
        "counted",
        "truly crossed",
        "wrong in sum",
        "wrong by line",
    ]
    return table(head, rows)


def _mean(scores: Sequence[Score]) -> str:
    figures = zip(*((score.idf1, score.mota, score.hota) for score in scores), strict=True)
    return " / ".join(f"{mean(figure):.3f}" for figure in figures)


def _crossed(logs: Logs) -> Counts:
    """How often the middle of an object truly crossed each line, hidden or not."""
    ways: dict[int, list[float]] = {}
    run, frames = open_log(logs.whole)
    for frame in frames:
        for box in frame.detections:
            if box.track is not None and box.name in _MOVING:
                ways.setdefault(box.track, []).append((box.box[0] + box.box[2]) / 2 / run.width)
    return crossings(ways.values())


def counted(log: Path, zones: Path) -> Counts:
    """What `yolo3 events` counts at the lines."""
    finder = write_events(EventOptions(log, zones), bar=no_bar)
    counts: Counts = Counter()
    for name, line in finder.lines.items():
        counts[name, "in"], counts[name, "out"] = line.entered.total(), line.left.total()
    return +counts


def _count_cells(true: Sequence[Counts], found: Sequence[Counts]) -> list[str]:
    crossed, counts = sum(one.total() for one in true), sum(one.total() for one in found)
    wrong = sum(abs(one[key] - other[key]) for one, other in zip(true, found, strict=True) for key in one | other)
    return [str(counts), str(crossed), f"{abs(counts - crossed) / crossed:.1%}", f"{wrong / crossed:.1%}"]


def _moving(
    log: Path, *, interpolated: bool = True
) -> Iterator[tuple[int, list[tuple[int, tuple[float, float, float, float]]]]]:
    """The tracks of things that move, by frame."""
    frames: Iterator[FrameRecord] = open_log(log)[1]
    for frame in frames:
        kept = (box for box in frame.detections if box.name in _MOVING and (interpolated or not box.interpolated))
        yield frame.frame, [(box.track, box.box) for box in kept if box.track is not None]


if __name__ == "__main__":
    main()
