"""What objects look like, in a few numbers: enough to tell a red car from a white one."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from detector.tracking.motion import Floats

_COLUMNS, _ROWS = 2, 4
_INNER = 0.8
"""The central part of a box that is looked at: near its edges there is background."""

_NOISE_LEVELS = 25.0
"""How much a part of one object changes its colour, in steps of 1/255 of Lab: by light, pose and what is before it."""

FEATURES = 3 * _COLUMNS * _ROWS


def describe(picture: NDArray[np.uint8], xyxy: NDArray[np.floating]) -> Floats:
    """(n, `FEATURES`): the mean colours, in Lab, of a grid of parts of each box in an RGB picture.

    The squared distance of two is the mean squared difference of their parts, in units of what is usual between two
    views of one object.
    """
    height, width = picture.shape[:2]
    found = np.zeros((len(xyxy), FEATURES))
    for row, (left, top, right, bottom) in enumerate(np.asarray(xyxy, np.float64).tolist()):
        across, down = (1 - _INNER) / 2 * (right - left), (1 - _INNER) / 2 * (bottom - top)
        columns = _whole(left + across, right - across, width)
        rows = _whole(top + down, bottom - down, height)
        part = np.ascontiguousarray(picture[slice(*rows), slice(*columns)])
        small = np.asarray(cv2.resize(part, (_COLUMNS, _ROWS), interpolation=cv2.INTER_AREA), np.uint8)
        found[row] = cv2.cvtColor(small, cv2.COLOR_RGB2LAB).reshape(-1)
    return np.asarray(found / (_NOISE_LEVELS * np.sqrt(_COLUMNS * _ROWS)))


def _whole(low: float, high: float, size: int) -> tuple[int, int]:
    """At least one pixel between two edges, within a picture of this size."""
    first = min(max(0, int(low)), size - 1)
    return first, min(max(first + 1, int(np.ceil(high))), size)
