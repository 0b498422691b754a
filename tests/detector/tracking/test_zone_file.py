"""Files of zones, and what is wrong with them."""

import pytest

from detector.errors import ZonesError
from detector.tracking.zone_file import read_zones
from detector.tracking.zones import Line, Zone

GOOD = """
[[zone]]
name = "door"
polygon = [[0.25, 0.5], [0.75, 0.5], [0.75, 1], [0.25, 1]]
classes = ["person"]
anchor = "centre"
stay_seconds = 10
above = 3

[[line]]
name = "north"
from = [0, 0.5]
to = [1, 0.5]
"""


def read(tmp_path, text):
    path = tmp_path / "zones.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_zones(path)


def test_a_file_is_read(tmp_path):
    zones = read(tmp_path, GOOD)

    assert zones.zones == (
        Zone("door", ((0.25, 0.5), (0.75, 0.5), (0.75, 1.0), (0.25, 1.0)), ("person",), "centre", 10.0, 3),
    )
    assert zones.lines == (Line("north", (0.0, 0.5), (1.0, 0.5)),)


def test_a_closed_outline_loses_its_last_point(tmp_path):
    text = '[[zone]]\nname = "a"\npolygon = [[0, 0], [1, 0], [1, 1], [0, 0]]\n'

    assert len(read(tmp_path, text).zones[0].polygon) == 3


SIZED = 'units = "pixels"\nsize = [640, 480]\n[[line]]\nname = "a"\nfrom = [0, 0]\nto = [640, 480]\n'


def test_pixels_have_a_size(tmp_path):
    zones = read(tmp_path, SIZED)

    assert zones.size == (640, 480)
    assert zones.lines[0].end == (640.0, 480.0)


def zone(polygon, more=""):
    return f'[[zone]]\nname = "a"\npolygon = {polygon}\n{more}'


TRIANGLE = "[[0, 0], [1, 0], [1, 1]]"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds no zone and no line"),
        ("[[zone", "is no TOML"),
        (b"\xff\xfe", "byte 0 is no UTF-8"),
        ("doors = 3", "has no 'doors'; expected some of units, size, zone, line"),
        ("zone = 3", r"zone is 3; expected tables that begin with \[\[zone\]\]"),
        ("[[zone]]\npolygon = []", "the name of zone 1 is missing"),
        (zone("[[0, 0], [1, 1]]"), "expected a list of at least three points"),
        (zone("[[0, 0], [0.5, 0.5], [1, 1]]"), "has no area"),
        (zone("[[0, 0], [1, 1], [1, 0], [0, 1]]"), "edge from point 1 meets the one from point 3"),
        (zone("[[0, 0], [640, 0], [640, 480]]"), 'outside the picture.*for pixels, say units = "pixels"'),
        (zone("[[0, 0], [1, nan], [1, 1]]"), "outside the picture"),
        (zone('[[0, 0], ["x", 0], [1, 1]]'), "a point of zone 'a' is"),
        (zone(TRIANGLE) + zone(TRIANGLE), "two zones or lines are named 'a'"),
        (zone(TRIANGLE, "stay_seconds = -1"), "stay_seconds of zone 'a' is -1; expected a number above 0"),
        (zone(TRIANGLE, "above = true"), "above of zone 'a' is True"),
        (zone(TRIANGLE, 'anchor = "feet"'), "expected one of bottom, centre, top, left, right"),
        (zone(TRIANGLE, 'classes = "person"'), "expected a list of names"),
        (zone(TRIANGLE, "colour = 3"), "zone 'a' has no 'colour'"),
        ('[[line]]\nname = "l"\nfrom = [0, 0]\nto = [0, 0]', "begins where it ends"),
        ('[[line]]\nname = "l"\nfrom = [0, 0]', "a point of line 'l' is missing"),
        ('units = "miles"', 'units is .miles.; expected "fractions" or "pixels"'),
        ('units = "pixels"', r"size is missing; expected \[width, height\]"),
        ("size = [640, 480]", "expected none with fractions"),
        (SIZED.replace("640, 480]\n[[", "600, 480]\n[["), "expected 0 to 600 across"),
    ],
)
def test_what_is_wrong_is_said(tmp_path, text, message):
    with pytest.raises(ZonesError, match=message) as caught:
        read(tmp_path, text)

    assert str(caught.value).startswith(f"{tmp_path / 'zones.toml'}: ")
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(ZonesError, match="cannot be read: No such file"):
        read_zones(tmp_path / "none.toml")
