"""Merge the boxes of overlapping tiles of an image, so that each object is one box.

Pure geometry: no network. The whole image is always processed too, because tiles cut large objects apart.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from detector.detections import Detections
from detector.heads.boxes import iou
from detector.images.tiles import View

MERGE_OVERLAP = 0.5
"""Two boxes of one class in different views are of one object when they overlap by more than this: intersection over
the smaller if a tile's edge has cut one of them, else over the union."""

LARGEST_FROM_TILES = 1 / 6
"""Objects larger than this fraction of the image (square roots of the areas) are left to the view of the whole image. A
tile shows parts of them, which resemble other objects."""

_EDGE_PART = 0.02
"""A box this close to the edge of its tile, as a fraction of the tile's longer side, is cut by it."""


def merge(found: Sequence[Detections], views: Sequence[View], *, class_agnostic: bool = False) -> Detections:
    """Return the boxes of several views of one image, in its own pixels, each object once, best first.

    `found` are each view's detections in the view's own pixels; the first view is the whole image. Greedily, the best
    box absorbs the boxes of its class in other views that are of the same object (`MERGE_OVERLAP`). It keeps its edges
    unless its tile has cut it: then it gets those of the best uncut box, or the hull of all if every box is cut. With
    `class_agnostic` it absorbs boxes of other classes as well.
    """
    boxes, confidence, class_id, view, cut = _in_picture(found, views)
    kept = []
    left = np.ones(len(boxes), bool)
    for index in range(len(boxes)):
        if not left[index]:
            continue
        left[index] = False
        others = np.flatnonzero(left & (class_agnostic | (class_id == class_id[index])) & (view != view[index]))
        cut_either = cut[others] | cut[index]
        ratio = np.where(cut_either, over_smaller(boxes[index], boxes[others]), iou(boxes[index], boxes[others]))
        same = others[ratio > MERGE_OVERLAP]
        left[same] = False
        if cut[index] and len(same):
            whole = same[~cut[same]]
            boxes[index] = boxes[whole[0]] if len(whole) else _hull(boxes[[index, *same]])
        kept.append(index)
    return Detections(boxes[kept], confidence[kept], class_id[kept], found[0].names)


def _in_picture(
    found: Sequence[Detections], views: Sequence[View]
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int64], NDArray[np.intp], NDArray[np.bool_]]:
    """Return boxes in the image's pixels, confidence, class id, view, and whether the view cuts it; best first."""
    whole = views[0]
    largest = LARGEST_FROM_TILES * math.sqrt((whole[2] - whole[0]) * (whole[3] - whole[1]))
    parts = []
    for number, (one, (left, top, right, bottom)) in enumerate(zip(found, views, strict=True)):
        boxes = one.xyxy + np.array([left, top, left, top], np.float32)
        margin = _EDGE_PART * max(right - left, bottom - top)
        # At the image's own edge, nothing is cut.
        inner = np.array([left > whole[0], top > whole[1], right < whole[2], bottom < whole[3]])
        near = np.abs(boxes - np.array([left, top, right, bottom], np.float32)) <= margin
        cut = (near & inner).any(axis=1)
        used = np.sqrt(_areas(boxes)) <= largest if number else np.ones(len(boxes), bool)
        parts.append((boxes[used], one.confidence[used], one.class_id[used], np.full(used.sum(), number), cut[used]))
    boxes, confidence, class_id, view, cut = (np.concatenate(part) for part in zip(*parts, strict=True))
    order = np.argsort(-confidence, kind="stable")
    return boxes[order], confidence[order], class_id[order], view[order], cut[order]


def over_smaller(box: NDArray[np.float32], others: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the intersection of a box (4,) with others (n, 4) over the smaller area of each pair; 0 if empty."""
    sides = np.minimum(box[2:], others[:, 2:]) - np.maximum(box[:2], others[:, :2])
    shared = np.maximum(sides, 0).prod(axis=1)
    smaller = np.minimum(_areas(box[None]), _areas(others))
    ratio: NDArray[np.float32] = np.divide(shared, smaller, out=np.zeros_like(shared), where=smaller > 0)
    return ratio


def _areas(boxes: NDArray[np.float32]) -> NDArray[np.float32]:
    areas: NDArray[np.float32] = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    return areas


def _hull(boxes: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the smallest box around (n, 4) others."""
    return np.concatenate([boxes[:, :2].min(axis=0), boxes[:, 2:].max(axis=0)])
