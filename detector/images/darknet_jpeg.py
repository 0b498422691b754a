"""Decode JPEG to the pixels of Darknet's own decoder.

Darknet reads JPEG with stb_image, every Python library with libjpeg. Both compute the same planes, but round
differently when they scale the colour planes to full size and convert them to RGB. Single pixels differ by one step of
255, which changes a confidence by up to 0.02, enough to move a box across the threshold.

libjpeg does not return its colour planes as stored. For 4:2:0 it does so when asked for an image of half the size; for
4:2:2 and 4:4:0 they are computed back from the doubled planes.

Source: `stbi__resample_row_v_2`, `stbi__resample_row_h_2`, `stbi__resample_row_hv_2`, `stbi__YCbCr_to_RGB_row`
(stb_image.h); `h2v1_fancy_upsample`, `h1v2_fancy_upsample` (jdsample.c of libjpeg-turbo).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_FRACTION_BITS = 20
_CENTRED = np.arange(256, dtype=np.int32) - 128


def _times(factor: float) -> NDArray[np.int32]:
    """Return a table from chroma value to product, in stb_image's fixed point (a 12-bit factor shifted left by 8)."""
    return _CENTRED * np.int32(int(factor * 4096 + 0.5) << 8)


_RED_OF_CR = _times(1.40200)
_GREEN_OF_CR = -_times(0.71414)
_GREEN_OF_CB = -_times(0.34414) & ~0xFFFF
_BLUE_OF_CB = _times(1.77200)


def decode_jpeg(open_image: Callable[[], Image.Image]) -> NDArray[np.uint8] | None:
    """Return the image as RGB (height, width, 3), before rotation; None for a JPEG that is not stored as YCbCr.

    `open_image` opens the file anew with each call. Raise what Pillow raises for a damaged file.
    """
    image = open_image()
    if image.format != "JPEG" or image.mode != "RGB" or image.info.get("adobe_transform", 1) != 1:
        return None
    width, height = image.size
    sampling = [component[1:3] for component in image.layer]  # type: ignore[attr-defined]
    luma, *chroma = _planes(image, (width, height))
    if sampling[1:] == [(1, 1), (1, 1)]:
        if sampling[0] == (2, 2):
            halves = _planes(open_image(), ((width + 1) // 2, (height + 1) // 2))[1:]
            if halves[0].shape == ((height + 1) // 2, (width + 1) // 2):
                chroma = [_doubled_both_ways(half)[:height, :width] for half in halves]
        elif sampling[0] == (1, 2):
            chroma = [_redoubled(plane) for plane in chroma]
        elif sampling[0] == (2, 1):
            chroma = [_redoubled(plane.T).T for plane in chroma]
    return _to_rgb(luma, *chroma)


def _planes(image: Image.Image, size: tuple[int, int]) -> list[NDArray[np.uint8]]:
    image.draft("YCbCr", size)
    image.load()
    return [np.asarray(plane) for plane in image.split()]


def _doubled_both_ways(plane: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Double the height and width: 9/16 of the nearest cell, 3/16 of each neighbour, 1/16 of the diagonal one."""
    stored = plane.astype(np.int32)
    padded = np.pad(stored, ((1, 1), (0, 0)), mode="edge")
    tall = np.empty((2 * len(stored), stored.shape[1]), np.int32)
    tall[0::2] = 3 * stored + padded[:-2]
    tall[1::2] = 3 * stored + padded[2:]
    wide = np.empty((len(tall), 2 * stored.shape[1]), np.int32)
    wide[:, 0] = (tall[:, 0] + 2) >> 2
    wide[:, -1] = (tall[:, -1] + 2) >> 2
    wide[:, 1:-1:2] = (3 * tall[:, :-1] + tall[:, 1:] + 8) >> 4
    wide[:, 2::2] = (3 * tall[:, 1:] + tall[:, :-1] + 8) >> 4
    return wide.astype(np.uint8)


def _redoubled(plane: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Double rows as stb_image does from rows that libjpeg doubled; even rows are weighted the other way round."""
    stored = _stored_rows(plane)
    above = np.concatenate([stored[:1], stored[:-1]])
    again = plane.copy()
    again[0::2] = (3 * stored + above + 2) >> 2
    return again


def _stored_rows(plane: NDArray[np.uint8]) -> NDArray[np.int16]:
    """Recover the rows that libjpeg doubled.

    It computes even rows as (3 c[i] + c[i - 1] + 1) >> 2 and odd ones as (3 c[i] + c[i + 1] + 2) >> 2. Each equation
    bounds c[i] once its neighbour is bounded; the first row is c[0] itself. A sweep down and a sweep up leave one
    value.
    """
    even, odd = plane[0::2].astype(np.int16), plane[1::2].astype(np.int16)
    low, high = np.zeros_like(even), np.full_like(even, 255)
    low[0] = high[0] = even[0]
    for _ in range(2):
        for i in range(1, len(even)):
            below, above = low[i - 1], high[i - 1]
            low[i] = np.maximum.reduce([low[i], (4 * even[i] + 1 - above) // 3, 4 * odd[i - 1] - 2 - 3 * above])
            high[i] = np.minimum.reduce([high[i], (4 * even[i] + 2 - below) // 3, 4 * odd[i - 1] + 1 - 3 * below])
        for i in range(len(even) - 1, 0, -1):
            below, above, j = low[i], high[i], i - 1
            low[j] = np.maximum.reduce([low[j], 4 * even[i] - 1 - 3 * above, (4 * odd[j] - above) // 3])
            high[j] = np.minimum.reduce([high[j], 4 * even[i] + 2 - 3 * below, (4 * odd[j] + 1 - below) // 3])
    return low


def _to_rgb(luma: NDArray[np.uint8], cb: NDArray[np.uint8], cr: NDArray[np.uint8]) -> NDArray[np.uint8]:
    base = (luma.astype(np.int32) << _FRACTION_BITS) + (1 << (_FRACTION_BITS - 1))
    rgb = np.empty((*luma.shape, 3), np.uint8)
    for channel, value in enumerate(
        (base + _RED_OF_CR[cr], base + _GREEN_OF_CR[cr] + _GREEN_OF_CB[cb], base + _BLUE_OF_CB[cb])
    ):
        rgb[..., channel] = (value >> _FRACTION_BITS).clip(0, 255)
    return rgb
