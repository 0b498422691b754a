"""Overlay a heat map on an image."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

OPACITY = 0.75
"""Opacity of the hottest point; the coldest is transparent."""

_GAMMA = 0.7
"""Exponent below 1, so that small values remain visible."""


def overlay(picture: NDArray[np.uint8], heat: NDArray[np.float32], *, opacity: float = OPACITY) -> NDArray[np.uint8]:
    """Return an RGB image overlaid with a map (0 to 1, of the same height and width), blue to red.

    Raise `ValueError` when the sizes differ.
    """
    if picture.shape[:2] != heat.shape:
        raise ValueError(f"a heat map of {heat.shape} does not have the size of its picture, {picture.shape[:2]}")
    strength = np.clip(heat, 0, 1) ** np.float32(_GAMMA)
    levels = np.rint(strength * 255).astype(np.uint8)
    colours = cv2.cvtColor(cv2.applyColorMap(levels, cv2.COLORMAP_TURBO), cv2.COLOR_BGR2RGB)
    share = (strength * np.float32(opacity))[..., None]
    shown: NDArray[np.uint8] = np.rint(picture * (1 - share) + colours * share).astype(np.uint8)
    return shown


def share_inside(heat: NDArray[np.float32], box: NDArray[np.float32], *, grown: float = 0.0) -> float:
    """Return the fraction of a map's heat, 0 to 1, inside a box in its pixels; 0 if the map has no heat.

    `grown` makes the box wider and higher by that fraction of its sides.
    """
    height, width = heat.shape
    margin = np.array([box[2] - box[0], box[3] - box[1]]) * grown / 2
    left, top = np.clip(np.rint(box[:2] - margin), 0, [width, height]).astype(int)
    right, bottom = np.clip(np.rint(box[2:] + margin), 0, [width, height]).astype(int)
    total = float(heat.sum(dtype=np.float64))
    return float(heat[top:bottom, left:right].sum(dtype=np.float64)) / total if total > 0 else 0.0
