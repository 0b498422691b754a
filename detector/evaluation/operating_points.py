"""Compute precision, recall and F1 of each class, at the confidence with the highest F1."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detector.detections import Detections
from detector.evaluation.average_precision import Truth
from detector.heads.boxes import iou

OVERLAP = 0.5
"""Minimum IoU at which a detected box is a true positive."""


@dataclass(frozen=True)
class OperatingPoint:
    """A class's figures when boxes below `confidence` are left out."""

    confidence: float
    precision: float
    recall: float
    f1: float


def best_operating_points(
    truths: Sequence[Truth], found: Sequence[Detections], classes: int
) -> list[OperatingPoint | None]:
    """Return the point with the highest F1 for each class; None for a class without ground-truth or detected boxes.

    Boxes are paired as COCO pairs them: the most confident first, each with the ground-truth box of its class that it
    overlaps most, at least by `OVERLAP`. A box within a crowd counts neither for nor against.
    """
    scores: list[list[float]] = [[] for _ in range(classes)]
    hits: list[list[bool]] = [[] for _ in range(classes)]
    true = np.zeros(classes, np.int64)
    for truth, detections in zip(truths, found, strict=True):
        crowd = truth.crowd if truth.crowd is not None else np.zeros(len(truth.class_id), bool)
        true += np.bincount(truth.class_id[~crowd], minlength=classes)
        for number in np.unique(detections.class_id).tolist():
            own = detections[detections.class_id == number]
            same = truth.class_id == number
            for score, hit in _paired(own, truth.xyxy[same].astype(np.float32), crowd[same]):
                scores[number].append(score)
                hits[number].append(hit)
    return [
        _best(np.array(score), np.array(hit, bool), int(count))
        for score, hit, count in zip(scores, hits, true, strict=True)
    ]


def _paired(found: Detections, truth: NDArray[np.float32], crowd: NDArray[np.bool_]) -> list[tuple[float, bool]]:
    """Return confidence, and whether it is a true positive, of each detected box of one class that counts."""
    rows: list[tuple[float, bool]] = []
    free = ~crowd
    for place in np.argsort(-found.confidence, kind="stable").tolist():
        overlaps = iou(found.xyxy[place][None].astype(np.float32), truth) if len(truth) else np.zeros(0, np.float32)
        open_ones = np.where(free, overlaps, 0)
        best = int(open_ones.argmax()) if len(open_ones) else -1
        hit = best >= 0 and bool(open_ones[best] >= OVERLAP)
        if hit:
            free[best] = False
        elif crowd.any() and overlaps[crowd].max() > 0:
            continue
        rows.append((float(found.confidence[place]), hit))
    return rows


def _best(scores: NDArray[np.float64], hits: NDArray[np.bool_], true: int) -> OperatingPoint | None:
    if not true or not len(scores):
        return None
    order = np.argsort(-scores, kind="stable")
    right = np.cumsum(hits[order])
    precision, recall = right / np.arange(1, len(order) + 1), right / true
    f1 = 2 * right / (np.arange(1, len(order) + 1) + true)
    last_of_score = np.append(np.diff(scores[order]) != 0, True)  # equal scores stay together
    best = int(np.where(last_of_score, f1, -1).argmax())
    return OperatingPoint(float(scores[order][best]), float(precision[best]), float(recall[best]), float(f1[best]))
