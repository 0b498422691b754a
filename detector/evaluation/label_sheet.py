"""Make a contact sheet of labelled images with their boxes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from detector.datasets.examples import Dataset, Example
from detector.detections import Detections
from detector.drawing.boxes import draw
from detector.evaluation.ground_truth import example_truth, picture_reader
from detector.images.reading import write_picture

_COLUMNS, _ROWS = 6, 4
_CELL_WIDTH, _CELL_HEIGHT = 320, 240
_GREY = 128


def write_label_sheet(path: Path, dataset: Dataset, *, seed: int = 0) -> None:
    """Write up to 24 random images with their labelled boxes. Raise `OutputError` or `WriteError`."""
    examples = (*dataset.train, *dataset.valid, *dataset.test)
    chosen = np.sort(np.random.default_rng(seed).permutation(len(examples))[: _COLUMNS * _ROWS])
    write_picture(path, label_sheet([examples[number] for number in chosen.tolist()], dataset.names))


def label_sheet(examples: Sequence[Example], names: tuple[str, ...]) -> NDArray[np.uint8]:
    """Return the images side by side, each fitted into a cell."""
    rows = -(-len(examples) // _COLUMNS)
    columns = min(_COLUMNS, len(examples))
    sheet = np.full((rows * _CELL_HEIGHT, columns * _CELL_WIDTH, 3), _GREY, np.uint8)
    for number, example in enumerate(examples):
        row, column = divmod(number, _COLUMNS)
        cell = _cell(example, names)
        top = row * _CELL_HEIGHT + (_CELL_HEIGHT - cell.shape[0]) // 2
        left = column * _CELL_WIDTH + (_CELL_WIDTH - cell.shape[1]) // 2
        sheet[top : top + cell.shape[0], left : left + cell.shape[1]] = cell
    return sheet


def _cell(example: Example, names: tuple[str, ...]) -> NDArray[np.uint8]:
    picture = picture_reader(example)()
    height, width = picture.shape[:2]
    scale = min(_CELL_WIDTH / width, _CELL_HEIGHT / height)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    small = np.array(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)
    truth = example_truth(example)
    factor = np.array([size[0] / width, size[1] / height] * 2, np.float32)
    boxes = Detections(truth.xyxy * factor, np.ones(len(truth.class_id), np.float32), truth.class_id, names)
    draw(small, boxes, confidence=False)
    return small
