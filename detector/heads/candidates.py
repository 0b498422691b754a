"""Represent the boxes that a network proposes, before suppression."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Candidates:
    """Boxes before suppression, in the order head, cell, anchor, class."""

    boxes: NDArray[np.float32]
    """(n, 4): centre x, centre y, width, height as fractions of the network's input, 0..1 except for boxes beyond its
    edges."""

    score: NDArray[np.float32]
    """(n,): objectness times class probability."""

    class_id: NDArray[np.int64]
    """(n,)"""

    def __len__(self) -> int:
        return len(self.score)


def filter_by_score(
    boxes: NDArray[np.float32],
    scores: NDArray[np.float32],
    confidence: float,
    classes: NDArray[np.intp] | None,
) -> Candidates:
    """Return a candidate for each box (n, 4) and class whose score, (n, classes), is above the threshold."""
    if classes is not None:
        scores = scores[:, classes]
    box, kind = np.nonzero(scores > confidence)
    class_id = (kind if classes is None else classes[kind]).astype(np.int64)
    return Candidates(boxes[box].astype(np.float32, copy=False), scores[box, kind], class_id)


def sigmoid(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Compute 1 / (1 + exp(-x)) without overflow."""
    return np.float32(1) / (np.float32(1) + np.exp(-np.clip(values, -80, 80)))


def softmax(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Compute exp(x) over its sum, along the last axis (`softmax`, blas.c)."""
    powers = np.exp(values - values.max(axis=-1, keepdims=True))
    shares: NDArray[np.float32] = powers / powers.sum(axis=-1, keepdims=True)
    return shares
