"""Points, lines and polygons."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detector.tracking.geometry import area, depth_inside, distance_right, first_crossing, segments_meet, side

SQUARE = [(0.0, 0.0), (10.0, 0.0), (10.0, 10.0), (0.0, 10.0)]
NOTCHED = [(0.0, 0.0), (10.0, 0.0), (10.0, 10.0), (5.0, 2.0), (0.0, 10.0)]
COORDINATE = st.floats(-100, 100, allow_nan=False)
POINT = st.tuples(COORDINATE, COORDINATE)


@pytest.mark.parametrize(
    ("point", "polygon", "depth"),
    [
        ((5, 5), SQUARE, 5),
        ((9, 5), SQUARE, 1),
        ((12, 5), SQUARE, -2),
        ((13, 14), SQUARE, -5),
        ((5, 8), NOTCHED, -6 * 5 / math.hypot(5, 8)),
        ((1, 1), NOTCHED, 1),
    ],
)
def test_depth(point, polygon, depth):
    assert depth_inside(point, polygon) == pytest.approx(depth)


@pytest.mark.parametrize(
    ("a", "b", "c", "d", "meet"),
    [
        ((0, 0), (10, 10), (0, 10), (10, 0), True),
        ((0, 0), (4, 4), (0, 10), (10, 0), False),
        ((0, 0), (5, 5), (0, 10), (10, 0), True),
        ((0, 0), (10, 0), (5, 0), (15, 0), True),
        ((0, 0), (10, 0), (11, 0), (15, 0), False),
        ((0, 0), (10, 0), (0, 1), (10, 1), False),
    ],
    ids=["cross", "too short", "touches", "overlap", "in line", "parallel"],
)
def test_segments(a, b, c, d, meet):
    assert segments_meet(a, b, c, d) is meet
    assert segments_meet(d, c, b, a) is meet


@given(POINT, POINT, POINT, POINT)
def test_segments_meet_both_ways(a, b, c, d):
    assert segments_meet(a, b, c, d) == segments_meet(c, d, a, b)


def test_right_is_right_on_a_picture():
    assert distance_right((5, 3), (0, 0), (10, 0)) == pytest.approx(3)  # below a line that runs to the right
    assert distance_right((5, -3), (0, 0), (10, 0)) == pytest.approx(-3)
    assert side((5, 0), (0, 0), (10, 0)) == 0


def test_a_polygon_that_crosses_itself():
    assert first_crossing(SQUARE) is None
    assert first_crossing(NOTCHED) is None
    assert first_crossing([(0, 0), (10, 10), (10, 0), (0, 10)]) == (0, 2)
    assert first_crossing([(0, 0), (10, 0), (5, 0), (5, 5)]) is not None


def test_area():
    assert abs(area(SQUARE)) == 100
    assert area(SQUARE) == -area(SQUARE[::-1])
