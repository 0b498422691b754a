"""Draw zones, lines and trails on an image, in place."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from detector.detections import Detections
from detector.drawing.boxes import class_colour, text_colour
from detector.drawing.labels import Colour, line_height, printable, text_patch
from detector.images.planes import Canvas, Planes

Point = tuple[float, float]

_ZONE_COLOUR: Colour = (255, 214, 10)
_LINE_COLOUR: Colour = (255, 69, 58)
_ARROW_PARTS = 0.12
_STEP = 10.0
"""Pixels between the points of a trail."""


def draw_zone(picture: NDArray[np.uint8] | Planes, polygon: Sequence[Point], label: str) -> None:
    """Draw a polygon's outline and its label at its topmost point; points are in pixels."""
    outline = [*polygon, polygon[0]]
    _polyline(picture, outline, _ZONE_COLOUR, _line_width(picture))
    top = min(polygon, key=lambda point: point[1])
    _label(picture, top, label, _ZONE_COLOUR)


def draw_line(picture: NDArray[np.uint8] | Planes, start: Point, end: Point, label: str) -> None:
    """Draw a line, an arrow at its middle that points inwards, and its label at its start."""
    width = _line_width(picture)
    _polyline(picture, [start, end], _LINE_COLOUR, width)
    middle = (start[0] + end[0]) / 2, (start[1] + end[1]) / 2
    # To the right of a line, in an image with y downwards, is its direction turned clockwise.
    across, down = -(end[1] - start[1]) * _ARROW_PARTS, (end[0] - start[0]) * _ARROW_PARTS
    tip = middle[0] + across, middle[1] + down
    _polyline(picture, [middle, tip], _LINE_COLOUR, width)
    for turn in (1, -1):
        barb = tip[0] - 0.4 * across + turn * 0.3 * down, tip[1] - 0.4 * down - turn * 0.3 * across
        _polyline(picture, [tip, barb], _LINE_COLOUR, width)
    _label(picture, start, label, _LINE_COLOUR)


class Trails:
    """The positions of each tracked object's feet over the last seconds."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._points: dict[int, deque[tuple[float, Point]]] = {}
        """Where each was, in points some pixels apart: more would cost time and change nothing."""
        self._now: dict[int, tuple[float, Point]] = {}

    def follow(self, detections: Detections, time: float) -> None:
        """Add a frame's detections; `time` is in seconds."""
        if detections.tracker_id is None:
            return
        feet = np.stack([detections.xyxy[:, [0, 2]].mean(1), detections.xyxy[:, 3]], 1).tolist()
        for number, (x, y) in zip(detections.tracker_id.tolist(), feet, strict=True):
            if number >= 0:
                trail = self._points.setdefault(number, deque())
                if not trail or math.dist(trail[-1][1], (x, y)) >= _STEP:
                    trail.append((time, (x, y)))
                self._now[number] = time, (x, y)
        oldest = time - self._seconds
        for number, (last, _) in list(self._now.items()):
            if last < oldest:
                del self._now[number], self._points[number]
                continue
            trail = self._points[number]
            while trail and trail[0][0] < oldest:
                trail.popleft()

    def draw(self, picture: NDArray[np.uint8] | Planes) -> None:
        """Draw the trails that end at the objects' current positions."""
        width = _line_width(picture)
        for number, trail in self._points.items():
            if trail:
                points = [point for _, point in trail]
                _polyline(picture, [*points, self._now[number][1]], class_colour(number), width)


def _polyline(picture: NDArray[np.uint8] | Planes, points: Sequence[Point], colour: Colour, width: int) -> None:
    canvas = picture if isinstance(picture, Planes) else Canvas(picture)
    canvas.polyline(np.array([(round(x), round(y)) for x, y in points], np.int32), canvas.ink(colour), width)


def _label(picture: NDArray[np.uint8] | Planes, point: Point, text: str, colour: Colour) -> None:
    canvas = picture if isinstance(picture, Planes) else Canvas(picture)
    height, width = canvas.shape[:2]
    size = max(11, round(min(height, width) / 36))
    patch = text_patch(f" {printable(text)} ", size, canvas.ink(text_colour(colour)), canvas.ink(colour))[:, :width]
    left = int(min(max(0, round(point[0])), width - patch.shape[1]))
    top = int(min(max(0, round(point[1]) - line_height(size)), height - patch.shape[0]))
    if top >= 0:
        canvas.paste(left, top, patch)


def _line_width(picture: NDArray[np.uint8] | Planes) -> int:
    height, width = picture.shape[:2]
    return int(max(1, round(min(height, width) / 200)))
