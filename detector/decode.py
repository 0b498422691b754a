"""Raw heads to candidate boxes, in NumPy.

Source: `get_yolo_box` and `get_yolo_detections` (yolo_layer.c of AlexeyAB's Darknet).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from convert.head import Head

LARGEST_EXPONENT = 50.0
"""exp(t) beyond this is no box size but a damaged network; capping it keeps the arithmetic finite."""


@dataclass(frozen=True)
class Candidates:
    """Boxes that a network proposes, before suppression; in the order head, cell, anchor, class."""

    boxes: NDArray[np.float32]
    """(n, 4): centre x, centre y, width, height as parts of the network's input, 0..1 but for boxes that leave it."""

    score: NDArray[np.float32]
    """(n,): objectness times class probability."""

    class_id: NDArray[np.int64]
    """(n,)"""

    def __len__(self) -> int:
        return len(self.score)


def decode(
    outputs: Sequence[NDArray[np.float32]],
    heads: Sequence[Head],
    *,
    confidence: float,
    width: int,
    height: int,
    classes: NDArray[np.intp] | None = None,
) -> Candidates:
    """Candidates of one picture whose score is above `confidence`.

    `outputs` are the raw heads, each (rows, columns, anchors * (5 + classes)), in the order of `heads`; `width` and
    `height` the network's input in pixels. A box whose objectness is above the threshold is a candidate for every
    class whose score is. `classes` limits them to these class ids.
    """
    found = [
        _decode_yolo(output, head, confidence, width, height, classes)
        for output, head in zip(outputs, heads, strict=True)
    ]
    return Candidates(
        np.concatenate([part.boxes for part in found]),
        np.concatenate([part.score for part in found]),
        np.concatenate([part.class_id for part in found]),
    )


def _decode_yolo(
    output: NDArray[np.float32],
    head: Head,
    confidence: float,
    width: int,
    height: int,
    classes: NDArray[np.intp] | None,
) -> Candidates:
    rows, columns, _ = output.shape
    anchors = np.array(head.anchors, np.float32)
    cells = output.reshape(-1, 5 + head.classes)
    # Most cells hold nothing: compare raw objectness, and compute the rest only where it passes.
    raw_threshold = confidence if head.new_coords else _logit(confidence)
    (chosen,) = np.nonzero(cells[:, 4] > raw_threshold)
    cell, anchor = np.divmod(chosen, len(anchors))
    row, column = np.divmod(cell, columns)
    raw = cells[chosen]
    probable = raw if head.new_coords else sigmoid(raw)

    scores = probable[:, 5:] * probable[:, 4:5]
    if classes is not None:
        scores = scores[:, classes]
    box, kind = np.nonzero(scores > confidence)

    middle = probable[:, :2] * np.float32(head.scale_x_y) - np.float32((head.scale_x_y - 1) / 2)
    size = (
        np.square(2 * raw[:, 2:4]) if head.new_coords else np.exp(np.minimum(raw[:, 2:4], LARGEST_EXPONENT))
    ) * anchors[anchor]
    boxes = np.stack(
        [
            (column + middle[:, 0]) / columns,
            (row + middle[:, 1]) / rows,
            size[:, 0] / width,
            size[:, 1] / height,
        ],
        axis=1,
    ).astype(np.float32)
    class_id = (kind if classes is None else classes[kind]).astype(np.int64)
    return Candidates(boxes[box], scores[box, kind], class_id)


def sigmoid(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """1 / (1 + exp(-x)), without overflow."""
    return np.float32(1) / (np.float32(1) + np.exp(-np.clip(values, -80, 80)))


def _logit(probability: float) -> float:
    """The inverse of the sigmoid; minus infinity at 0, infinity at 1."""
    if probability <= 0:
        return -math.inf
    return math.log(probability / (1 - probability)) if probability < 1 else math.inf
