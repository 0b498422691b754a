"""Which parts of a picture a score depends on, found out by hiding parts at random: RISE and D-RISE.

Needs no gradients and nothing of the network but its answers, so it takes hundreds of runs. Sources: Petsiuk et al.,
RISE (2018) and D-RISE (2021).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import cv2
import numpy as np
from numpy.typing import NDArray

from detector.detections import Detections
from detector.heads.boxes import iou

Picture = NDArray[np.uint8]

MASKS = 1000
CELLS = 8
"""The grid that masks are made of, each way: half of its cells are hidden."""


def rise(
    score: Callable[[Picture], float],
    picture: Picture,
    *,
    masks: int = MASKS,
    seed: int = 0,
    progress: Callable[[Iterable[int]], Iterable[int]] = iter,
) -> NDArray[np.float32]:
    """The mean of random masks, each weighted by the score of the picture that it leaves visible.

    A map of the picture's height and width, from 0 (hiding it lowers the score least) to 1; the same for the same seed.
    """
    height, width = picture.shape[:2]
    random = np.random.default_rng(seed)
    total = np.zeros((height, width), np.float64)
    for _ in progress(range(masks)):
        mask = random_mask(height, width, random)
        total += score(np.rint(picture * mask[..., None]).astype(np.uint8)) * mask
    spread = float(np.ptp(total))
    heat: NDArray[np.float32] = ((total - total.min()) / (spread or 1.0)).astype(np.float32)
    return heat


def random_mask(height: int, width: int, random: np.random.Generator) -> NDArray[np.float32]:
    """A mask of 0 (hidden) to 1: a coarse grid, half of it hidden, enlarged smoothly and shifted by part of a cell."""
    cells = (random.random((CELLS + 1, CELLS + 1)) < 0.5).astype(np.float32)
    rows, columns = -(-height // CELLS), -(-width // CELLS)
    enlarged = cv2.resize(cells, ((CELLS + 1) * columns, (CELLS + 1) * rows), interpolation=cv2.INTER_LINEAR)
    top, left = random.integers(0, rows), random.integers(0, columns)
    mask: NDArray[np.float32] = np.asarray(enlarged[top : top + height, left : left + width], np.float32)
    return mask


def box_similarity(found: Detections, box: NDArray[np.float32], class_id: int) -> float:
    """How well some detections hold a box: the largest IoU times confidence among those of its class.

    D-RISE multiplies by the similarity of all class probabilities instead, which detections no longer have.
    """
    same = found.class_id == class_id
    if not same.any():
        return 0.0
    return float((iou(box[None], found.xyxy[same]) * found.confidence[same]).max())
