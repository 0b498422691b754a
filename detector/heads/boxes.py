"""Compute box geometry: edges, centres and intersection over union."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def to_edges(boxes: NDArray[np.float32]) -> NDArray[np.float32]:
    """Convert (n, 4) centre x, centre y, width, height to left, top, right, bottom."""
    half = boxes[:, 2:] / 2
    return np.concatenate([boxes[:, :2] - half, boxes[:, :2] + half], axis=1)


def to_centres(edges: NDArray[Any]) -> NDArray[np.float32]:
    """Convert (n, 4) left, top, right, bottom to centre x, centre y, width, height."""
    centres = (edges[:, :2] + edges[:, 2:]) / 2
    return np.concatenate([centres, edges[:, 2:] - edges[:, :2]], axis=1).astype(np.float32)


def iou(one: NDArray[np.float32], others: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the IoU of (..., 4) left, top, right, bottom boxes, broadcast; 0 where both are empty."""
    sides = np.minimum(one[..., 2:], others[..., 2:]) - np.maximum(one[..., :2], others[..., :2])
    shared = np.maximum(sides, 0).prod(axis=-1)
    union = _area(one) + _area(others) - shared
    ratio: NDArray[np.float32] = np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
    return ratio


def _area(edges: NDArray[np.float32]) -> NDArray[np.float32]:
    area: NDArray[np.float32] = (edges[..., 2:] - edges[..., :2]).prod(axis=-1)
    return area
