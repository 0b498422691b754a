"""Hold an image as videos store it: luma at full size, chroma at half the width and height (YCbCr 4:2:0).

A video frame stays in this form from the decoder to the encoder. The network's small input is made from it directly,
and boxes are drawn on it, so pixels outside boxes are never converted.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Ink = tuple[int, int, int]
"""A colour as an image stores it: red, green and blue, or Y, Cb and Cr."""

_LUMA_WEIGHTS = {1: (0.2126, 0.0722), 4: (0.30, 0.11), 7: (0.212, 0.087), 9: (0.2627, 0.0593), 10: (0.2627, 0.0593)}
_BT601 = (0.299, 0.114)


@lru_cache
def rgb_matrix(matrix: int, full_range: bool) -> NDArray[np.float32]:
    """Return the matrix (3, 4) that converts Y, Cb, Cr of 0 to 255 and a 1 to red, green and blue of 0 to 255.

    `matrix` is a code of ISO/IEC 23091-2; its formulas are those of ITU-R BT.601, BT.709 and BT.2020.
    """
    red, blue = _LUMA_WEIGHTS.get(matrix, _BT601)
    green = 1 - red - blue
    y, c = (1.0, 1.0) if full_range else (255 / 219, 255 / 224)
    parts = np.array(
        [
            [y, 0, 2 * (1 - red) * c],
            [y, -2 * (1 - blue) * blue / green * c, -2 * (1 - red) * red / green * c],
            [y, 2 * (1 - blue) * c, 0],
        ]
    )
    black = np.array([0 if full_range else 16, 128, 128])
    return np.column_stack([parts, -parts @ black]).astype(np.float32)


@lru_cache(maxsize=4096)
def _ink(rgb: Ink, matrix: int, full_range: bool) -> Ink:
    """Return the Y, Cb and Cr of a colour."""
    to_rgb = rgb_matrix(matrix, full_range)
    found = np.linalg.solve(to_rgb[:, :3], np.array(rgb, np.float32) - to_rgb[:, 3])
    y, cb, cr = np.clip(np.rint(found), 0, 255).astype(int).tolist()
    return y, cb, cr


class Planes:
    """An image stored in planes, which can be drawn on.

    `stored` is (rows * 3 / 2, columns) uint8, in FFmpeg's layout of yuv420p: all of Y, then Cb, then Cr; rows and
    columns are even. The image excludes the last row or column if its `size`, width and height, is odd. `matrix`, a
    code of ISO/IEC 23091-2, and `full_range` define the colours; `convert` makes the exact RGB image, which takes
    longer.
    """

    def __init__(
        self,
        stored: NDArray[np.uint8],
        convert: Callable[[NDArray[np.uint8]], NDArray[np.uint8]],
        *,
        matrix: int,
        full_range: bool,
        size: tuple[int, int] | None = None,
    ) -> None:
        self.stored = stored
        self._colours = matrix, full_range
        self._convert = convert
        rows, columns = stored.shape[0] * 2 // 3, stored.shape[1]
        self.shape: tuple[int, int, int] = (size[1], size[0], 3) if size else (rows, columns, 3)
        """The shape of the RGB image: height, width, 3."""
        self.luma = stored[:rows]
        """(rows, columns) uint8."""
        self.chroma = stored[rows:].reshape(2, rows // 2, columns // 2)
        """Cb and Cr, each with a quarter of the pixels."""
        self._rgb: NDArray[np.uint8] | None = None
        self.decoded: tuple[Any, NDArray[np.uint8]] | None = None
        """For sources of more than 8 bits, the decoder's frame and a copy of `stored` before anything was drawn."""

    @property
    def rgb(self) -> NDArray[np.uint8]:
        """The RGB image, (height, width, 3) uint8, computed when first used; do not draw on it."""
        if self._rgb is None:
            self._rgb = np.ascontiguousarray(self._convert(self.stored)[: self.shape[0], : self.shape[1]])
        return self._rgb

    def resized(self, width: int, height: int, method: int = cv2.INTER_LINEAR) -> NDArray[np.float32]:
        """Return the image resized, (height, width, 3) float32 RGB in 0..1; `method` is OpenCV's.

        It is resized first, so that few pixels are converted: both steps are linear, so the order changes only rounding
        and the clipping of out-of-range RGB values.
        """
        luma = self.luma[: self.shape[0], : self.shape[1]]
        parts = [cv2.resize(plane, (width, height), interpolation=method) for plane in (luma, *self.chroma)]
        rgb = cv2.transform(cv2.merge(parts).astype(np.float32), rgb_matrix(*self._colours) / np.float32(255))
        return np.asarray(np.clip(rgb, 0, 1, out=rgb), np.float32)

    def ink(self, rgb: Ink) -> Ink:
        """Return an RGB colour in this image's own Y, Cb, Cr."""
        return _ink(rgb, *self._colours)

    def fill(self, left: int, top: int, right: int, bottom: int, ink: Ink) -> None:
        """Fill a rectangle within the image."""
        self._rgb = None
        self.luma[top:bottom, left:right] = ink[0]
        blocks = self.chroma[:, top // 2 : (bottom + 1) // 2, left // 2 : (right + 1) // 2]
        blocks[0], blocks[1] = ink[1], ink[2]

    def paste(self, left: int, top: int, patch: NDArray[np.uint8]) -> None:
        """Copy a patch, (height, width, 3) Y, Cb, Cr, into the image."""
        self._rgb = None
        bottom, right = top + patch.shape[0], left + patch.shape[1]
        self.luma[top:bottom, left:right] = patch[:, :, 0]
        blocks = self.chroma[:, top // 2 : (bottom + 1) // 2, left // 2 : (right + 1) // 2]
        small = cv2.resize(patch, (blocks.shape[2], blocks.shape[1]), interpolation=cv2.INTER_AREA)
        blocks[0], blocks[1] = small[:, :, 1], small[:, :, 2]

    def forget_rgb(self) -> None:
        """Discard the cached `rgb`; call this after writing to `luma` or `chroma`."""
        self._rgb = None

    def polyline(self, points: NDArray[np.int32], ink: Ink, width: int) -> None:
        """Draw lines from point to point, (n, 2) x and y, clipped to the image."""
        self._rgb = None
        cv2.polylines(self.luma, [points], False, ink[:1], width)
        halves = [points // 2]
        for plane, value in zip(self.chroma, ink[1:], strict=True):
            cv2.polylines(plane, halves, False, (value,), max(1, width // 2))

    def copy(self) -> Planes:
        """Return a copy of the image."""
        return self._like(self.stored.copy(), (self.shape[1], self.shape[0]))

    def cropped(self, left: int, top: int, right: int, bottom: int) -> Planes:
        """Return a copy of a part of the image; `left` and `top` are even."""
        across, down = slice(left, right + right % 2), slice(top, bottom + bottom % 2)
        half = slice(left // 2, (right + 1) // 2), slice(top // 2, (bottom + 1) // 2)
        planes = [self.luma[down, across], *(plane[half[1], half[0]] for plane in self.chroma)]
        stored = np.concatenate([plane.reshape(-1) for plane in planes]).reshape(-1, planes[0].shape[1])
        return self._like(stored, (right - left, bottom - top))

    def turned(self, code: int) -> Planes | NDArray[np.uint8]:
        """Return the image rotated by one of OpenCV's rotations, through RGB where an odd size requires it."""
        if self.shape[:2] != self.luma.shape:
            return np.asarray(cv2.rotate(self.rgb, code), np.uint8)
        planes = [np.asarray(cv2.rotate(plane, code), np.uint8) for plane in (self.luma, *self.chroma)]
        stored = np.concatenate([plane.reshape(-1) for plane in planes]).reshape(-1, planes[0].shape[1])
        return self._like(stored, None)

    def _like(self, stored: NDArray[np.uint8], size: tuple[int, int] | None) -> Planes:
        matrix, full_range = self._colours
        return Planes(stored, self._convert, matrix=matrix, full_range=full_range, size=size)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return np.array(self.rgb, dtype=dtype, copy=copy)


class Canvas:
    """An RGB image, (height, width, 3) uint8, with the drawing methods of `Planes`."""

    def __init__(self, picture: NDArray[np.uint8]) -> None:
        self._picture = picture
        self.shape = picture.shape

    def ink(self, rgb: Ink) -> Ink:
        """The colour itself."""
        return rgb

    def fill(self, left: int, top: int, right: int, bottom: int, ink: Ink) -> None:
        """Fill a rectangle within the image."""
        self._picture[top:bottom, left:right] = ink

    def paste(self, left: int, top: int, patch: NDArray[np.uint8]) -> None:
        """Copy an RGB patch into the image."""
        self._picture[top : top + patch.shape[0], left : left + patch.shape[1]] = patch

    def polyline(self, points: NDArray[np.int32], ink: Ink, width: int) -> None:
        """Draw lines from point to point, (n, 2) x and y, clipped to the image."""
        cv2.polylines(self._picture, [points], False, ink, width)
