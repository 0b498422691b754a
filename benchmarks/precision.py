"""Time and average precision of floats, bfloat16 and int8, written into docs/performance.md (scripts/precision)."""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from benchmarks.report import machine, put, table
from detector import Detections, Detector
from detector.datasets.dataset import read_dataset
from detector.engines.base import Engine, available_cores
from detector.evaluation.average_precision import Truth, score
from detector.evaluation.ground_truth import example_truth
from detector.images.reading import read_picture

ROWS = {
    "float, litert": {},
    "float, openvino": {"engine": "openvino"},
    "bf16": {"precision": "bf16"},
    "int8": {"precision": "int8", "engine": "openvino"},
    "int8 weights": {"precision": "int8", "engine": "litert"},
}
"""The first is what the others are compared with."""

DRAWS = 30
RUNS = 30
_SECONDS = 20.0


def main() -> None:
    """Measure, and write the section `precision` of docs/performance.md."""
    parser = argparse.ArgumentParser(description=__doc__, prog="scripts/precision")
    parser.add_argument("models", nargs="+", type=Path, help="model files; AP is measured of those with DATA's classes")
    parser.add_argument("--data", type=Path, required=True, help="labelled pictures that no network is calibrated on")
    parser.add_argument("--pictures", type=Path, help="the folder of the pictures, where the form names none")
    parser.add_argument("--calibrate", type=Path, required=True, help="other pictures, a folder or a video")
    parser.add_argument("--without-ap", nargs="*", default=[], metavar="NAME", help="models whose weights are random")
    parser.add_argument("--threads", type=int, default=available_cores())
    options = parser.parse_args()
    examples = read_dataset(options.data, pictures=options.pictures).valid
    truths = [example_truth(example) for example in examples]
    parts = []
    for model in options.models:
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
        found: dict[str, list[Detections]] = {}
        if model.stem not in options.without_ap:
            for name, detector in detectors.items():
                pictures = tqdm(examples, desc=f"{model.stem} {name}")
                found[name] = [detector.detect(read_picture(example.path)) for example in pictures]
        names = next(iter(detectors.values())).names
        parts.append(f"### {model.stem}\n\n{_table(milliseconds, truths, found, names)}")
    put("precision", f"{_INTRODUCTION}\n\n" + "\n\n".join(parts) + f"\n\n{options.threads} threads. {machine()}")


_INTRODUCTION = """## Precision

Written by `scripts/precision`. Milliseconds of the network for one picture, medians, all rows of a table alternating in
one process; AP and AP50 on pictures that no network was calibrated on, with the difference to floats and its standard
deviation over 30 draws of the pictures with replacement."""


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


def _table(
    milliseconds: dict[str, float],
    truths: Sequence[Truth],
    found: dict[str, list[Detections]],
    names: tuple[str, ...],
) -> str:
    first = next(iter(milliseconds.values()))
    head = ["precision", "ms", "ratio", *(["AP", "AP50", "AP - float", "AP50 - float"] if found else [])]
    rows = []
    figures = {name: _figures(truths, one, names) for name, one in tqdm(found.items(), desc="average precision")}
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


def _figures(
    truths: Sequence[Truth], found: list[Detections], names: tuple[str, ...]
) -> tuple[np.ndarray[tuple[int], np.dtype[np.float64]], np.ndarray[tuple[int, int], np.dtype[np.float64]]]:
    """AP and AP50 of all pictures, (2,), and of each draw, (DRAWS, 2)."""
    random = np.random.default_rng(0)

    def ap(indices: Sequence[int]) -> tuple[float, float]:
        measured = score([truths[index] for index in indices], [found[index] for index in indices], names)
        return measured.ap, measured.ap50

    draws = [ap(random.integers(0, len(truths), len(truths)).tolist()) for _ in range(DRAWS)]
    return np.array(ap(range(len(truths)))), np.array(draws)


if __name__ == "__main__":
    main()
