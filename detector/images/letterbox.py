"""Fit an image into a network's input, and map boxes back to the image.

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
"""Darknet's grey around a letterboxed image (`letterbox_image`, image.c)."""


@dataclass(frozen=True)
class Fit:
    """The position of an image in a network's input; all sizes in pixels."""

    picture_width: int
    picture_height: int
    width: int
    """Size of the network's input."""

    height: int
    inner_width: int
    """Size of the resized image within the input."""

    inner_height: int

    @property
    def left(self) -> int:
        """Grey columns to the left of the image."""
        return (self.width - self.inner_width) // 2

    @property
    def top(self) -> int:
        """Grey rows above the image."""
        return (self.height - self.inner_height) // 2

    def network_input(
        self, picture: NDArray[np.uint8] | Planes, interpolation: Interpolation = "linear"
    ) -> NDArray[np.float32]:
        """Return the image, (height, width, 3) RGB uint8 or planes, as the network's input: RGB, float32 in 0..1."""
        resized = resample(picture, self.inner_width, self.inner_height, interpolation)
        bottom, right = self.height - self.inner_height - self.top, self.width - self.inner_width - self.left
        if not (self.top or self.left or bottom or right):
            return resized
        grey = (GREY, GREY, GREY)
        framed = cv2.copyMakeBorder(resized, self.top, bottom, self.left, right, cv2.BORDER_CONSTANT, value=grey)
        return cast("NDArray[np.float32]", framed)

    def to_picture(self, boxes: NDArray[np.float32]) -> NDArray[np.float32]:
        """Map boxes (n, 4) of centre x, centre y, width, height from fractions of the input to fractions of the image.

        The inverse is Darknet's (`correct_yolo_boxes`, yolo_layer.c): it subtracts half the difference as a fraction,
        although the image was pasted at a whole pixel.
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
    """Return the network's input for an image.

    `width` and `height` are the size at which the network should run. `square` keeps it, as Darknet does. `rect` is the
    smallest rectangle of whole strides that contains the letterboxed image: the same scale with little grey. `fit` is
    the rectangle of whole strides, of at most `width` x `height` pixels, that is nearest to the image's own shape; the
    image is then fitted into it according to `resize`.
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
    """Return the largest size of the image's shape within width x height, in Darknet's integers (`letterbox_image`)."""
    if width * picture_height < height * picture_width:
        return width, max(1, picture_height * width // picture_width)
    return max(1, picture_width * height // picture_height), height


@lru_cache(maxsize=256)
def _nearest_rectangle(aspect: float, budget: int, stride: int) -> tuple[int, int]:
    """Return width and height in whole strides within a pixel budget, nearest to an aspect ratio (width / height).

    The nearest size has little distortion and uses most of the budget, both as ratios; distortion counts twice.
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
    """Resize an RGB uint8 image, or planes, to RGB float32 in 0..1.

    `linear` is OpenCV's bilinear, `area` averages when it shrinks, `darknet` is Darknet's bilinear with aligned
    corners, which reproduces Darknet's boxes.
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
    """Apply `resize_image` (image.c): source = target * (in - 1) / (out - 1), no antialiasing, in float.

    Rows are resized before columns, the reverse of Darknet's order: the same up to rounding, and faster. OpenCV has no
    such resize: `remap` and `warpAffine` round their weights to 1/32, an error of up to 0.013.
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
    """Return for each target row the two source rows and their weights, scaled to 0..1."""
    first, second, part = _aligned_corners(source, target)
    scaled = part[:, None] * np.float32(1 / 255)
    return first, second, np.float32(1 / 255) - scaled, scaled


@lru_cache(maxsize=64)
def _column_weights(source: int, target: int) -> tuple[NDArray[Any], ...]:
    """Return the same for columns, expanded to three channels: NumPy gathers single values faster than triples."""
    first, second, part = _aligned_corners(source, target)
    spread = np.repeat(part, 3)
    return *((index[:, None] * 3 + np.arange(3)).reshape(-1) for index in (first, second)), 1 - spread, spread


def _aligned_corners(source: int, target: int) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float32]]:
    """Return for each target index the two neighbouring source indices and the weight of the second."""
    scale = np.float32(source - 1) / np.float32(target - 1) if target > 1 else np.float32(0)
    position = np.arange(target, dtype=np.float32) * scale
    position[-1] = source - 1  # Darknet takes the last pixel here, regardless of rounding
    first = np.minimum(position.astype(np.intp), source - 1)
    return first, np.minimum(first + 1, source - 1), position - first.astype(np.float32)
