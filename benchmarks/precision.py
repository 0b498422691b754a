"""Time and average precision of floats, bfloat16 and int8, written into docs/performance.md (scripts/precision)."""

from __future__ import annotations

import argparse
import contextlib
import io
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools.coco import COCO
from tqdm import tqdm

from benchmarks.frontier import RESAMPLINGS, as_results, average_precision, mean_precision
from benchmarks.networks import Measured, prepare
from benchmarks.report import machine, put, table
from benchmarks.video import ours, sequential
from convert.cfg import read_cfg
from convert.network import plan
from detector import Detector
from detector.engines.base import Engine, available_cores
from detector.images.reading import read_picture

ROWS: dict[str, dict[str, Any]] = {
    "float, litert": {},
    "float, openvino": {"engine": "openvino"},
    "bf16": {"precision": "bf16"},
    "int8": {"precision": "int8", "engine": "openvino"},
    "int8 weights": {"precision": "int8", "engine": "litert"},
}
"""The first is what the others are compared with."""

RUNS = 30
ROUNDS = 3
"""Of videos."""

Figures = NDArray[np.float64]
_SECONDS = 20.0


def main() -> None:
    """Measure, and write the section `precision` of docs/performance.md."""
    parser = argparse.ArgumentParser(description=__doc__, prog="scripts/precision")
    parser.add_argument("networks", nargs="+", type=Path, help="each a .cfg; without .weights beside it, time alone")
    parser.add_argument("--annotations", type=Path, required=True, help="COCO's .json of pictures to measure AP on")
    parser.add_argument("--pictures", type=Path, required=True, help="their folder")
    parser.add_argument("--calibrate", type=Path, required=True, help="other pictures, a folder or a video")
    parser.add_argument("--video", type=Path, help="a video to annotate, against the usual loop of OpenCV 4")
    parser.add_argument("--threads", type=int, default=available_cores())
    options = parser.parse_args()
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(options.annotations)
    parts = []
    with tempfile.TemporaryDirectory() as folder:
        for cfg in options.networks:
            weights = cfg.with_suffix(".weights") if cfg.with_suffix(".weights").exists() else None
            network = prepare(cfg, weights, plan(read_cfg(cfg)).picture.width, Path(folder))
            detectors = _detectors(network.model, options.calibrate, options.threads)
            milliseconds = times({name: detector.engine for name, detector in detectors.items()}, detectors)
            found: dict[str, list[dict[str, Any]]] = {}
            if weights:
                for name, detector in detectors.items():
                    found[name] = _results(detector, truth, options.pictures, f"{cfg.stem} {name}")
            parts.append(f"### {network.name}\n\n{_table(milliseconds, truth, found)}")
            if options.video:
                parts.append(_rates(network, options.video, Path(folder), options.calibrate, options.threads))
    put("precision", f"{_INTRODUCTION}\n\n" + "\n\n".join(parts) + f"\n\n{options.threads} threads. {machine()}")


def _detectors(model: Path, calibrate: Path, threads: int) -> dict[str, Detector]:
    common: dict[str, Any] = {"confidence": 0.001, "threads": threads, "calibrate": calibrate}
    return {name: Detector.open(model, on_note=tqdm.write, **common, **row) for name, row in ROWS.items()}


def _rates(network: Measured, video: Path, folder: Path, calibrate: Path, threads: int) -> str:
    """A table of frames per second from file to file, every way in every round."""

    def way(precision: str, **choice: Any) -> Callable[[], float]:
        engine = {} if precision == "float" else {"engine": "openvino"}
        settings = {"size": str(network.size), "precision": precision, "calibrate": calibrate, **engine, **choice}
        return lambda: ours(network, video, folder, threads, **settings)[0]

    ways: dict[str, Callable[[], float]] = {
        "OpenCV 4, sequential, square": lambda: sequential(network, video, folder / "theirs.mp4", threads)[0]
    }
    for precision in ("float", "bf16", "int8"):
        ways[f"yolo3 video, {precision}, square"] = way(precision, resize="stretch")
        ways[f"yolo3 video, {precision}, rect"] = way(precision, shape="rect")
        ways[f"yolo3 video, {precision}, rect, log only"] = way(precision, shape="rect", annotated=False)
    rates: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(ROUNDS):
        for name, run in ways.items():
            rates[name].append(run())
    base, *_ = rates.values()
    rows = [(name, f"{np.median(one):.1f}", f"{np.median(np.array(one) / base):.1f}") for name, one in rates.items()]
    return f"From file to file, {video.name}:\n\n{table(['', 'frames/s', 'against OpenCV'], rows)}"


_INTRODUCTION = f"""## Precision

Written by `scripts/precision`. Milliseconds of the network for one picture, medians, all rows of a table alternating in
one process; AP and AP50 on pictures that no network was calibrated on, with the difference to floats and its standard
deviation over {RESAMPLINGS} draws of the pictures with replacement."""


def times(engines: dict[str, Engine], detectors: dict[str, Detector]) -> dict[str, float]:
    """The median time of each engine for one picture in milliseconds, alternating."""
    description = next(iter(detectors.values())).description
    shape = (1, description.height, description.width, description.channels)
    batch = np.random.default_rng(0).uniform(0, 1, shape).astype(np.float32)
    seconds: dict[str, list[float]] = {name: [] for name in engines}
    begin = time.perf_counter()
    for number in range(RUNS + 1):
        if number > 5 and time.perf_counter() - begin > _SECONDS:
            break
        for name, engine in engines.items():
            started = time.perf_counter()
            engine.run(batch)
            if number:
                seconds[name].append(time.perf_counter() - started)
    return {name: 1000 * statistics.median(values) for name, values in seconds.items()}


def _results(detector: Detector, truth: Any, pictures: Path, what: str) -> list[dict[str, Any]]:
    """Detections in all pictures in COCO's results format."""
    categories = sorted(truth.getCatIds())
    results: list[dict[str, Any]] = []
    for image in tqdm(truth.loadImgs(truth.getImgIds()), desc=what):
        results += as_results(detector.detect(read_picture(pictures / image["file_name"])), image["id"], categories)
    return results


def _table(milliseconds: dict[str, float], truth: Any, found: dict[str, list[dict[str, Any]]]) -> str:
    first = next(iter(milliseconds.values()))
    head = ["precision", "ms", "ratio", *(["AP", "AP50", "AP - float", "AP50 - float"] if found else [])]
    rows = []
    figures = {name: _figures(truth, one) for name, one in found.items()}
    for name, value in milliseconds.items():
        row = [name, f"{value:.1f}", f"{value / first:.2f}"]
        if found:
            whole, draws = figures[name]
            base, base_draws = next(iter(figures.values()))
            spread = (draws - base_draws).std(axis=0)
            row += [f"{figure:.4f}" for figure in whole]
            row += [f"{one:+.4f} ± {by:.4f}" for one, by in zip(whole - base, spread, strict=True)]
        rows.append(row)
    return table(head, rows)


def _figures(truth: Any, results: list[dict[str, Any]]) -> tuple[Figures, Figures]:
    """AP and AP50 of all pictures, (2,), and of each draw, (draws, 2)."""

    def measure(precision: Any) -> tuple[float, float]:
        return mean_precision(precision), mean_precision(precision[0])

    whole, draws = average_precision(truth, results, measure=measure)
    return np.array(whole), draws


if __name__ == "__main__":
    main()
