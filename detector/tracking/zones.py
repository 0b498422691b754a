"""Zones and lines: where in a picture objects are counted; `zone_file` reads them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from detector.errors import ZonesError
from detector.settings import suggestions
from detector.tracking.geometry import Point

Anchor = Literal["bottom", "centre", "top", "left", "right"]

_ANCHORS: Mapping[Anchor, tuple[float, float]] = {
    "bottom": (0.5, 1.0),
    "centre": (0.5, 0.5),
    "top": (0.5, 0.0),
    "left": (0.0, 0.5),
    "right": (1.0, 0.5),
}


@dataclass(frozen=True)
class Zone:
    """A polygon in which objects are counted."""

    name: str
    polygon: tuple[Point, ...]
    """At least three points, in pixels once `Zones.for_picture` was asked; the last is joined to the first."""
    classes: tuple[str, ...] = ()
    """Whom it counts; all when empty."""
    anchor: Anchor = "bottom"
    stay_seconds: float | None = None
    """How long a stay is remarkable; None for never."""
    above: int | None = None
    """How many objects at once are remarkable; None for never."""


@dataclass(frozen=True)
class Line:
    """A line that objects cross, in or out."""

    name: str
    start: Point
    end: Point
    classes: tuple[str, ...] = ()
    anchor: Anchor = "bottom"


@dataclass(frozen=True)
class Zones:
    """All zones and lines of a file."""

    path: Path
    zones: tuple[Zone, ...] = ()
    lines: tuple[Line, ...] = ()
    size: tuple[int, int] | None = None
    """Width and height of the picture that points in pixels are of; None where points are fractions."""

    @property
    def places(self) -> tuple[Zone | Line, ...]:
        """Zones, then lines."""
        return (*self.zones, *self.lines)

    @property
    def names(self) -> tuple[str, ...]:
        """Of zones, then of lines."""
        return tuple(item.name for item in self.places)

    def for_picture(self, width: int, height: int, classes: Sequence[str] | None = None) -> Zones:
        """The same in pixels of a picture of this size.

        Raises `ZonesError` where points are in pixels of another size, or a zone names a class that is not among
        `classes`.
        """
        if self.size is not None and self.size != (width, height):
            raise ZonesError(
                f"{self.path}: is for pictures of {self.size[0]}x{self.size[1]}, not {width}x{height}; "
                'give its points as fractions (units = "fractions"), or draw them on this picture'
            )
        if classes is not None:
            for item in self.places:
                for name in item.classes:
                    if name not in classes:
                        raise ZonesError(
                            f"{self.path}: {item.name!r} names class {name!r}, "
                            f"which is not one of the {suggestions(name, classes)}"
                        )
        x, y = (width, height) if self.size is None else (1, 1)
        return Zones(
            self.path,
            tuple(replace(zone, polygon=tuple((px * x, py * y) for px, py in zone.polygon)) for zone in self.zones),
            tuple(
                replace(line, start=(line.start[0] * x, line.start[1] * y), end=(line.end[0] * x, line.end[1] * y))
                for line in self.lines
            ),
            (width, height),
        )


def anchors_of(xyxy: NDArray[np.floating], anchor: Anchor) -> NDArray[np.float64]:
    """(n, 4) boxes -> (n, 2) the point of each that counts."""
    across, down = _ANCHORS[anchor]
    boxes = np.asarray(xyxy, np.float64)
    left, top, right, bottom = boxes.T
    return np.stack([left + across * (right - left), top + down * (bottom - top)], 1)
