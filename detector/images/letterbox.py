"""A picture fitted into a network's input, and boxes brought back from it.

Pure geometry and resampling: NumPy and OpenCV, no network.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from detector.images.modes import Interpolation, Resize, Shape
from detector.images.planes import Planes

GREY = 0.5
"""Darknet's fill around a letterboxed picture (`letterbox_image`, image.c)."""


@dataclass(frozen=True)
class Fit:
    """Where a picture lies in a network's input; all sizes in pixels."""

    picture_width: int
    picture_height: int
    width: int
    """Of the network's input."""

    height: int
    inner_width: int
    """Of the resized picture within the input."""

    inner_height: int

    @property
    def left(self) -> int:
        """Columns of grey before the picture."""
        return (self.width - self.inner_width) // 2

    @property
    def top(self) -> int:
        """Rows of grey above the picture."""
        return (self.height - self.inner_height) // 2

    def network_input(
        self, picture: NDArray[np.uint8] | Planes, interpolation: Interpolation = "linear"
    ) -> NDArray[np.float32]:
        """The picture, (height, width, 3) RGB uint8 or planes, as the network's input: RGB, float32 in 0..1."""
        resized = resample(picture, self.inner_width, self.inner_height, interpolation)
        bottom, right = self.height - self.inner_height - self.top, self.width - self.inner_width - self.left
        if not (self.top or self.left or bottom or right):
            return resized
        grey = (GREY, GREY, GREY)
        framed = cv2.copyMakeBorder(resized, self.top, bottom, self.left, right, cv2.BORDER_CONSTANT, value=grey)
        return cast("NDArray[np.float32]", framed)

    def to_picture(self, boxes: NDArray[np.float32]) -> NDArray[np.float32]:
        """Boxes (n, 4) of centre x, centre y, width, height, from parts of the input to parts of the picture.

        The inverse is Darknet's (`correct_yolo_boxes`, yolo_layer.c): it subtracts half the difference as a
        fraction, although the picture was pasted at a whole pixel.
        """
        inner_x, inner_y = self.inner_width / self.width, self.inner_height / self.height
        margins = np.array([(1 - inner_x) / 2, (1 - inner_y) / 2, 0, 0], np.float32)
        moved: NDArray[np.float32] = np.divide(boxes - margins, np.array([inner_x, inner_y] * 2), dtype=np.float32)
        return moved


def fit_picture(
    picture_width: int,
    picture_height: int,
    *,
    width: int,
    height: int,
    resize: Resize = "letterbox",
    shape: Shape = "square",
    stride: int = 32,
) -> Fit:
    """Choose the network's input for a picture.

    `width` and `height` are those the network is to run at. `square` keeps them, as Darknet does. `rect` is the
    smallest rectangle of whole strides that holds the letterboxed picture, the same scale without most of the
    grey. `fit` is the rectangle of whole strides, of no more pixels than `width` x `height`, that is nearest to the
    picture's own shape; the picture is then fitted into it as `resize` says.
    """
    if shape == "rect":
        inner = _letterboxed(picture_width, picture_height, width, height)
        width, height = (math.ceil(side / stride) * stride for side in inner)
        return Fit(picture_width, picture_height, width, height, *inner)
    if shape == "fit":
        width, height = _nearest_rectangle(picture_width / picture_height, width * height, stride)
    if resize == "stretch":
        return Fit(picture_width, picture_height, width, height, width, height)
    inner = _letterboxed(picture_width, picture_height, width, height)
    return Fit(picture_width, picture_height, width, height, *inner)


def _letterboxed(picture_width: int, picture_height: int, width: int, height: int) -> tuple[int, int]:
    """The largest size of the picture's shape within width x height, in Darknet's integers (`letterbox_image`)."""
    if width * picture_height < height * picture_width:
        return width, max(1, picture_height * width // picture_width)
    return max(1, picture_width * height // picture_height), height


@lru_cache(maxsize=256)
def _nearest_rectangle(aspect: float, budget: int, stride: int) -> tuple[int, int]:
    """Width and height in whole strides within a budget of pixels, nearest to an aspect ratio (width / height).

    Near means little distortion and little of the budget unspent, as ratios; distortion counts twice.
    """
    cells = budget // stride**2

    def loss(columns: int, rows: int) -> float:
        return 2 * abs(math.log(columns / rows / aspect)) + math.log(cells / (columns * rows))

    pairs = [(columns, rows) for columns in range(1, cells + 1) for rows in {cells // columns}]
    ideal = math.sqrt(cells / aspect)
    pairs += [
        (columns, rows)
        for rows in range(max(1, int(ideal) - 2), int(ideal) + 3)
        for columns in range(max(1, int(ideal * aspect) - 2), int(ideal * aspect) + 3)
        if columns * rows <= cells
    ]
    columns, rows = min(pairs, key=lambda pair: (loss(*pair), pair))
    return columns * stride, rows * stride


def resample(
    picture: NDArray[np.uint8] | Planes, width: int, height: int, interpolation: Interpolation = "linear"
) -> NDArray[np.float32]:
    """Resize an RGB uint8 picture, or planes, to RGB float32 in 0..1.

    `linear` is OpenCV's bilinear, `area` averages when it shrinks, `darknet` is Darknet's bilinear with aligned
    corners, which its boxes can be reproduced with.
    """
    if interpolation == "darknet":
        return _resample_darknet(picture.rgb if isinstance(picture, Planes) else picture, width, height)
    shrinks = width < picture.shape[1] and height < picture.shape[0]
    method = cv2.INTER_AREA if interpolation == "area" and shrinks else cv2.INTER_LINEAR
    if isinstance(picture, Planes):
        return picture.resized(width, height, method)
    if (width, height) != (picture.shape[1], picture.shape[0]):
        picture = cv2.resize(picture, (width, height), interpolation=method)  # type: ignore[assignment]
    return np.multiply(picture, np.float32(1 / 255), dtype=np.float32)


def _resample_darknet(picture: NDArray[np.uint8], width: int, height: int) -> NDArray[np.float32]:
    """`resize_image` (image.c): source = target * (in - 1) / (out - 1), no antialiasing, in float.

    Rows before columns, where Darknet goes the other way: the same up to rounding, and less work. OpenCV has no such
    resize: `remap` and `warpAffine` round their weights to 1/32, which is 0.013 off.
    """
    above, below, part_above, part_below = _row_weights(picture.shape[0], height)
    before, after, part_before, part_after = _column_weights(picture.shape[1], width)
    flat = picture.reshape(picture.shape[0], -1)
    rows = np.empty((height, flat.shape[1]), np.float32)
    for first in range(0, height, _BLOCK_ROWS):
        block = slice(first, first + _BLOCK_ROWS)
        np.multiply(flat[above[block]].astype(np.float32), part_above[block], out=rows[block])
        lower = flat[below[block]].astype(np.float32)
        lower *= part_below[block]
        rows[block] += lower
    columns, right = rows.take(before, axis=1), rows.take(after, axis=1)
    columns *= part_before
    right *= part_after
    columns += right
    return columns.reshape(height, width, 3)


_BLOCK_ROWS = 64  # so that a block of a video frame's rows stays in the processor's cache


@lru_cache(maxsize=64)
def _row_weights(source: int, target: int) -> tuple[NDArray[Any], ...]:
    """For each target row the source rows on both sides, and the part of each, scaled to 0..1."""
    first, second, part = _aligned_corners(source, target)
    scaled = part[:, None] * np.float32(1 / 255)
    return first, second, np.float32(1 / 255) - scaled, scaled


@lru_cache(maxsize=64)
def _column_weights(source: int, target: int) -> tuple[NDArray[Any], ...]:
    """The same for columns, for each of their three numbers: NumPy gathers single ones faster than threes."""
    first, second, part = _aligned_corners(source, target)
    spread = np.repeat(part, 3)
    return *((index[:, None] * 3 + np.arange(3)).reshape(-1) for index in (first, second)), 1 - spread, spread


def _aligned_corners(source: int, target: int) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float32]]:
    """For each target index the source indices on both sides of it and how far it lies towards the second."""
    scale = np.float32(source - 1) / np.float32(target - 1) if target > 1 else np.float32(0)
    position = np.arange(target, dtype=np.float32) * scale
    position[-1] = source - 1  # Darknet takes the last pixel here, whatever the rounding
    first = np.minimum(position.astype(np.intp), source - 1)
    return first, np.minimum(first + 1, source - 1), position - first.astype(np.float32)
