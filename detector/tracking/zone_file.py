"""The file that zones and lines are described in, checked field by field.

    units = "fractions"            # of width and height; or "pixels", then with size = [1920, 1080]

    [[zone]]
    name = "door"
    polygon = [[0.40, 0.55], [0.60, 0.55], [0.60, 0.90], [0.40, 0.90]]
    classes = ["person"]           # all classes unless given
    anchor = "bottom"              # the point of a box that counts; also centre, top, left, right
    stay_seconds = 10              # an event when somebody stays longer
    above = 5                      # an event when more are inside at once

    [[line]]
    name = "north"
    from = [0.10, 0.50]
    to = [0.90, 0.50]              # in: from the left of the line to its right, seen from its beginning

Both may have `classes` and `anchor`.
"""

from __future__ import annotations

import math
import os
import tomllib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TypeVar, get_args

from detector.errors import ZonesError
from detector.tracking.geometry import Point, area, first_crossing
from detector.tracking.zones import Anchor, Line, Zone, Zones

Item = TypeVar("Item")

_MOST_POINTS = 1000
_LONGEST_FILE = 1 << 22
_LEAST_AREA = 1e-9


def read_zones(path: str | os.PathLike[str]) -> Zones:
    """The zones and lines of a TOML file. Raises `ZonesError`, naming the zone and what is wrong with it."""
    file = Path(path)
    try:
        with file.open("rb") as opened:
            data = opened.read(_LONGEST_FILE + 1)
    except OSError as error:
        raise ZonesError(f"{file}: the zones cannot be read: {error.strerror or error}") from None
    return parse_zones(data, file)


def parse_zones(data: bytes, file: Path) -> Zones:
    """The zones and lines of a file's bytes; `file` stands for it in messages. Raises `ZonesError`."""
    if len(data) > _LONGEST_FILE:
        raise ZonesError(f"{file}: is larger than {_LONGEST_FILE >> 20} MiB; expected a file of zones")
    try:
        fields = tomllib.loads(data.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise ZonesError(f"{file}: byte {error.start} is no UTF-8; expected a TOML file of zones") from None
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ZonesError(f"{file}: is no TOML: {error}") from None
    return _Reader(file).zones(fields)


class _Reader:
    """Checks each field of a file and says what is wrong with it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._limits = (1.0, 1.0)

    def zones(self, fields: Mapping[str, object]) -> Zones:
        self._known(fields, ("units", "size", "zone", "line"), "the file")
        units = fields.get("units", "fractions")
        if units not in ("fractions", "pixels"):
            raise self._wrong("units", units, '"fractions" or "pixels"')
        size = self._size(fields) if units == "pixels" else None
        if size is None and "size" in fields:
            raise self._wrong("size", fields["size"], 'none with fractions; or units = "pixels"')
        if size is not None:
            self._limits = float(size[0]), float(size[1])
        zones = tuple(self._each(fields, "zone", self._zone))
        lines = tuple(self._each(fields, "line", self._line))
        if not zones and not lines:
            raise ZonesError(f"{self._path}: holds no zone and no line; expected a [[zone]] or a [[line]]")
        seen: set[str] = set()
        for name in Zones(self._path, zones, lines).names:
            if name in seen:
                raise ZonesError(f"{self._path}: two zones or lines are named {name!r}; give each a name of its own")
            seen.add(name)
        return Zones(self._path, zones, lines, size)

    def _size(self, fields: Mapping[str, object]) -> tuple[int, int]:
        match fields.get("size"):
            case [int(width), int(height)] if width > 0 and height > 0:
                return width, height
            case other:
                raise self._wrong("size", other, "[width, height] of the picture, which units in pixels need")

    def _each(
        self, fields: Mapping[str, object], kind: str, read: Callable[[Mapping[str, object], str], Item]
    ) -> Iterable[Item]:
        items = fields.get(kind, [])
        if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
            raise self._wrong(kind, items, f"tables that begin with [[{kind}]]")
        for number, item in enumerate(items, 1):
            name = item.get("name")
            if not isinstance(name, str) or not name.strip():
                raise self._wrong(f"the name of {kind} {number}", name, "a text")
            yield read(item, name)

    def _zone(self, fields: Mapping[str, object], name: str) -> Zone:
        where = f"zone {name!r}"
        self._known(fields, ("name", "polygon", "classes", "anchor", "stay_seconds", "above"), where)
        points = fields.get("polygon")
        if not isinstance(points, list) or not 3 <= len(points) <= _MOST_POINTS:
            raise self._wrong(f"the polygon of {where}", points, "a list of at least three points")
        polygon = tuple(self._point(point, where) for point in points)
        if polygon[0] == polygon[-1]:
            polygon = polygon[:-1]
        crossing = first_crossing(polygon) if len(polygon) > 3 else None
        if crossing:
            one, other = crossing
            raise ZonesError(
                f"{self._path}: {where} crosses itself: its edge from point {one + 1} meets the one from point "
                f"{other + 1}; give its points in the order of its outline"
            )
        if len(set(polygon)) < 3 or abs(area(polygon)) < _LEAST_AREA:
            raise ZonesError(f"{self._path}: {where} has no area; expected at least three points that span one")
        stay, above = fields.get("stay_seconds"), fields.get("above")
        if stay is not None and not (isinstance(stay, int | float) and 0 < stay < math.inf):
            raise self._wrong(f"stay_seconds of {where}", stay, "a number above 0")
        if above is not None and not (isinstance(above, int) and not isinstance(above, bool) and above >= 0):
            raise self._wrong(f"above of {where}", above, "a whole number from 0")
        return Zone(
            name,
            polygon,
            self._classes(fields, where),
            self._anchor(fields, where),
            float(stay) if isinstance(stay, int | float) else None,
            above,
        )

    def _line(self, fields: Mapping[str, object], name: str) -> Line:
        where = f"line {name!r}"
        self._known(fields, ("name", "from", "to", "classes", "anchor"), where)
        start, end = self._point(fields.get("from"), where), self._point(fields.get("to"), where)
        if start == end:
            raise ZonesError(f"{self._path}: {where} begins where it ends; expected two points")
        return Line(name, start, end, self._classes(fields, where), self._anchor(fields, where))

    def _point(self, value: object, where: str) -> Point:
        match value:
            case [int() | float() as x, int() | float() as y] if not isinstance(x, bool) and not isinstance(y, bool):
                point = float(x), float(y)
            case _:
                raise self._wrong(f"a point of {where}", value, "[x, y]")
        width, height = self._limits
        if not (0 <= point[0] <= width and 0 <= point[1] <= height):
            expected = f"0 to {width:g} across and 0 to {height:g} down"
            hint = '; for pixels, say units = "pixels" and size = [width, height]' if width == 1 else ""
            raise ZonesError(
                f"{self._path}: {where} lies outside the picture: its point [{point[0]:g}, {point[1]:g}]; "
                f"expected {expected}{hint}"
            )
        return point

    def _classes(self, fields: Mapping[str, object], where: str) -> tuple[str, ...]:
        names = fields.get("classes", [])
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise self._wrong(f"the classes of {where}", names, 'a list of names, such as ["person", "car"]')
        return tuple(names)

    def _anchor(self, fields: Mapping[str, object], where: str) -> Anchor:
        for anchor in get_args(Anchor):
            if fields.get("anchor", "bottom") == anchor:
                return anchor  # type: ignore[no-any-return]
        raise self._wrong(f"the anchor of {where}", fields["anchor"], f"one of {', '.join(get_args(Anchor))}")

    def _known(self, fields: Mapping[str, object], names: tuple[str, ...], where: str) -> None:
        for name in fields:
            if name not in names:
                raise ZonesError(f"{self._path}: {where} has no {name!r}; expected some of {', '.join(names)}")

    def _wrong(self, what: str, found: object, expected: str) -> ZonesError:
        shown = "missing" if found is None else repr(found)
        shown = shown if len(shown) <= 60 else f"{shown[:60]}…"
        return ZonesError(f"{self._path}: {what} is {shown}; expected {expected}")
