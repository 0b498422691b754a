"""Measure heat maps and tiles on labelled images, for docs/recognition.md (scripts/explain_figures)."""

from __future__ import annotations

import argparse
import statistics
import textwrap
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from benchmarks.report import put, table
from detector import Detector, Tiles, explain
from detector.datasets.dataset import read_dataset
from detector.datasets.examples import Example
from detector.drawing.heatmap import share_inside
from detector.engines.keras import load_model
from detector.evaluation.average_precision import Score, Truth, evaluate
from detector.evaluation.ground_truth import example_truth, picture_reader
from detector.heads.boxes import iou
from detector.images.reading import read_picture

PAGE = Path(__file__).parents[1] / "docs" / "recognition.md"

Picture = NDArray[np.uint8]

SMALL_AREA = 32 * 32
"""Maximum side in pixels of objects that COCO calls small."""

TILES = {"none": None, "`2x2`": Tiles(2, 2), "`4x3`": Tiles(4, 3), "`auto`": Tiles.parse("auto")}

WALL_SIZE = 4000, 3000
WALL_CELLS = 6, 6
"""Columns and rows of labelled images in a composed one."""

PASSES = 30


def main() -> None:
    """Measure, and write the sections `heat` and `tiles` of docs/recognition.md."""
    parser = argparse.ArgumentParser(description=__doc__, prog="scripts/explain_figures")
    parser.add_argument("model", type=Path, help="a detector with the classes of the labelled pictures")
    parser.add_argument("data", type=Path, help="labelled pictures: see yolo3 dataset --help for the formats")
    parser.add_argument("--pictures", type=Path, help="the folder of the pictures, if the labels do not state it")
    parser.add_argument("--masks", type=int, default=1000, help="of D-RISE")
    parser.add_argument("--d-rise-pictures", type=int, default=10)
    options = parser.parse_args()
    examples = read_dataset(options.data, pictures=options.pictures).valid
    put("tiles", tiles_table(options.model, examples), page=PAGE)
    put("heat", heat_report(options.model, examples, options.d_rise_pictures, options.masks), page=PAGE)


def heat_report(model: Path, examples: tuple[Example, ...], with_d_rise: int, masks: int) -> str:
    """Return how much of the heat is in the box, how well the methods agree, and how long one takes."""
    detector = Detector.open(model, confidence=0.5)
    shares: list[float] = []
    correlations: list[float] = []
    for example in tqdm(examples, desc="heat maps", unit="picture"):
        picture = read_picture(example.path)
        found = detector.detect(picture)
        heats = [explain(detector, picture, detection) for detection in found]
        shares += [share_inside(heat, one[0], grown=0.2) for heat, one in zip(heats, found, strict=True)]
        if heats and len(correlations) < with_d_rise:
            other = explain(detector, picture, found[:1], method="d-rise", masks=masks)
            correlations.append(rank_correlation(heats[0], other))
    ratio = time_ratio(detector, model, read_picture(examples[0].path))
    return textwrap.fill(
        f"Measured by `scripts/explain_figures` on the {len(shares)} detections of confidence 0.5 and more that "
        f"`{model.stem}` has in {len(examples)} labelled pictures: {np.mean(shares):.0%} of a map lies within its box "
        f"grown by 20 % (median {np.median(shares):.0%}). The rank correlation with D-RISE ({masks} masks, the best "
        f"detection of each of {len(correlations)} pictures) is {np.mean(correlations):.2f} on average, from "
        f"{min(correlations):.2f} to {max(correlations):.2f}. Explaining one detection takes {ratio:.1f} times as long "
        "as one pass forward and back through the network.",
        width=120,
    )


def rank_correlation(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    """Return Spearman's rank correlation of two maps, averaged to 32x32 first."""
    from scipy.stats import spearmanr

    small = [cv2.resize(heat, (32, 32), interpolation=cv2.INTER_AREA).ravel() for heat in (one, other)]
    return float(spearmanr(*small).statistic)


def time_ratio(detector: Detector, model: Path, picture: Picture) -> float:
    """Return the median time of explaining one detection, over that of one forward and backward pass."""
    import tensorflow as tf

    (detection, *_) = detector.detect(picture)
    network = load_model(model)
    batch = tf.constant(detector.fit(*picture.shape[1::-1]).network_input(picture)[None])

    @tf.function  # type: ignore[untyped-decorator]
    def forward_and_back() -> Any:
        with tf.GradientTape() as tape:
            tape.watch(batch)
            total = tf.add_n([tf.reduce_sum(head) for head in network(batch, training=False)])
        return tape.gradient(total, batch)

    runs: dict[str, Callable[[], Any]] = {
        "explain": lambda: explain(detector, picture, detection),
        "passes": lambda: forward_and_back().numpy(),
    }
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for number in range(PASSES + 1):
        for name, run in runs.items():
            begin = time.perf_counter()
            run()
            if number:  # the first traces the functions
                seconds[name].append(time.perf_counter() - begin)
    return statistics.median(seconds["explain"]) / statistics.median(seconds["passes"])


def tiles_table(model: Path, examples: tuple[Example, ...]) -> str:
    """Return AP with and without tiles on the images themselves, and recall on large images composed of them."""
    precision = [
        [label, *(f"{figure:.3f}" for figure in (score.ap, score.ap50, score.small, score.medium, score.large))]
        for label, score in ((label, precision_with(model, examples, TILES[label])) for label in ("none", "`2x2`"))
    ]
    walls = list(composed(examples))
    recalls = [
        [label, *(f"{recall:.3f}" for recall in recall_with(model, walls, tiles))]
        for label, tiles in tqdm(TILES.items(), desc="large pictures")
    ]
    width, height = WALL_SIZE
    return (
        f"Average precision of `{model.stem}` on {len(examples)} labelled pictures:\n\n"
        f"{table(['tiles', 'AP', 'AP50', 'small', 'medium', 'large'], precision)}\n\n"
        f"Recall (confidence 0.25 or more, IoU 0.5 or more) on {len(walls)} pictures of {width}x{height} that are "
        f"composed of those:\n\n{table(['tiles', 'objects under 32x32 pixels', 'larger objects'], recalls)}"
    )


def precision_with(model: Path, examples: tuple[Example, ...], tiles: Tiles | None) -> Score:
    """Return average precision on the images themselves."""
    detector = Detector.open(model, confidence=0.001, tiles=tiles)
    readers, truths = [picture_reader(one) for one in examples], [example_truth(one) for one in examples]
    return evaluate(readers, truths, detector.detect, detector.names, progress=tqdm)[0]


def recall_with(model: Path, pictures: Sequence[tuple[Picture, Truth]], tiles: Tiles | None) -> tuple[float, float]:
    """Return the recall of small and of larger objects: a detection of their class overlaps them well enough."""
    detector = Detector.open(model, tiles=tiles)
    hits, objects = [0, 0], [0, 0]
    for picture, truth in pictures:
        found = detector.detect(picture)
        sides = truth.xyxy[:, 2:] - truth.xyxy[:, :2]
        for box, class_id, area in zip(truth.xyxy, truth.class_id, sides.prod(axis=1), strict=True):
            size = int(area >= SMALL_AREA)
            same = found.xyxy[found.class_id == class_id]
            objects[size] += 1
            hits[size] += bool(len(same)) and float(iou(box[None], same).max()) >= 0.5
    return hits[0] / max(objects[0], 1), hits[1] / max(objects[1], 1)


def composed(examples: tuple[Example, ...]) -> Iterator[tuple[Picture, Truth]]:
    """Yield large images composed of labelled ones side by side, each shrunk to its cell, and their boxes."""
    columns, rows = WALL_CELLS
    cell = WALL_SIZE[0] // columns, WALL_SIZE[1] // rows
    for first in range(0, len(examples) - columns * rows + 1, columns * rows):
        wall = np.full((WALL_SIZE[1], WALL_SIZE[0], 3), 127, np.uint8)
        boxes, class_ids, crowds = [], [], []
        for place, example in enumerate(examples[first : first + columns * rows]):
            picture, truth = read_picture(example.path), example_truth(example)
            scale = min(1.0, cell[0] / picture.shape[1], cell[1] / picture.shape[0])
            size = int(picture.shape[1] * scale), int(picture.shape[0] * scale)
            left, top = place % columns * cell[0], place // columns * cell[1]
            wall[top : top + size[1], left : left + size[0]] = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
            boxes.append(truth.xyxy * np.float32(scale) + np.array([left, top, left, top], np.float32))
            class_ids.append(truth.class_id)
            crowds.append(truth.crowd if truth.crowd is not None else np.zeros(len(truth.class_id), bool))
        single = ~np.concatenate(crowds)
        yield wall, Truth(np.concatenate(boxes)[single], np.concatenate(class_ids)[single])


if __name__ == "__main__":
    main()
