"""Paste labelled objects of one image into another."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from detector.heads.boxes import to_centres, to_edges
from detector.training.augment import Sample

MOST_PASTED = 3
"""Maximum objects that are pasted into an image."""

MOST_COVERED = 0.2
"""A place is refused if more than this fraction of an object's box would be covered there."""

_ATTEMPTS = 5
_LEAST_SIDE_PIXELS = 8
_MOST_OF_PICTURE = 0.5
_SMALLEST, _LARGEST = 0.7, 1.4
"""Bounds of the random scale of an object."""


def paste_objects(sample: Sample, donor: Sample, rng: np.random.Generator) -> Sample:
    """Return the sample with up to three objects of `donor` at random places, each cut out as its box.

    Objects that would cover those of the sample are left out. The edges are blended, so that they are no clue.
    """
    picture = sample.picture.copy()
    height, width = picture.shape[:2]
    edges = to_edges(sample.boxes) * np.array([width, height] * 2, np.float32)
    boxes, class_ids = [edges], [sample.class_id]
    for index in rng.permutation(len(donor.boxes))[:MOST_PASTED].tolist():
        piece = _cut(donor, index, rng, width, height)
        place = None if piece is None else _free_place(piece, np.concatenate(boxes), rng, width, height)
        if piece is None or place is None:
            continue
        left, top = place
        rows, columns = piece.shape[:2]
        area = picture[top : top + rows, left : left + columns]
        area[:] = np.rint(area + (piece.astype(np.float32) - area) * _mask(rows, columns)).astype(np.uint8)
        boxes.append(np.array([[left, top, left + columns, top + rows]], np.float32))
        class_ids.append(donor.class_id[index : index + 1])
    centres = to_centres(np.concatenate(boxes) / np.array([width, height] * 2, np.float32))
    return Sample(picture, centres, np.concatenate(class_ids))


def _cut(donor: Sample, index: int, rng: np.random.Generator, width: int, height: int) -> NDArray[np.uint8] | None:
    """Return an object's pixels at a random scale; None if they are too few, or too many for the image."""
    scale = float(np.exp(rng.uniform(np.log(_SMALLEST), np.log(_LARGEST))))
    rows, columns = donor.picture.shape[:2]
    edges = to_edges(donor.boxes[index : index + 1])[0] * np.array([columns, rows] * 2, np.float32)
    left, top, right, bottom = np.clip(np.rint(edges), 0, [columns, rows, columns, rows]).astype(int).tolist()
    wide, high = round((right - left) * scale), round((bottom - top) * scale)
    if min(wide, high, right - left, bottom - top) < _LEAST_SIDE_PIXELS:
        return None
    if wide > _MOST_OF_PICTURE * width or high > _MOST_OF_PICTURE * height:
        return None
    return np.asarray(cv2.resize(donor.picture[top:bottom, left:right], (wide, high), interpolation=cv2.INTER_AREA))


def _free_place(
    piece: NDArray[np.uint8], edges: NDArray[np.float32], rng: np.random.Generator, width: int, height: int
) -> tuple[int, int] | None:
    """Return left and top where the piece covers no object; None if none was found."""
    rows, columns = piece.shape[:2]
    areas = (edges[:, 2:] - edges[:, :2]).prod(axis=1)
    for _ in range(_ATTEMPTS):
        left, top = int(rng.integers(width - columns + 1)), int(rng.integers(height - rows + 1))
        low = np.maximum(edges[:, :2], [left, top])
        high = np.minimum(edges[:, 2:], [left + columns, top + rows])
        shared = np.maximum(high - low, 0).prod(axis=1)
        # Neither may an object be hidden by the piece, nor may the piece lie within a large one.
        if (shared <= MOST_COVERED * np.minimum(areas, rows * columns)).all():
            return left, top
    return None


def _mask(rows: int, columns: int) -> NDArray[np.float32]:
    """Return weights (rows, columns, 1): 1 within, falling to 0 over the outer sixteenth."""
    ramps = []
    for count in (rows, columns):
        place = np.arange(count, dtype=np.float32) + 0.5
        ramps.append(np.minimum(1, np.minimum(place, count - place) / max(1.0, count / 16)))
    return np.asarray((ramps[0][:, None] * ramps[1][None])[..., None], np.float32)
