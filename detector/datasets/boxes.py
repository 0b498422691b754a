"""Check boxes, for all label formats: a box must have an area and lie within its image."""

from __future__ import annotations

import math

from detector.datasets.examples import Problems

ROUNDING = 1e-3
"""Fraction of the image by which a box may extend beyond it: labels are rounded."""

Edges = tuple[float, float, float, float]
"""Left, top, right, bottom as fractions of the image."""


def checked_edges(
    edges: Edges, place: object, shown: str, problems: Problems, *, slack: float = ROUNDING
) -> Edges | None:
    """Return the edges, clipped to the image if they exceed it by at most `slack`; otherwise None, and add a problem.

    With `problems.clip` a box that exceeds it further is clipped too, unless nothing of it is left. `shown` is the box
    as its file states it.
    """
    if not all(map(math.isfinite, edges)):
        problems.add(place, f"the box {shown} has a number that is not finite")
        return None
    left, top, right, bottom = edges
    if right <= left or bottom <= top:
        problems.add(place, f"{shown} is not a box: width and height must be above 0")
        return None
    clipped = max(left, 0.0), max(top, 0.0), min(right, 1.0), min(bottom, 1.0)
    outside = max(-left, -top, right - 1, bottom - 1)
    if outside <= slack:
        return clipped if clipped[0] < clipped[2] and clipped[1] < clipped[3] else None
    if problems.clip and clipped[0] < clipped[2] and clipped[1] < clipped[3]:
        problems.clipped += 1
        return clipped
    problems.add(place, f"the box {shown} leaves the picture")
    return None
