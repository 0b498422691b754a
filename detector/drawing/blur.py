"""What is in boxes made unrecognisable."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

from detector.detections import Detections
from detector.images.planes import Planes

Image = NDArray[np.uint8] | Planes

_BLUR_SHARE = 6
"""Squares across a box whose content is hidden: too few to recognise a face in."""


def hide(image: Image, found: Detections) -> None:
    """Make what is in the boxes unrecognisable, in place."""
    for left, top, right, bottom in whole_pixels(found, image):
        squares = max(1, max(bottom - top, right - left) // _BLUR_SHARE)
        if isinstance(image, Planes):
            _coarsen(image.luma[top:bottom, left:right], squares)
            for plane in image.chroma:
                half = plane[top // 2 : (bottom + 1) // 2, left // 2 : (right + 1) // 2]
                _coarsen(half, max(1, squares // 2))
        else:
            _coarsen(image[top:bottom, left:right], squares)


def _coarsen(piece: NDArray[np.uint8], side: int) -> None:
    """Give each square of so many pixels its mean, in place."""
    height, width = piece.shape[:2]
    small = cv2.resize(piece, (-(-width // side), -(-height // side)), interpolation=cv2.INTER_AREA)
    piece[:] = cv2.resize(small, (width, height), interpolation=cv2.INTER_NEAREST)


def whole_pixels(found: Detections, image: Image) -> Iterator[tuple[int, int, int, int]]:
    """The boxes widened to whole pixels of the image, at least one wide and high."""
    height, width = image.shape[:2]
    for left, top, right, bottom in found.xyxy.tolist():
        x, y = min(max(int(left), 0), width - 1), min(max(int(top), 0), height - 1)
        yield x, y, max(x + 1, min(int(np.ceil(right)), width)), max(y + 1, min(int(np.ceil(bottom)), height))
