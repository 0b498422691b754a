"""Anchors for a dataset: k-means over box sizes, with 1 - IoU as the distance.

Source: Redmon and Farhadi, "YOLO9000", arXiv:1612.08242, section 2; `calc_anchors` (detector.c).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detector.datasets.dataset import Example, displayed_size
from detector.errors import DatasetError
from detector.images.letterbox import fit_picture
from detector.images.modes import Resize
from detector.training.targets import shape_iou

_ROUNDS = 300
_STARTS = 3


@dataclass(frozen=True)
class Anchors:
    """Anchors in network pixels, smallest first, and how well they fit."""

    sizes: tuple[tuple[float, float], ...]
    mean_iou: float
    """Of each box with the anchor nearest to it."""

    def as_cfg(self) -> str:
        """The line of a `[yolo]` section."""
        return "anchors=" + ", ".join(f"{width:.0f},{height:.0f}" for width, height in self.sizes)


def box_sizes(examples: Sequence[Example], *, width: int, height: int, resize: Resize) -> NDArray[np.float32]:
    """Width and height in network pixels of every box, (n, 2), as the pictures are laid into the input."""
    sizes = []
    for example in examples:
        if not len(example.boxes):
            continue
        fit = fit_picture(*displayed_size(example.path), width=width, height=height, resize=resize)
        inner = np.array([fit.inner_width, fit.inner_height], np.float32)
        sizes.append(example.boxes[~example.crowd, 2:] * inner)
    return np.concatenate(sizes) if sizes else np.zeros((0, 2), np.float32)


def find_anchors(sizes: NDArray[np.float32], count: int, *, seed: int = 0) -> Anchors:
    """So many anchors for boxes of these sizes; `DatasetError` where there are fewer different boxes."""
    different = np.unique(np.round(sizes, 2), axis=0)
    if len(different) < count:
        raise DatasetError(f"{len(different)} different boxes; expected at least as many as anchors, {count}")
    rng = np.random.default_rng(seed)
    found = [_k_means(sizes, different, count, rng) for _ in range(_STARTS)]
    return max(found, key=lambda anchors: anchors.mean_iou)


def _k_means(
    sizes: NDArray[np.float32], different: NDArray[np.float32], count: int, rng: np.random.Generator
) -> Anchors:
    # k-means++ (Arthur and Vassilvitskii, 2007): each start is drawn far from those before it.
    centres = different[rng.integers(len(different))][None]
    while len(centres) < count:
        distance = 1 - shape_iou(different, centres).max(axis=1)
        distance = np.maximum(distance, 0) ** 2
        centres = np.concatenate([centres, different[rng.choice(len(different), p=distance / distance.sum())][None]])
    nearest = np.full(len(sizes), -1)
    for _ in range(_ROUNDS):
        previous, nearest = nearest, shape_iou(sizes, centres).argmax(axis=1)
        if (nearest == previous).all():
            break
        for index in range(count):
            own = sizes[nearest == index]
            if len(own):
                # The median resists the few boxes that a picture's edge has cut.
                centres[index] = np.median(own, axis=0)
    centres = centres[np.argsort(centres.prod(axis=1), kind="stable")]
    mean = float(shape_iou(sizes, centres).max(axis=1).mean())
    return Anchors(tuple((float(width), float(height)) for width, height in centres), mean)
