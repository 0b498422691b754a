"""Measure tracks: accuracy against true identities, speed, and the memory for a day of them.

The tables of docs/tracking.md come from here:

    python -m benchmarks.tracking accuracy MOT17-02 MOT17-05 ...   folders with det.txt, gt.txt, seqinfo.ini
    python -m benchmarks.tracking sensitivity MOT17-02 ...
    python -m benchmarks.tracking speed VIDEO
    python -m benchmarks.tracking day FOLDER [--frames N]
"""

from __future__ import annotations

import argparse
import configparser
import json
import random
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from statistics import mean, median
from time import process_time
from typing import Any, cast, get_args

import numpy as np

from benchmarks.report import machine, table
from detector.drawing.zones import Trails
from detector.heads.boxes import iou
from detector.logs.frame_log import detections_of, open_log
from detector.logs.log_lines import json_line
from detector.pipeline.show_zones import draw_zones
from detector.pipeline.track_log import TrackOptions, track_log
from detector.tracking.events import EventFinder
from detector.tracking.offline import OfflineSettings
from detector.tracking.online import TrackerName, open_tracker
from detector.tracking.zones import Line, Zone, Zones
from detector.video.reading.opening import open_video

RATE = 25
DAY_FRAMES = 24 * 3600 * RATE
OBJECTS = 20
_SIZE = (1920, 1080)
_MEASURED_FRAMES = 6000
_LEAST_OVERLAP = 0.5
_ZONES = """[[zone]]
name = "square"
polygon = [[0.3, 0.3], [0.7, 0.3], [0.7, 0.8], [0.3, 0.8]]
stay_seconds = 10
[[line]]
name = "middle"
from = [0.5, 1]
to = [0.5, 0]
"""


@dataclass(frozen=True)
class Score:
    """Figures of tracks compared with the true ones (motmetrics, and HOTA of the package `trackers`)."""

    idf1: float
    mota: float
    hota: float


def no_bar(total: int | None) -> AbstractContextManager[None]:
    """No progress."""
    return nullcontext()


def main() -> None:
    """Measure, and print tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["accuracy", "sensitivity", "speed", "day"])
    parser.add_argument("paths", nargs="+", type=Path)
    parser.add_argument("--frames", type=int, default=DAY_FRAMES, help="of the day")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        match options.what:
            case "accuracy":
                print(accuracy(options.paths, Path(name)))
            case "sensitivity":
                print(sensitivity(options.paths, Path(name)))
            case "speed":
                print(speed(options.paths[0], Path(name)))
            case _:
                print(day(options.paths[0], options.frames))
    print(f"\n{machine()}")


def accuracy(sequences: Sequence[Path], folder: Path) -> str:
    """Return IDF1 and MOTA of every way to track, by sequence."""
    ways: dict[str, TrackOptions] = {
        **{f"`--track {name}`": TrackOptions(name, forward_only=True) for name in get_args(TrackerName)},
        **{f"`yolo3 track --tracker {name}`": TrackOptions(name) for name in get_args(TrackerName)},
        "`yolo3 track`": TrackOptions(),
    }
    rows = []
    for way, options in ways.items():
        scores = [scored(sequence, options, folder) for sequence in sequences]
        cells = [f"{score.idf1:.3f} / {score.mota:.3f}" for score in scores]
        rows.append([way, *cells, f"{mean(one.idf1 for one in scores):.3f} / {mean(one.mota for one in scores):.3f}"])
    return table(["IDF1 / MOTA", *(sequence.name for sequence in sequences), "mean"], rows)


def sensitivity(sequences: Sequence[Path], folder: Path) -> str:
    """Return how far the means move when one parameter of the offline tracks is halved or doubled."""
    usual = OfflineSettings()
    settings: dict[str, Callable[[float], OfflineSettings]] = {
        f"{part} {name}".replace("_", " ").strip(): _varied(usual, part, name)
        for part, names in _PARAMETERS.items()
        for name in names
    }

    def means(options: OfflineSettings) -> str:
        scores = [scored(sequence, TrackOptions(offline=options), folder) for sequence in sequences]
        return f"{mean(one.idf1 for one in scores):.3f} / {mean(one.mota for one in scores):.3f}"

    rows = [["all as they are", "", means(usual), ""]]
    for name, changed in settings.items():
        halved, doubled = means(changed(0.5)), means(changed(2.0))
        rows.append([name, halved, "", doubled])
    return table(["mean IDF1 / MOTA", "halved", "as it is", "doubled"], rows)


_PARAMETERS: Mapping[str, Sequence[str]] = {
    "motion": ("noise", "acceleration", "speed", "reshaping_seconds"),
    "links": ("farthest", "margin", "missed", "overlap", "patience_seconds"),
    "stitches": ("longest_gap_seconds", "farthest", "open_gap_cost", "hidden_gain"),
    "": ("least_evidence", "smooth_seconds"),
}


def _varied(usual: OfflineSettings, part: str, name: str) -> Callable[[float], OfflineSettings]:
    def changed(factor: float) -> OfflineSettings:
        if not part:
            return replace(usual, **{name: getattr(usual, name) * factor})
        inner: Any = getattr(usual, part)
        changes: dict[str, Any] = {part: replace(inner, **{name: getattr(inner, name) * factor})}
        return replace(usual, **changes)

    return changed


def scored(sequence: Path, options: TrackOptions, folder: Path) -> Score:
    """Track a sequence and compare with the true tracks."""
    log, tracked = folder / "log.jsonl", folder / "tracked.jsonl"
    log_of_mot(sequence, log)
    track_log(log, tracked, options, overwrite=True, bar=no_bar)
    found = {
        frame.frame + 1: [(box.track, box.box) for box in frame.detections if box.track is not None]
        for frame in open_log(tracked)[1]
    }
    return compared(truth_of_mot(sequence), found)


def compared(truth: Mapping[int, Sequence[tuple[int, Any]]], found: Mapping[int, Sequence[tuple[int, Any]]]) -> Score:
    """Return the figures of tracks, by frame, as pairs of number and box; half of two boxes must overlap.

    HOTA is a mean over overlaps from 0.05 to 0.95.
    """
    import motmetrics
    from trackers.eval import compute_hota_metrics

    numbers: tuple[list[Any], list[Any]] = [], []
    overlaps: list[Any] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        counted = motmetrics.MOTAccumulator(auto_id=True)
        for frame in sorted({*truth, *found}):
            true, seen = truth.get(frame, []), found.get(frame, [])
            sides = [np.array([box for _, box in boxes], np.float32).reshape(-1, 4) for boxes in (true, seen)]
            overlap = iou(sides[0][:, None], sides[1][None])
            overlaps.append(overlap)
            for column, boxes in zip(numbers, (true, seen), strict=True):
                column.append(np.array([number for number, _ in boxes], np.int64))
            # motmetrics' own overlap needs NumPy 1.
            distances = np.where(overlap >= _LEAST_OVERLAP, 1 - overlap, np.nan)
            counted.update([number for number, _ in true], [number for number, _ in seen], distances)
        result = motmetrics.metrics.create().compute(counted, metrics=["idf1", "mota"], name="all")
    hota = compute_hota_metrics(*numbers, overlaps)["HOTA"]
    return Score(float(result["idf1"].iloc[0]), float(result["mota"].iloc[0]), float(hota))


def log_of_mot(sequence: Path, log: Path) -> None:
    """Write a sequence's detections as a frame log."""
    info = configparser.ConfigParser()
    info.read(sequence / "seqinfo.ini")
    section = info["Sequence"]
    rate, count = int(section["frameRate"]), int(section["seqLength"])
    boxes: dict[int, list[dict[str, object]]] = {}
    for line in (sequence / "det.txt").read_text().splitlines():
        frame, _, left, top, width, height, confidence = (float(cell) for cell in line.split(",")[:7])
        edges = [round(edge, 2) for edge in (left, top, left + width, top + height)]
        found = {"class_id": 0, "name": "person", "confidence": min(1.0, max(0.0, confidence)), "box": edges}
        boxes.setdefault(int(frame) - 1, []).append(found)
    size = (int(section["imWidth"]), int(section["imHeight"]))
    with log.open("w") as file:
        frames = (boxes.get(number, []) for number in range(count))
        file.writelines(_log_lines(frames, rate=rate, size=size))


def truth_of_mot(sequence: Path) -> dict[int, list[tuple[int, tuple[float, float, float, float]]]]:
    """Return a sequence's true tracks by frame: those that count."""
    found: dict[int, list[tuple[int, tuple[float, float, float, float]]]] = {}
    for line in (sequence / "gt.txt").read_text().splitlines():
        frame, number, left, top, width, height, counts = (float(cell) for cell in line.split(",")[:7])
        if counts:
            found.setdefault(int(frame), []).append((int(number), (left, top, left + width, top + height)))
    return found


def _log_lines(frames: Iterator[list[dict[str, object]]], *, rate: int, size: tuple[int, int]) -> Iterator[str]:
    """Write a frame log of some frames' detections."""
    width, height = size
    head: dict[str, object] = {"type": "run", "schema": 1, "source": "made", "width": width, "height": height}
    yield json_line(
        {
            **head,
            "frame_rate": str(rate),
            "model": "made",
            "model_sha256": "0",
            "settings": {},
            "classes": ["person", "car"],
        }
    )
    count = 0
    for count, found in enumerate(frames, 1):
        time = round((count - 1) / rate, 6)
        yield json_line({"type": "frame", "frame": count - 1, "time": time, "detections": found})
    yield json_line({"type": "end", "frames": count, "status": "complete"})


def walkers(count: Callable[[int], int], *, seed: int = 1) -> Iterator[list[dict[str, object]]]:
    """Yield detections of people who walk across an image, `count` of them in each frame; one in ten is missed."""
    dice = random.Random(seed)
    width, height = _SIZE
    people: list[list[float]] = []
    frame = 0
    while True:
        while len(people) < count(frame):
            right = dice.random() < 0.5
            pace = dice.uniform(30, 120) / RATE * (1 if right else -1)
            side = dice.uniform(40, 80)
            start = 0.0 if right else width - side
            people.append([start, dice.uniform(200, height - 200), pace, side])
        found: list[dict[str, object]] = []
        for person in people:
            person[0] += person[2]
            if dice.random() < 0.1:
                continue
            left, top = person[0] + dice.gauss(0, 1), person[1] + dice.gauss(0, 1)
            box = [max(0.0, left), top, min(float(width), left + person[3]), top + 2.2 * person[3]]
            found.append(
                {
                    "class_id": 0,
                    "name": "person",
                    "confidence": round(dice.uniform(0.5, 0.99), 4),
                    "box": [round(edge, 2) for edge in box],
                }
            )
        yield found
        people = [person for person in people if 0 < person[0] < width - person[3]]
        frame += 1


def speed(video: Path, folder: Path) -> str:
    """Return the milliseconds of processor time per frame, for 20 objects."""
    log = folder / "log.jsonl"
    with log.open("w") as file:
        file.writelines(_log_lines(islice(walkers(lambda _: OBJECTS), _MEASURED_FRAMES), rate=RATE, size=_SIZE))
    rows = [[f"`--track {name}`, a frame", f"{_online(log, name):.2f} ms"] for name in get_args(TrackerName)]
    events, drawn = _counted_and_drawn(log, video)
    rows += [
        ["events at a zone and a line", f"{events:.2f} ms"],
        ["trails of 2 s, a zone and a line drawn", f"{drawn:.2f} ms"],
    ]
    for name, options in {"yolo3 track": TrackOptions(), "yolo3 track --tracker sort": TrackOptions("sort")}.items():
        times = []
        for _ in range(3):
            began = process_time()
            track_log(log, folder / "tracked.jsonl", options, overwrite=True, bar=no_bar)
            times.append(process_time() - began)
        rows.append([f"`{name}`, log read and written", f"{_MEASURED_FRAMES / min(times):.0f} frames/s"])
    return table([f"{OBJECTS} objects in each frame", "processor time"], rows)


def _online(log: Path, name: TrackerName) -> float:
    run, frames = open_log(log)
    tracker = open_tracker(name, float(RATE))
    times = []
    for record in islice(frames, 1000):
        found = detections_of(record, run.classes)
        began = process_time()
        numbers = tracker.update(record.time, found.xyxy, found.confidence, found.class_id)
        tracker.classes(numbers, found.class_id)
        times.append(process_time() - began)
    return 1000 * median(times[100:])


def _counted_and_drawn(log: Path, video: Path) -> tuple[float, float]:
    """Return the milliseconds for events, and for drawing onto the planes of a video's frame."""
    run, frames = open_log(log)
    with open_video(video) as opened:
        image = next(iter(opened)).image
    height, width = image.shape[:2]
    scale = np.array([width / _SIZE[0], height / _SIZE[1]] * 2, np.float32)
    square = ((0.3, 0.3), (0.7, 0.3), (0.7, 0.8), (0.3, 0.8))
    zones = Zones(Path(), (Zone("square", square),), (Line("middle", (0.5, 1), (0.5, 0)),))
    zones = zones.for_picture(width, height)
    finder, trails, tracker = EventFinder(zones, run.classes), Trails(2.0), open_tracker("bytetrack", float(RATE))
    events, drawn = [], []
    for record in islice(frames, 1000):
        found = detections_of(record, run.classes)
        numbers = tracker.update(record.time, found.xyxy, found.confidence, found.class_id)
        found = replace(found, xyxy=found.xyxy * scale, tracker_id=numbers)
        began = process_time()
        finder.update(record.frame, record.time, found.xyxy, found.class_id, numbers)
        events.append(process_time() - began)
        began = process_time()
        trails.follow(found, record.time)
        trails.draw(image)
        draw_zones(image, zones, {"square": "square: 5", "middle": "middle: 12 in, 9 out"})
        drawn.append(process_time() - began)
    return 1000 * median(events[100:]), 1000 * median(drawn[100:])


def day(folder: Path, frames: int) -> str:
    """Return time and memory of processing a day's log, of none to ten people at a time; files stay in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    log, tracked, zones = folder / "day.jsonl", folder / "day-tracked.jsonl", folder / "zones.toml"
    zones.write_text(_ZONES)
    if not log.exists():
        aside = log.with_suffix(".part")
        with aside.open("w") as file:
            crowd = walkers(lambda frame: abs(frame // (RATE * 600) % 21 - 10))
            file.writelines(_log_lines(islice(crowd, frames), rate=RATE, size=_SIZE))
        aside.rename(log)
    commands = {
        "yolo3 track": ["track", log, tracked, "--overwrite"],
        "yolo3 events": ["events", tracked, "--zones", zones, "--out", folder / "events.csv", "--overwrite"],
        "yolo3 summary --plot": ["summary", tracked, "--zones", zones, "--plot", folder / "day.png", "--overwrite"],
    }
    rows = []
    for name, arguments in commands.items():
        seconds, megabytes = _measured([str(argument) for argument in arguments])
        rows.append([f"`{name}`", f"{seconds / 60:.1f} min", f"{frames / seconds:.0f}", f"{megabytes:.0f} MB"])
    return table([f"{frames} frames", "processor time", "frames/s", "peak memory"], rows)


def _measured(arguments: Sequence[str]) -> tuple[float, float]:
    """Return processor seconds and peak memory of a command, run by a process that has run no other."""
    code = (
        "import json, resource, subprocess, sys\n"
        "subprocess.run([sys.executable, '-m', 'detector', *sys.argv[1:], '--quiet'], check=True, "
        "stdout=subprocess.DEVNULL)\n"
        "used = resource.getrusage(resource.RUSAGE_CHILDREN)\n"
        "print(json.dumps([used.ru_utime + used.ru_stime, used.ru_maxrss / 1024]))"
    )
    done = subprocess.run([sys.executable, "-c", code, *arguments], check=True, capture_output=True, text=True)
    seconds, megabytes = cast(list[float], json.loads(done.stdout))
    return seconds, megabytes


if __name__ == "__main__":
    main()
