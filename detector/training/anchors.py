"""Compute anchors for a dataset, by k-means over box sizes with 1 - IoU as the distance.

Source: Redmon and Farhadi, "YOLO9000", arXiv:1612.08242, section 2; `calc_anchors` (detector.c).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray

from convert.cfg import Cfg
from convert.conversion import trained_resize
from detector.datasets.examples import Example
from detector.datasets.pictures import size_of
from detector.errors import DatasetError, SettingsError
from detector.images.letterbox import fit_picture
from detector.images.modes import Resize
from detector.training.targets import HeadRules, shape_iou

GOOD_FIT = 0.55
"""Below this mean IoU of boxes with the nearest anchor a warning is given; YOLOv3's nine reach 0.67 on COCO."""

_CHECKED = 2000
"""Number of images whose boxes are compared with the anchors."""

_ROUNDS = 300
_STARTS = 3


@dataclass(frozen=True)
class Anchors:
    """Anchors in network pixels, smallest first, and how well they fit."""

    sizes: tuple[tuple[float, float], ...]
    mean_iou: float
    """Mean IoU of each box with its nearest anchor."""

    def as_cfg(self) -> str:
        """The line for a `[yolo]` section."""
        return "anchors=" + ", ".join(f"{width:.0f},{height:.0f}" for width, height in self.sizes)


@dataclass(frozen=True)
class AnchorRequest:
    """How many anchors to compute, and for which network input."""

    count: int
    width: int
    height: int
    resize: Resize

    @classmethod
    def of(cls, cfg: Cfg) -> AnchorRequest:
        """Return the request for a network: the number of all its anchors, its input size and its resize mode."""
        counts = [section.integer("num", 1) for section in cfg.layers if section.kind in ("yolo", "Gaussian_yolo")]
        if not counts:
            raise SettingsError(f"{cfg.path}: has no [yolo] section; name --count, --size and --resize instead")
        width, height = cfg.net.integer("width", 416), cfg.net.integer("height", 416)
        return cls(max(counts), width, height, cast(Resize, trained_resize(cfg)[0]))


def box_sizes(examples: Sequence[Example], *, width: int, height: int, resize: Resize) -> NDArray[np.float32]:
    """Return width and height of every box in network pixels, (n, 2), once the images are fitted into the input."""
    sizes = []
    for example in examples:
        if not len(example.boxes):
            continue
        fit = fit_picture(*size_of(example), width=width, height=height, resize=resize)
        inner = np.array([fit.inner_width, fit.inner_height], np.float32)
        sizes.append(example.boxes[~example.crowd, 2:] * inner)
    return np.concatenate(sizes) if sizes else np.zeros((0, 2), np.float32)


def find_anchors(sizes: NDArray[np.float32], count: int, *, seed: int = 0) -> Anchors:
    """Compute anchors for boxes of these sizes, (n, 2). Raise `DatasetError` for fewer distinct boxes than anchors."""
    different = np.unique(np.round(sizes, 2), axis=0)
    if len(different) < count:
        raise DatasetError(f"{len(different)} different boxes; expected at least as many as anchors, {count}")
    rng = np.random.default_rng(seed)
    found = [_k_means(sizes, different, count, rng) for _ in range(_STARTS)]
    return max(found, key=lambda anchors: anchors.mean_iou)


def mean_iou(sizes: NDArray[np.float32], anchors: Sequence[tuple[float, float]]) -> float:
    """Return the mean IoU of boxes of these sizes with the anchor nearest to each; 0 without boxes."""
    if not len(sizes):
        return 0.0
    return float(shape_iou(sizes, np.array(anchors, np.float32)).max(axis=1).mean())


def anchor_note(examples: Sequence[Example], rules: Sequence[HeadRules], request: AnchorRequest) -> str:
    """Return a warning if a network's anchors fit the boxes badly; empty if they fit."""
    sizes = box_sizes(examples[:_CHECKED], width=request.width, height=request.height, resize=request.resize)
    fit = mean_iou(sizes, [anchor for rule in rules for anchor in rule.anchors])
    if not len(sizes) or fit >= GOOD_FIT:
        return ""
    return (
        f"the anchors fit the boxes badly: mean IoU {fit:.2f} with the nearest anchor; yolo3 anchors DATA --cfg CFG "
        "finds better ones"
    )


def _k_means(
    sizes: NDArray[np.float32], different: NDArray[np.float32], count: int, rng: np.random.Generator
) -> Anchors:
    # k-means++ (Arthur and Vassilvitskii, 2007): each initial centre is drawn far from the previous ones.
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
                # The median is not affected by the few boxes that are cut by the image's edge.
                centres[index] = np.median(own, axis=0)
    centres = centres[np.argsort(centres.prod(axis=1), kind="stable")]
    anchors = tuple((float(width), float(height)) for width, height in centres)
    return Anchors(anchors, mean_iou(sizes, anchors))
