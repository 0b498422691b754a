"""Time and average precision of floats, bfloat16 and int8, written into docs/performance.md (scripts/precision)."""

from __future__ import annotations

import argparse
import contextlib
import io
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools.coco import COCO
from tqdm import tqdm

from benchmarks.frontier import RESAMPLINGS, as_results, average_precision, mean_precision
from benchmarks.networks import prepare
from benchmarks.report import machine, put, table
from detector import Detector
from detector.engines.base import Engine, available_cores
from detector.images.reading import read_picture

ROWS = {
    "float, litert": {},
    "float, openvino": {"engine": "openvino"},
    "bf16": {"precision": "bf16"},
    "int8": {"precision": "int8", "engine": "openvino"},
    "int8 weights": {"precision": "int8", "engine": "litert"},
}
"""The first is what the others are compared with."""

RUNS = 30
Figures = NDArray[np.float64]
_SECONDS = 20.0


def main() -> None:
    """Measure, and write the section `precision` of docs/performance.md."""
    parser = argparse.ArgumentParser(description=__doc__, prog="scripts/precision")
    parser.add_argument("models", nargs="+", type=Path, help="model files, or a .cfg to measure time with any weights")
    parser.add_argument("--annotations", type=Path, required=True, help="COCO's .json of pictures to measure AP on")
    parser.add_argument("--pictures", type=Path, required=True, help="their folder")
    parser.add_argument("--calibrate", type=Path, required=True, help="other pictures, a folder or a video")
    parser.add_argument("--threads", type=int, default=available_cores())
    options = parser.parse_args()
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(options.annotations)
    parts = []
    with tempfile.TemporaryDirectory() as folder:
        for given in options.models:
            model = prepare(given, None, 416, Path(folder)).model if given.suffix == ".cfg" else given
            detectors = {
                name: Detector.open(
                    model,
                    on_note=tqdm.write,
                    confidence=0.001,
                    threads=options.threads,
                    calibrate=options.calibrate,
                    **settings,  # type: ignore[arg-type]
                )
                for name, settings in ROWS.items()
            }
            milliseconds = times({name: detector.engine for name, detector in detectors.items()}, detectors)
            found: dict[str, list[dict[str, Any]]] = {}
            if given == model:
                for name, detector in detectors.items():
                    found[name] = _results(detector, truth, options.pictures, f"{model.stem} {name}")
            parts.append(f"### {model.stem}\n\n{_table(milliseconds, truth, found)}")
    put("precision", f"{_INTRODUCTION}\n\n" + "\n\n".join(parts) + f"\n\n{options.threads} threads. {machine()}")


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
