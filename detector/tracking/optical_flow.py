"""Motion between frames, measured in luma alone: boxes that follow it, and whether anything moved."""

from __future__ import annotations

from math import isqrt
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from detector.images.planes import Planes
from detector.video.frames import Image

Luma = NDArray[np.uint8]
"""(height, width): how bright each pixel is."""

Boxes = NDArray[np.float32]
"""(n, 4): left, top, right, bottom in pixels of the picture."""

_FLOW_SIDE = 400
"""Flow is measured in a picture of at most so many pixels a side, and of more than half."""

_FLOW_WINDOW = 9
_FLOW_LEVELS = 2
_FLOW_STEPS = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 6, 0.03)
_POINTS = 80
"""Points in all boxes together, with 3x3 to 5x5 in each, so that more boxes cost no more time."""

_CROWD = 40
"""More boxes than this have 2x2 points each."""

_INNER = 0.8
"""The central part of a box in which the points lie: near its edges there is background."""

_LEAST_FOUND = 0.3
"""A box does not move in a frame in which a smaller part of its points is found again."""

_SCALED_SIDE = 24
"""Pixels a box needs, in the reduced picture, for its growth to be measured: in less it is lost in the noise."""

_MOST_SCALE = 1.1
_LEAST_VISIBLE = 0.2
"""A box of which less than this part is left in the picture is dropped."""

_CUT_SIDE = 32
_CUT_RATIO = 0.9
_CUT_LEVELS = 8.0
"""Of 255: a smaller mean difference is noise, whatever the pictures show."""

_STILL_SIDE = 160
_STILL_BLUR = 3
_STILL_LIGHT = 41
"""The neighbourhood, in squares, whose common change is one of light."""

_STILL_LEAST, _STILL_MOST = 8.0, 15.0
"""Of 255: a smaller change is never motion, a larger one always; in between, the noise level decides.

With an upper bound, as a camera that turns changes the whole picture, which then looks like noise.
"""

_STILL_DEVIATIONS = 6.0
_NORMAL = 1.4826
"""Standard deviation over median absolute deviation, of a normal distribution."""


def luma_of(image: Image) -> Luma:
    """The brightness of a frame; a view of it where it stores one."""
    if isinstance(image, Planes):
        return image.luma
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), np.uint8)


def reduced(luma: Luma, side: int) -> Luma:
    """A copy, halved until it has at most `side` pixels a side; an odd last row or column is left out.

    Halving is several times as fast as OpenCV's reduction by any other factor, and keeps the scale exact.
    """
    small = luma
    for _ in range(_halvings(luma.shape, side)):
        height, width = small.shape[0] // 2, small.shape[1] // 2
        whole = small[: height * 2, : width * 2]
        small = np.asarray(cv2.resize(whole, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
    return luma.copy() if small is luma else small


def _halvings(shape: tuple[int, ...], side: int) -> int:
    """How often `reduced` halves; never a side of one pixel."""
    wanted = max(0, (-(-max(shape) // side) - 1).bit_length())
    return min(wanted, min(shape).bit_length() - 1)


class Follower:
    """Boxes that move with the picture, from one frame to the next.

    Points within each box are found again in the next frame (optical flow after Lucas and Kanade, in pyramids); their
    median moves the box and the median change of their distances scales it, as in MedianFlow (Kalal, Mikolajczyk and
    Matas, Forward-Backward Error, 2010). An edge that lies on the picture's border stays there while the object comes
    in or goes out.
    """

    def __init__(self) -> None:
        self._before = np.zeros((1, 1), np.uint8)
        self._size = np.ones(4)
        self._square = 1
        self._boxes = np.zeros((0, 4))
        self._at_border = np.zeros((0, 4), bool)

    def start(self, luma: Luma, boxes: Boxes) -> None:
        """Start with these boxes in this frame."""
        height, width = luma.shape
        self._before = reduced(luma, _FLOW_SIDE)
        self._square = 1 << _halvings(luma.shape, _FLOW_SIDE)
        self._size = np.array([width, height] * 2, np.float64)
        self._boxes = boxes.astype(np.float64)
        self._at_border = np.concatenate([boxes[:, :2] <= 1, boxes[:, 2:] >= self._size[2:] - 1], axis=1)

    def follow(self, luma: Luma) -> tuple[Boxes, NDArray[np.bool_], bool]:
        """The boxes in the next frame, clipped to it; which of them are still visible; whether the scene changed.

        After a change of scene, or a jolt of the camera, the boxes mean nothing.
        """
        now = reduced(luma, _FLOW_SIDE)
        cut = scene_changed(self._before, now)
        if len(self._boxes) and not cut:
            self._move(now)
        self._before = now
        clipped = np.clip(self._boxes, 0, self._size)
        visible = _area(clipped) > _LEAST_VISIBLE * _area(self._boxes)
        return clipped.astype(np.float32), visible, cut

    def _move(self, now: Luma) -> None:
        per_pixel = 1 / self._square
        seen = np.clip(self._boxes, 0, self._size).reshape(-1, 2, 2) * per_pixel
        points = _points_in(seen)
        flow = cv2.calcOpticalFlowPyrLK(
            self._before,
            now,
            points.reshape(-1, 1, 2),
            points.reshape(-1, 1, 2).copy(),  # where to put what is found
            winSize=(_FLOW_WINDOW, _FLOW_WINDOW),
            maxLevel=_FLOW_LEVELS,
            criteria=_FLOW_STEPS,
        )
        found, known = np.asarray(flow[0]).reshape(points.shape), np.asarray(flow[1]).reshape(len(points), -1) > 0
        shift = np.stack([_medians((found - points)[:, :, axis], known) for axis in (0, 1)], axis=1) / per_pixel
        scale = np.ones((len(points), 1))
        large = (seen[:, 1] - seen[:, 0]).min(axis=1) >= _SCALED_SIDE
        scale[large, 0] = _growth(points[large], found[large], known[large])
        centre = (self._boxes[:, :2] + self._boxes[:, 2:]) / 2 + shift
        half = (self._boxes[:, 2:] - self._boxes[:, :2]) / 2 * scale
        moved = np.concatenate([centre - half, centre + half], axis=1)
        outside = np.concatenate([np.minimum(moved[:, :2], 0), np.maximum(moved[:, 2:], self._size[2:])], axis=1)
        moved = np.where(self._at_border, outside, moved)
        sure = known.mean(axis=1) >= _LEAST_FOUND
        self._boxes[sure] = moved[sure]


def scene_changed(before: Luma, now: Luma) -> bool:
    """Whether two frames show different things: they differ nearly as much as two pictures by chance.

    The mean difference, brightness of the whole apart, is compared with the pictures' own mean deviation; two that
    have nothing in common come to about 1.4 of it, the same picture to 0.
    """
    if before.shape != now.shape:
        return True
    one, other = (_thumbnail(picture) for picture in (before, now))
    difference = float(np.abs(one - other).mean())
    own = float(np.abs(one).mean() + np.abs(other).mean()) / 2
    return difference > _CUT_LEVELS and difference > _CUT_RATIO * own


class Stillness:
    """Whether anything moved since the last frame that was detected in.

    Compared are means over squares, less what a wide neighbourhood has in common, so that neither a pixel's noise nor
    slowly changing light counts. What counts follows the noise, which is known from the picture's larger, still part.
    The comparison is always with the frame that was detected in, so that slow motion accumulates.
    """

    def __init__(self) -> None:
        self._reference = np.zeros((1, 1), np.float32)

    def remember(self, luma: Luma) -> None:
        """Remember this frame as the last one that was detected in."""
        self._reference = _smooth(luma)

    def moved(self, luma: Luma) -> bool:
        """Whether this frame differs from it."""
        now = _smooth(luma)
        if now.shape != self._reference.shape:
            return True
        difference = now - self._reference
        difference -= cv2.blur(difference, (_STILL_LIGHT, _STILL_LIGHT), borderType=cv2.BORDER_REFLECT)
        change = np.abs(difference)
        noise = _NORMAL * float(np.median(change))
        return float(change.max()) > min(max(_STILL_DEVIATIONS * noise, _STILL_LEAST), _STILL_MOST)


def _smooth(luma: Luma) -> NDArray[np.float32]:
    small = reduced(luma, _STILL_SIDE).astype(np.float32)
    return np.asarray(cv2.blur(small, (_STILL_BLUR, _STILL_BLUR)), np.float32)


def _thumbnail(luma: Luma) -> NDArray[np.float32]:
    small = reduced(luma, _CUT_SIDE).astype(np.float32)
    return np.asarray(small - small.mean(), np.float32)


def _points_in(boxes: NDArray[np.float64]) -> NDArray[np.float32]:
    """A grid of points within each box (n, 2 corners, 2): (n, points, 2)."""
    fewest = 3 if len(boxes) <= _CROWD else 2
    columns = max(fewest, min(5, isqrt(_POINTS // len(boxes))))
    places = 0.5 + ((np.arange(columns) + 0.5) / columns - 0.5) * _INNER
    grid = np.stack(np.meshgrid(places, places), axis=-1).reshape(1, -1, 2)
    return (boxes[:, :1] + (boxes[:, 1:] - boxes[:, :1]) * grid).astype(np.float32)


def _growth(points: NDArray[Any], found: NDArray[Any], known: NDArray[np.bool_]) -> NDArray[np.float64]:
    """How much the distances within each set of points (n, points, 2) have grown: (n,)."""
    one, other = np.triu_indices(points.shape[1], 1)
    before = np.linalg.norm(points[:, one] - points[:, other], axis=2)
    after = np.linalg.norm(found[:, one] - found[:, other], axis=2)
    growth = _medians(after / np.maximum(before, 1e-6), known[:, one] & known[:, other])
    return np.clip(np.nan_to_num(growth, nan=1, posinf=1), 1 / _MOST_SCALE, _MOST_SCALE)


def _medians(values: NDArray[Any], known: NDArray[np.bool_]) -> NDArray[np.float64]:
    """The median of the known ones in each row; infinite where none is."""
    ordered = np.sort(np.where(known, values, np.inf), axis=1)
    count = known.sum(axis=1)
    rows = np.arange(len(values))
    middle = ordered[rows, np.maximum(count - 1, 0) // 2] / 2 + ordered[rows, np.minimum(count // 2, count - 1)] / 2
    return np.asarray(middle, np.float64)


def _area(boxes: NDArray[Any]) -> NDArray[Any]:
    return np.asarray((boxes[:, 2:] - boxes[:, :2]).prod(axis=1))
