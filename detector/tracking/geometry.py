"""Points, lines and polygons in a picture, in pixels; y grows downward."""

from __future__ import annotations

import math
from collections.abc import Sequence

Point = tuple[float, float]


def area(polygon: Sequence[Point]) -> float:
    """The area of a polygon; below 0 where its points run counter-clockwise on a picture."""
    return sum(x * v - u * y for (x, y), (u, v) in zip(polygon, [*polygon[1:], polygon[0]], strict=True)) / 2


def first_crossing(polygon: Sequence[Point]) -> tuple[int, int] | None:
    """The first two edges of a polygon that meet without being neighbours; None where it does not cross itself."""
    count = len(polygon)
    edges = [(polygon[place], polygon[(place + 1) % count]) for place in range(count)]
    for one in range(count):
        for other in range(one + 2, count - (one == 0)):
            if segments_meet(*edges[one], *edges[other]):
                return one, other
    return None


def segments_meet(a: Point, b: Point, c: Point, d: Point) -> bool:
    """Whether the segments a-b and c-d have a point in common."""
    first, second = side(c, a, b), side(d, a, b)
    third, fourth = side(a, c, d), side(b, c, d)
    if (first > 0) != (second > 0) and (third > 0) != (fourth > 0) and 0 not in (first, second, third, fourth):
        return True
    return (
        (first == 0 and _between(c, a, b))
        or (second == 0 and _between(d, a, b))
        or (third == 0 and _between(a, c, d))
        or (fourth == 0 and _between(b, c, d))
    )


def side(point: Point, start: Point, end: Point) -> float:
    """Above 0 to the right of the line from `start` to `end` on a picture, where y grows downward; 0 on it."""
    return (end[0] - start[0]) * (point[1] - start[1]) - (end[1] - start[1]) * (point[0] - start[0])


def _between(point: Point, start: Point, end: Point) -> bool:
    return min(start[0], end[0]) <= point[0] <= max(start[0], end[0]) and min(start[1], end[1]) <= point[1] <= max(
        start[1], end[1]
    )


def depth_inside(point: Point, polygon: Sequence[Point]) -> float:
    """How far a point lies inside a polygon, in pixels; below 0 outside.

    Inside is decided by the even-odd rule (Shimrat 1962), the distance is that of the nearest edge.
    """
    x, y = point
    inside = False
    nearest = math.inf
    px, py = polygon[-1]
    for qx, qy in polygon:
        if (py > y) != (qy > y) and x < px + (y - py) * (qx - px) / (qy - py):
            inside = not inside
        dx, dy = qx - px, qy - py
        length = dx * dx + dy * dy
        part = 0.0 if length == 0 else min(1.0, max(0.0, ((x - px) * dx + (y - py) * dy) / length))
        nearest = min(nearest, math.hypot(x - px - part * dx, y - py - part * dy))
        px, py = qx, qy
    return nearest if inside else -nearest


def distance_right(point: Point, start: Point, end: Point) -> float:
    """How far a point lies to the right of the line through two others, in pixels; below 0 to its left."""
    return side(point, start, end) / math.dist(start, end)
