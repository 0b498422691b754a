"""Compute the confusion matrix, and errors per image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detector.detections import Detections
from detector.evaluation.average_precision import Truth
from detector.heads.boxes import iou

OVERLAP = 0.5
"""Minimum IoU at which a detected and a ground-truth box are paired."""


@dataclass(frozen=True, eq=False)
class Confusion:
    """A confusion matrix, and errors per image."""

    counts: NDArray[np.int64]
    """(classes + 1, classes + 1): true class by detected class; the last row and column are background."""

    errors: NDArray[np.int64]
    """(images,) missed boxes, false positives and wrong classes in each."""


def confusion_matrix(
    truths: Sequence[Truth], found: Sequence[Detections], classes: int, *, confidence: float
) -> Confusion:
    """Pair detected boxes with ground-truth ones, whatever their classes: best overlap first, each box once.

    Detected boxes of less than `confidence` are left out, and so are those within a crowd.
    """
    counts = np.zeros((classes + 1, classes + 1), np.int64)
    errors = np.zeros(len(truths), np.int64)
    for number, (truth, detections) in enumerate(zip(truths, found, strict=True)):
        sure = detections[detections.confidence >= confidence]
        real = _pair(truth, sure, classes)
        for one, other in real:
            counts[one, other] += 1
            errors[number] += one != other
    return Confusion(counts, errors)


def _pair(truth: Truth, found: Detections, background: int) -> list[tuple[int, int]]:
    """Return (true class, detected class) of every pair and of every unpaired box."""
    crowd = truth.crowd if truth.crowd is not None else np.zeros(len(truth.class_id), bool)
    overlaps = np.array([iou(box[None], truth.xyxy.astype(np.float32)) for box in found.xyxy], np.float32)
    overlaps = overlaps.reshape(len(found), len(truth.class_id))
    pairs: list[tuple[int, int]] = []
    free_found, free_true = set(range(len(found))), set(np.flatnonzero(~crowd).tolist())
    # Of equal overlaps the pair with equal classes goes first.
    agree = found.class_id[:, None] == truth.class_id[None]
    order = np.argsort(-(overlaps + 0.1 * agree), axis=None, kind="stable")
    for place in order:
        one, other = divmod(int(place), len(truth.class_id))
        if overlaps[one, other] >= OVERLAP and one in free_found and other in free_true:
            pairs.append((int(truth.class_id[other]), int(found.class_id[one])))
            free_found.remove(one)
            free_true.remove(other)
    pairs += [(int(truth.class_id[other]), background) for other in sorted(free_true)]
    in_crowd = [bool(crowd.any() and (overlaps[one, crowd] > 0).any()) for one in range(len(found))]
    pairs += [(background, int(found.class_id[one])) for one in sorted(free_found) if not in_crowd[one]]
    return pairs
