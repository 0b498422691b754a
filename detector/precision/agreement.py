"""Measure how well the detections of two networks on the same images agree."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detector.detections import Detections
from detector.heads.boxes import iou

THRESHOLDS = np.arange(0.5, 1.0, 0.05)
"""IoU thresholds, as in COCO's average precision."""

MOST_BOXES = 100
"""Only so many boxes of an image are compared, the best ones, as in COCO's average precision."""


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
    boxes = every = 0
    for ours, theirs in zip(found, expected, strict=True):
        ours, theirs = ours[:MOST_BOXES], theirs[:MOST_BOXES]
        pairs += _pairs(ours, theirs)
        boxes += len(theirs)
        every += len(ours) + len(theirs)
    return Agreement(float(np.mean(2 * pairs / every)) if every else 1.0, boxes)


def _pairs(ours: Detections, theirs: Detections) -> NDArray[np.float64]:
    """Return the number of pairs at each of `THRESHOLDS`."""
    if not len(ours) or not len(theirs):
        return np.zeros(len(THRESHOLDS))
    same = ours.class_id[:, None] == theirs.class_id
    overlaps = np.where(same, iou(ours.xyxy[:, None], theirs.xyxy[None]), 0)
    pairs = np.zeros(len(THRESHOLDS))
    for index, threshold in enumerate(THRESHOLDS):
        free = np.ones(len(theirs), bool)
        for overlap in overlaps:
            best = int(np.argmax(overlap * free))
            if free[best] and overlap[best] >= threshold:
                free[best] = False
                pairs[index] += 1
    return pairs
