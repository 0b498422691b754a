"""Decode the heads of YOLOv3 and later: `[yolo]` and `[Gaussian_yolo]`."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from convert.head import Head
from detector.heads.candidates import Candidates, filter_by_score, sigmoid

LARGEST_EXPONENT = 50.0
"""Maximum t of exp(t): larger values come from a damaged network; the cap keeps the arithmetic finite."""


def decode_yolo(
    output: NDArray[np.float32],
    head: Head,
    confidence: float,
    width: int,
    height: int,
    classes: NDArray[np.intp] | None,
) -> Candidates:
    """Decode `[yolo]`: x, y, width, height, objectness, classes per anchor.

    Source: `forward_yolo_layer`, `get_yolo_box` and `get_yolo_detections` (yolo_layer.c of AlexeyAB's Darknet).
    """
    rows, columns, _ = output.shape
    # Most cells are empty: compare raw objectness, and compute the rest only where it passes.
    raw, row, column, anchors = filter_by_objectness(
        output, head, 4, confidence if head.new_coords else logit(confidence)
    )
    probable = raw if head.new_coords else sigmoid(raw)
    middle = stretched(probable[:, :2], head.scale_x_y)
    size = np.square(2 * raw[:, 2:4]) if head.new_coords else sizes(raw[:, 2:4])
    boxes = np.concatenate(
        [(np.stack([column, row], 1) + middle) / (columns, rows), size * anchors / (width, height)], axis=1
    )
    return filter_by_score(boxes, probable[:, 5:] * probable[:, 4:5], confidence, classes)


def decode_gaussian(
    output: NDArray[np.float32],
    head: Head,
    confidence: float,
    width: int,
    height: int,
    classes: NDArray[np.intp] | None,
) -> Candidates:
    """Decode `[Gaussian_yolo]`: x, y, width, height each followed by its uncertainty, objectness, classes per anchor.

    The score is objectness times class times (1 - the mean uncertainty); x and y may be a corner. Source:
    `forward_gaussian_yolo_layer`, `get_gaussian_yolo_box` and `get_gaussian_yolo_detections` (gaussian_yolo_layer.c).
    """
    rows, columns, _ = output.shape
    raw, row, column, anchors = filter_by_objectness(output, head, 8, logit(confidence))
    probable = sigmoid(raw)
    point = (np.stack([column, row], 1) + stretched(probable[:, [0, 2]], head.scale_x_y)) / (columns, rows)
    size = sizes(raw[:, [4, 6]]) * anchors / (width, height)
    toward_centre = {"center": 0.0, "left_top": 0.5, "right_bottom": -0.5}[head.yolo_point]
    boxes = np.concatenate([point + toward_centre * size, size], axis=1)
    certainty = 1 - probable[:, [1, 3, 5, 7]].mean(axis=1, keepdims=True)
    return filter_by_score(boxes, probable[:, 8:9] * probable[:, 9:] * certainty, confidence, classes)


def filter_by_objectness(
    output: NDArray[np.float32], head: Head, objectness: int, threshold: float
) -> tuple[NDArray[np.float32], NDArray[np.intp], NDArray[np.intp], NDArray[np.float32]]:
    """Return the raw values of the boxes whose raw objectness is above the threshold, with row, column and anchor."""
    columns, anchors = output.shape[1], np.array(head.anchors, np.float32)
    boxes = output.reshape(-1, head.numbers_per_box + head.classes)
    (chosen,) = np.nonzero(boxes[:, objectness] > threshold)
    cell, anchor = np.divmod(chosen, len(anchors))
    row, column = np.divmod(cell, columns)
    return boxes[chosen], row, column, anchors[anchor]


def stretched(middle: NDArray[np.float32], scale_x_y: float) -> NDArray[np.float32]:
    """Return a position in its cell, 0..1, stretched around the cell's centre."""
    return middle * np.float32(scale_x_y) - np.float32((scale_x_y - 1) / 2)


def sizes(raw: NDArray[np.float32]) -> NDArray[np.float32]:
    """Sizes in anchors."""
    grown: NDArray[np.float32] = np.exp(np.minimum(raw, LARGEST_EXPONENT))
    return grown


def logit(probability: float) -> float:
    """Return the inverse of the sigmoid; minus infinity at 0, infinity at 1."""
    if probability <= 0:
        return -math.inf
    return math.log(probability / (1 - probability)) if probability < 1 else math.inf
