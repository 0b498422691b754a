"""Decode the heads of YOLOv2, YOLO9000 and YOLOv1: `[region]` and `[detection]`."""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

from convert.head import Head
from detector.heads.candidates import Candidates, filter_by_score, sigmoid, softmax
from detector.heads.yolo import filter_by_objectness, logit, sizes

TREE_THRESHOLD = np.float32(0.5)
"""Minimum probability of a class chosen from YOLO9000's hierarchy (`get_region_boxes`)."""


def decode_region(
    output: NDArray[np.float32],
    head: Head,
    confidence: float,
    width: int,
    height: int,
    classes: NDArray[np.intp] | None,
) -> Candidates:
    """Decode `[region]`: x, y, width, height, objectness, classes per anchor; a softmax over the classes.

    With a hierarchy, a box above the objectness threshold gets one class: the last in the list whose probability, its
    own times all its ancestors', is above a half. That probability is its score. Source: `forward_region_layer`,
    `get_region_box` and `get_region_boxes` (region_layer.c of AlexeyAB's Darknet).
    """
    rows, columns, _ = output.shape
    raw, row, column, anchors = filter_by_objectness(output, head, 4, logit(confidence))
    place = (np.stack([column, row], 1) + sigmoid(raw[:, :2])) / (columns, rows)
    boxes = np.concatenate([place, sizes(raw[:, 2:4]) * anchors / (width, height)], axis=1)
    if not head.tree:
        return filter_by_score(boxes, softmax(raw[:, 5:]) * sigmoid(raw[:, 4:5]), confidence, classes)
    probable = tree_probabilities(raw[:, 5:], head.tree)
    believed = probable > TREE_THRESHOLD
    last = head.classes - 1 - believed[:, ::-1].argmax(axis=1)
    scores: NDArray[np.float32] = np.zeros_like(probable)
    (named,) = np.nonzero(believed.any(axis=1))
    scores[named, last[named]] = probable[named, last[named]]
    return filter_by_score(boxes, scores, 0, classes)


def tree_probabilities(raw: NDArray[np.float32], parents: tuple[int, ...]) -> NDArray[np.float32]:
    """Return (n, classes): each class's probability times its ancestors', with a softmax among siblings.

    Source: `softmax_tree` (blas_kernels.cu), `hierarchy_predictions` (tree.c).
    """
    starts, group, levels = _tree_layout(parents)
    powers = np.exp(raw - np.maximum.reduceat(raw, starts, axis=1)[:, group])
    sums = np.add.reduceat(powers, starts, axis=1)
    probable = (powers / sums[:, group]).astype(np.float32, copy=False)
    parent = np.array(parents, np.intp)
    for level in levels:
        probable[:, level] *= probable[:, parent[level]]
    return probable


@functools.lru_cache(maxsize=8)
def _tree_layout(
    parents: tuple[int, ...],
) -> tuple[NDArray[np.intp], NDArray[np.intp], tuple[NDArray[np.intp], ...]]:
    """Return the start of each group of siblings, each class's group, and the classes of each depth below the roots."""
    parent = np.array(parents, np.intp)
    begins = np.concatenate([[True], parent[1:] != parent[:-1]])
    depth = np.zeros(len(parent), np.intp)
    for index, above_it in enumerate(parents):
        depth[index] = depth[above_it] + 1 if above_it >= 0 else 0
    levels = tuple(np.flatnonzero(depth == level) for level in range(1, int(depth.max()) + 1))
    return np.flatnonzero(begins), np.cumsum(begins) - 1, levels


def decode_detection(
    output: NDArray[np.float32],
    head: Head,
    confidence: float,
    width: int,
    height: int,
    classes: NDArray[np.intp] | None,
) -> Candidates:
    """Decode `[detection]`: per cell its classes, a confidence per box, then x, y, width, height of each box.

    The classes belong to the cell, not to a box; sizes are fractions of the image, or their square roots. Source:
    `forward_detection_layer` and `get_detection_detections` (detection_layer.c).
    """
    rows, columns, _ = output.shape
    number = len(head.anchors)
    kinds = output[..., : head.classes]
    if head.softmax:
        kinds = softmax(kinds)
    confidences = output[..., head.classes : head.classes + number]
    raw = output[..., head.classes + number :].reshape(rows, columns, number, 4)
    grid = np.stack(np.meshgrid(np.arange(columns), np.arange(rows)), axis=-1)[:, :, None]
    size = np.square(raw[..., 2:]) if head.square_root else raw[..., 2:]
    boxes = np.concatenate([(raw[..., :2] + grid) / (columns, rows), size], axis=-1).reshape(-1, 4)
    scores = confidences[..., None] * kinds[:, :, None]
    return filter_by_score(boxes, scores.reshape(-1, head.classes), confidence, classes)
