"""Hide the content of boxes so that neither faces nor text can be recognised."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

from detector.images.planes import Planes

Image = NDArray[np.uint8] | Planes

_SQUARES = 6
"""Mosaic squares across the longer side of a hidden box: too few to recognise a face."""

_LEAST_SIDE = 8
"""Minimum side of a mosaic square in pixels; a box smaller than a few squares becomes one colour."""

MARGIN = 0.15
"""Fraction of a box's width and height that is hidden on each side of it: hair and hands extend beyond boxes."""


def hide(image: Image, boxes: NDArray[np.float32], *, margin: float = MARGIN) -> None:
    """Make the content of the boxes (n, 4) and their surroundings unrecognisable, in place.

    Each square of the mosaic has the mean colour of the pixels it replaces. Planes of a video are changed up to the
    padding of odd sizes, which encoders write too.
    """
    grown = boxes.astype(np.float64)
    reach = margin * np.maximum(grown[:, 2:] - grown[:, :2], 0)
    grown = np.concatenate([grown[:, :2] - reach, grown[:, 2:] + reach], axis=1)
    for edges in whole_pixels(grown, image):
        _hide(image, edges)


def hide_all(image: Image) -> None:
    """Make a whole image unrecognisable, in place."""
    height, width = image.shape[:2]
    _hide(image, (0, 0, width, height))


def whole_pixels(boxes: NDArray[np.floating], image: Image) -> Iterator[tuple[int, int, int, int]]:
    """Yield the boxes widened to whole pixels of the image, at least one wide and high."""
    height, width = image.shape[:2]
    for left, top, right, bottom in boxes.tolist():
        x, y = min(max(int(left), 0), width - 1), min(max(int(top), 0), height - 1)
        yield x, y, max(x + 1, min(int(np.ceil(right)), width)), max(y + 1, min(int(np.ceil(bottom)), height))


def _hide(image: Image, edges: tuple[int, int, int, int]) -> None:
    left, top, right, bottom = edges
    side = max(_LEAST_SIDE, -(-max(right - left, bottom - top) // _SQUARES))
    if not isinstance(image, Planes):
        _coarsen(image[top:bottom, left:right], side)
        return
    rows, columns = image.luma.shape
    height, width = image.shape[:2]
    bottom, right = rows if bottom == height else bottom, columns if right == width else right
    # Whole pairs of rows and columns, so that luma and chroma are hidden alike.
    top, left, bottom, right = top // 2 * 2, left // 2 * 2, -(-bottom // 2) * 2, -(-right // 2) * 2
    _coarsen(image.luma[top:bottom, left:right], side)
    for plane in image.chroma:
        _coarsen(plane[top // 2 : bottom // 2, left // 2 : right // 2], -(-side // 2))
    image.forget_rgb()


def _coarsen(piece: NDArray[np.uint8], side: int) -> None:
    """Set each square of this many pixels to its mean, in place."""
    height, width = piece.shape[:2]
    small = cv2.resize(piece, (max(1, width // side), max(1, height // side)), interpolation=cv2.INTER_AREA)
    piece[:] = np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_NEAREST)).reshape(piece.shape)
