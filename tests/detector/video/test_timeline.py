from fractions import Fraction

import pytest

from detector.video.timeline import Timeline

MILLISECONDS = Fraction(1, 1000)


@pytest.mark.parametrize(
    ("given", "placed", "missing", "moved"),
    [
        pytest.param([0, 40, 80], [0, 40, 80], 0, 0, id="even"),
        pytest.param([0, 33, 67, 5000], [0, 33, 67, 5000], 0, 0, id="uneven"),
        pytest.param([-20, 20, 60], [-20, 20, 60], 0, 0, id="negative"),
        pytest.param([None, None, None], [0, 40, 80], 3, 0, id="none at all"),
        pytest.param([1000, None, 1080], [1000, 1040, 1080], 1, 0, id="one missing"),
        pytest.param([0, 40, 40, 80], [0, 40, 41, 80], 0, 1, id="repeated"),
        pytest.param([0, 40, 30, 80], [0, 40, 41, 80], 0, 1, id="out of order"),
        pytest.param([5000, 5040, 0, 40, 80], [5000, 5040, 5080, 5120, 5160], 0, 1, id="another recording joined on"),
        pytest.param([0, 40, 3_600_080, 120], [0, 40, 80, 120], 0, 2, id="one beyond belief"),
        pytest.param([0, 40, 3_599_000], [0, 40, 3_599_000], 0, 0, id="a long pause"),
        pytest.param([9_000_000, 9_000_040], [9_000_000, 9_000_040], 0, 0, id="late clock"),
    ],
)
def test_timestamps_increase_with_few_changes(given, placed, missing, moved):
    timeline = Timeline(MILLISECONDS, step=40)
    assert [timeline.place(pts) for pts in given] == placed
    assert (timeline.missing, timeline.moved) == (missing, moved)


def test_a_missing_timestamp_follows_from_the_duration():
    timeline = Timeline(MILLISECONDS, step=40)
    assert [timeline.place(100, 70), timeline.place(None)] == [100, 170]
