"""Suppress non-maximal boxes: of overlapping boxes of one class, the best stays."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from detector.heads.boxes import iou, to_edges

GREEDY_BETA = 0.6
"""The exponent that `nms_kind=greedynms` always uses (`box_diou`, box.c)."""

_BLOCK = 128
"""Number of boxes compared with one another at a time."""


def suppress(
    boxes: NDArray[np.float32],
    score: NDArray[np.float32],
    class_id: NDArray[np.int64],
    *,
    threshold: float,
    kind: str = "default",
    beta: float = GREEDY_BETA,
    class_agnostic: bool = False,
) -> NDArray[np.intp]:
    """Return the indices of the boxes that stay, best first.

    Boxes (n, 4) are centre x, centre y, width, height as fractions of the image, not clipped to it; equal scores keep
    their order. Within a class a box is removed when its overlap with a better remaining one is above `threshold`. The
    overlap is IoU (`do_nms_sort`, box.c) or, for `greedynms` and `diounms`, IoU minus (distance of centres squared /
    diagonal of the hull squared) to the power of `beta` (`diounms_sort`, box.c; also used by AlexeyAB's `greedynms`).
    With `class_agnostic` boxes of different classes suppress each other as well (`do_nms_obj`, box.c, by score).
    """
    if class_agnostic:
        class_id = np.zeros_like(class_id)
    if kind == "greedynms":
        beta = GREEDY_BETA
    order = np.argsort(-score, kind="stable")
    edges = to_edges(boxes)

    def spared(better: NDArray[np.intp], worse: NDArray[np.intp]) -> NDArray[np.bool_]:
        """Return (better, worse): whether the better box lets the worse one stay."""
        one, others = edges[better][:, None], edges[worse][None]
        overlap = iou(one, others)
        if kind != "default":
            overlap = overlap - _distance(one, others) ** np.float32(beta)
        return overlap <= threshold

    kept: list[NDArray[np.intp]] = []
    for one_class in np.unique(class_id):
        left = order[class_id[order] == one_class]
        while len(left):
            block, left = left[:_BLOCK], left[_BLOCK:]
            among = spared(block, block)
            stays = np.ones(len(block), bool)
            for index in range(len(block) - 1):
                if stays[index]:
                    stays[index + 1 :] &= among[index, index + 1 :]
            kept.append(block[stays])
            if len(left):
                left = left[spared(kept[-1], left).all(axis=0)]
    stays = np.zeros(len(score), bool)
    if kept:
        stays[np.concatenate(kept)] = True
    return order[stays[order]]


def _distance(one: NDArray[np.float32], others: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the squared distance of the centres over the squared diagonal of the hull; 0 where the hull is a point."""
    hull = np.maximum(one[..., 2:], others[..., 2:]) - np.minimum(one[..., :2], others[..., :2])
    diagonal = np.square(hull).sum(axis=-1)
    between = ((one[..., :2] + one[..., 2:]) - (others[..., :2] + others[..., 2:])) / 2
    distance = np.square(between).sum(axis=-1)
    ratio: NDArray[np.float32] = np.divide(distance, diagonal, out=np.zeros_like(distance), where=diagonal > 0)
    return ratio
