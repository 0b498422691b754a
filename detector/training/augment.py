"""Augment images and their boxes at random."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from detector.heads.boxes import to_centres, to_edges
from detector.images.letterbox import fit_picture
from detector.images.modes import Resize
from detector.training.settings import TrainSettings

LEAST_KEPT = 0.3
"""A box is dropped if less than this fraction of its area remains in the image."""

LEAST_SIDE_PIXELS = 2.0
_GREY = (128, 128, 128)


@dataclass(frozen=True, eq=False)
class Sample:
    """An image with its boxes."""

    picture: NDArray[np.uint8]
    boxes: NDArray[np.float32]
    """(n, 4) centre x, centre y, width, height as fractions of the image."""

    class_id: NDArray[np.int64]


def fit_sample(sample: Sample, *, width: int, height: int, resize: Resize) -> Sample:
    """Fit the sample into the network's input as in detection, without augmentation."""
    matrix = _base(sample, width, height, resize)
    return _warp(sample, matrix, width, height)


def augment(
    sample: Sample, rng: np.random.Generator, settings: TrainSettings, *, width: int, height: int, resize: Resize
) -> Sample:
    """Scale, shift, mirror and recolour the sample at random, at the network's size.

    Scale and crop correspond to Darknet's `jitter`, colours to its `hue`, `saturation` and `exposure` (data.c).
    """
    matrix = _base(sample, width, height, resize)
    if settings.scale:
        grow = np.exp(rng.uniform(np.log(1 - settings.scale), np.log(1 + settings.scale)))
        aspect = np.exp(rng.uniform(-0.35, 0.35) * settings.scale)
        across, down = grow * aspect, grow / aspect
        # A larger image is cropped at a random place, a smaller one is placed at random on grey.
        x, y = ((1 - across) * rng.uniform(-0.1, 1.1) * width, (1 - down) * rng.uniform(-0.1, 1.1) * height)
        matrix = np.array([[across, 0, x], [0, down, y], [0, 0, 1]]) @ matrix
    if rng.random() < settings.flip:
        matrix = np.array([[-1, 0, width], [0, 1, 0], [0, 0, 1.0]]) @ matrix
    varied = _warp(sample, matrix, width, height)
    if settings.colour:
        return Sample(recolour(varied.picture, rng, settings.colour), varied.boxes, varied.class_id)
    return varied


def mosaic(samples: Sequence[Sample], rng: np.random.Generator) -> Sample:
    """Compose four samples of one size, each a quadrant about a random centre (arXiv:2004.10934, section 3.3)."""
    height, width = samples[0].picture.shape[:2]
    middle_x, middle_y = (int(rng.uniform(0.3, 0.7) * side) for side in (width, height))
    picture = np.empty_like(samples[0].picture)
    boxes, class_ids = [], []
    areas = (
        (0, 0, middle_x, middle_y),
        (middle_x, 0, width, middle_y),
        (0, middle_y, middle_x, height),
        (middle_x, middle_y, width, height),
    )
    for sample, (left, top, right, bottom) in zip(samples, areas, strict=True):
        picture[top:bottom, left:right] = sample.picture[top:bottom, left:right]
        edges = to_edges(sample.boxes) * np.array([width, height] * 2, np.float32)
        kept, clipped = _clip(edges, left, top, right, bottom)
        boxes.append(clipped)
        class_ids.append(sample.class_id[kept])
    together = np.concatenate(boxes) / np.array([width, height] * 2, np.float32)
    return Sample(picture, to_centres(together), np.concatenate(class_ids))


def recolour(picture: NDArray[np.uint8], rng: np.random.Generator, amount: float) -> NDArray[np.uint8]:
    """Return the image with its hue shifted, saturation and brightness multiplied (`distort_image`, image.c)."""
    hue = rng.uniform(-0.12, 0.12) * amount * 180
    saturation, brightness = (np.exp(rng.uniform(-1, 1) * amount) for _ in range(2))
    levels = np.arange(256, dtype=np.float64)
    tables = np.stack(
        [
            np.mod(np.arange(256) + hue, 180),
            np.clip(levels * saturation, 0, 255),
            np.clip(levels * brightness, 0, 255),
        ],
        axis=1,
    ).astype(np.uint8)[None]
    hsv = cv2.LUT(cv2.cvtColor(picture, cv2.COLOR_RGB2HSV), tables)
    return np.asarray(cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB), np.uint8)


def _base(sample: Sample, width: int, height: int, resize: Resize) -> NDArray[np.float64]:
    """Return the matrix from pixels of the image to pixels of the network's input, counted from pixel edges."""
    rows, columns = sample.picture.shape[:2]
    fit = fit_picture(columns, rows, width=width, height=height, resize=resize)
    return np.array(
        [[fit.inner_width / columns, 0, fit.left], [0, fit.inner_height / rows, fit.top], [0, 0, 1]], np.float64
    )


def _warp(sample: Sample, matrix: NDArray[np.float64], width: int, height: int) -> Sample:
    # OpenCV counts from pixel centres, hence the shift by half a pixel before and after.
    inward = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]])
    centred = np.linalg.inv(inward) @ matrix @ inward
    picture = cv2.warpAffine(
        sample.picture,
        centred[:2],
        (width, height),
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=_GREY,
    )
    rows, columns = sample.picture.shape[:2]
    edges = to_edges(sample.boxes) * np.array([columns, rows] * 2, np.float32)
    moved = np.concatenate([edges[:, :2], edges[:, 2:]]) @ matrix[:2, :2].T + matrix[:2, 2]
    one, other = np.split(moved, 2)
    edges = np.concatenate([np.minimum(one, other), np.maximum(one, other)], axis=1).astype(np.float32)
    kept, clipped = _clip(edges, 0, 0, width, height)
    boxes = to_centres(clipped / np.array([width, height] * 2, np.float32))
    return Sample(np.asarray(picture, np.uint8), boxes, sample.class_id[kept])


def _clip(
    edges: NDArray[np.float32], left: float, top: float, right: float, bottom: float
) -> tuple[NDArray[np.bool_], NDArray[np.float32]]:
    """Return a mask of the boxes of which enough remains within an area, and those boxes clipped to it."""
    low, high = np.array([left, top] * 2, np.float32), np.array([right, bottom] * 2, np.float32)
    clipped = np.clip(edges, low, high)
    before, after = ((part[:, 2:] - part[:, :2]).prod(axis=1) for part in (edges, clipped))
    kept = (after >= LEAST_KEPT * before) & (
        (clipped[:, 2:] - clipped[:, :2]).min(axis=1, initial=np.inf) >= LEAST_SIDE_PIXELS
    )
    return kept, clipped[kept]
