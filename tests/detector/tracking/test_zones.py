"""Zones fitted to a picture."""

from pathlib import Path

import numpy as np
import pytest

from detector.errors import ZonesError
from detector.tracking.zones import Line, Zone, Zones, anchors_of

DOOR = Zone("door", ((0.0, 0.0), (0.5, 0.0), (0.5, 1.0)), ("person",))
FILE = Path("zones.toml")


@pytest.mark.parametrize(
    ("anchor", "point"),
    [("bottom", (20, 90)), ("centre", (20, 50)), ("top", (20, 10)), ("left", (10, 50)), ("right", (30, 50))],
)
def test_anchors(anchor, point):
    assert anchors_of(np.array([[10, 10, 30, 90]]), anchor)[0] == pytest.approx(point)


def test_fractions_become_pixels_of_any_picture():
    zones = Zones(FILE, (DOOR,), (Line("l", (0.1, 0.5), (1.0, 0.5)),)).for_picture(200, 100)

    assert zones.zones[0].polygon == ((0, 0), (100, 0), (100, 100))
    assert (zones.lines[0].start, zones.lines[0].end) == ((20, 50), (200, 50))


def test_pixels_are_of_one_size():
    zones = Zones(FILE, (DOOR,), size=(640, 480))

    assert zones.for_picture(640, 480).zones == (DOOR,)
    with pytest.raises(ZonesError, match="for pictures of 640x480, not 200x100"):
        zones.for_picture(200, 100)


def test_an_unknown_class_is_named_with_the_nearest():
    with pytest.raises(ZonesError, match=r"'door' names class 'person'.*persons"):
        Zones(FILE, (DOOR,)).for_picture(10, 10, ["persons", "car"])
