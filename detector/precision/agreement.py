"""Measure how well the detections of two networks on the same images agree."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from detector.detections import Detections
from detector.heads.boxes import iou

THRESHOLDS = np.arange(0.5, 1.0, 0.05)
"""IoU thresholds, as in COCO's average precision."""


@dataclass(frozen=True)
class Agreement:
    """How many boxes were compared, and how well they agree."""

    f1: float
    """The mean F1 over `THRESHOLDS`, 0 to 1; 1 if neither detected anything."""

    boxes: int
    """Number of boxes of the reference network."""


def agreement(found: Sequence[Detections], expected: Sequence[Detections]) -> Agreement:
    """Compare the detections in some images with reference detections.

    Boxes of one class are paired greedily, best first, if they overlap by more than the threshold.
    """
    pairs = np.zeros(len(THRESHOLDS))
    for ours, theirs in zip(found, expected, strict=True):
        for index, threshold in enumerate(THRESHOLDS):
            pairs[index] += _pairs(ours, theirs, float(threshold))
    boxes = sum(map(len, expected))
    every = boxes + sum(map(len, found))
    return Agreement(float(np.mean(2 * pairs / every)) if every else 1.0, boxes)


def _pairs(ours: Detections, theirs: Detections, threshold: float) -> int:
    free = np.ones(len(theirs), bool)
    pairs = 0
    for box, class_id in zip(ours.xyxy, ours.class_id, strict=True):
        overlap = np.where(free & (theirs.class_id == class_id), iou(box[None], theirs.xyxy), 0.0)
        if overlap.size and overlap.max() >= threshold:
            free[int(overlap.argmax())] = False
            pairs += 1
    return pairs
