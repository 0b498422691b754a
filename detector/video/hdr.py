"""Tone-map HDR frames (PQ and HLG) to BT.709, for ordinary screens, encoders and networks.

Brightness follows the roll-off of ITU-R BT.2390 (section 5.4.1): it is unchanged up to the knee and compressed above
it, so that 1,000 cd/m² becomes white. Red, green and blue are scaled by the same factor, which keeps the hue. Colours
outside BT.709's gamut are clipped to its edge.
"""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from detector.video.frames import Colours, Picture

PQ, HLG = 16, 18
"""The transfer curves of HDR (ISO/IEC 23091-2)."""

SHOWN = Colours(matrix=1, full_range=False, primaries=1, transfer=1)
"""The colours in which tone-mapped frames are stored."""

_PEAK = 1000.0
"""Light in cd/m² that becomes white. Most films are graded for this peak."""

_WHITE = 203.0
"""cd/m² of diffuse white in HDR (ITU-R BT.2408), and of white in the output."""

_CODES = 1 << 16

_BT2020_TO_BT709 = np.array(
    [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]], np.float32
)
"""ITU-R BT.2087, linear light."""

_SCREEN_GAMMA = 2.4
"""ITU-R BT.1886."""


def is_hdr(colours: Colours) -> bool:
    """Return whether a video's transfer curve is an HDR curve."""
    return colours.transfer in (PQ, HLG)


def tone_mapped(rgb: NDArray[np.uint16], transfer: int, *, white: int = _CODES - 1) -> Picture:
    """Tone-map an image, (height, width, 3) BT.2020 RGB in PQ or HLG, to 8-bit BT.709; `white` is its largest code."""
    light, gain = _tables(transfer, white)
    linear = light[rgb]
    linear *= gain[rgb.max(axis=2)][:, :, None]
    linear = np.asarray(cv2.transform(linear, _BT2020_TO_BT709), np.float32)
    linear /= np.maximum(linear.max(axis=2), 1)[:, :, None]  # a saturated colour may exceed 1 in BT.709
    codes = (np.maximum(linear, 0, out=linear) * np.float32(_CODES - 1)).astype(np.uint16)
    return np.asarray(_screen()[codes], np.uint8)


@lru_cache
def _tables(transfer: int, white: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the light of each 16-bit code, and the gain of a pixel whose largest component has that code.

    Their product is 1 at white.
    """
    code = np.minimum(np.arange(_CODES) / white, 1)
    if transfer == PQ:
        light = pq_light(code)
        shown = light
    else:
        light = hlg_light(code)
        shown = _PEAK * light**1.2  # the screen's own gamma (ITU-R BT.2100, table 5)
    mapped = pq_light(_rolled_off(pq_code(shown)))
    gain = mapped / np.maximum(light, 1e-9) / _WHITE
    gain[0] = 0
    return light.astype(np.float32), gain.astype(np.float32)


@lru_cache
def _screen() -> NDArray[np.uint8]:
    """Return the 8-bit code that a BT.1886 screen shows as linear light of 0 to 65,535."""
    return np.rint(255 * (np.arange(_CODES) / (_CODES - 1)) ** (1 / _SCREEN_GAMMA)).astype(np.uint8)


def pq_light(code: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the light in cd/m² of PQ codes in 0..1 (SMPTE ST 2084)."""
    power = code ** (1 / 78.84375)
    return 10_000 * (np.maximum(power - 0.8359375, 0) / (18.8515625 - 18.6875 * power)) ** (1 / 0.1593017578125)


def pq_code(light: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the PQ codes in 0..1 of light in cd/m² (SMPTE ST 2084)."""
    power = np.clip(light / 10_000, 0, 1) ** 0.1593017578125
    return ((0.8359375 + 18.8515625 * power) / (1 + 18.6875 * power)) ** 78.84375


def hlg_light(code: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the scene light in 0..1 of HLG codes in 0..1 (ITU-R BT.2100, table 5)."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    return np.where(code <= 0.5, code**2 / 3, (np.exp((code - c) / a) + b) / 12)


def _rolled_off(code: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return PQ codes after the roll-off from the peak to white (ITU-R BT.2390, section 5.4.1)."""
    peak, white = pq_code(np.array([_PEAK, _WHITE]))
    share = np.minimum(code / peak, 1)
    most = white / peak
    knee = 1.5 * most - 0.5
    t = np.clip((share - knee) / (1 - knee), 0, 1)
    curve = (2 * t**3 - 3 * t**2 + 1) * knee + (t**3 - 2 * t**2 + t) * (1 - knee) + (-2 * t**3 + 3 * t**2) * most
    return np.asarray(np.where(share < knee, share, curve) * peak)
