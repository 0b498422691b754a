"""Labels in free space."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detector.drawing.placing import MOST_COVERED, FreeSpace, corner_places, label_places


def space(*boxes, labels=9):
    return FreeSpace(np.array(boxes).reshape(-1, 4), most_labels=labels)


def test_the_first_place_that_is_free_is_taken():
    free = space((0, 0, 10, 10))

    assert free.take([(0, 0, 10, 5), (20, 0, 30, 5), (40, 0, 50, 5)]) == (20, 0, 30, 5)
    assert free.take([(25, 0, 35, 5), (30, 0, 40, 5)]) == (30, 0, 40, 5)
    assert free.take([(25, 0, 35, 5)]) is None


def test_labels_together_cover_no_more_of_a_box_than_one_may():
    free = space((0, 0, 100, 10))

    assert free.take([(0, 0, 39, 10)])
    assert not free.take([(50, 0, 60, 10)])
    assert free.take([(99, 0, 120, 10)])


@pytest.mark.parametrize(
    ("box", "first"),
    [
        ((50, 60, 90, 100), (50, 40, 80, 60)),
        ((50, 0, 90, 100), (50, 0, 80, 20)),
        ((190, 60, 199, 100), (170, 40, 200, 60)),
    ],
)
def test_the_best_place_is_above_the_box_and_in_the_picture(box, first):
    assert next(label_places(box, 30, 20, 200, 150)) == first


@given(
    st.tuples(*[st.integers(0, 199)] * 2, *[st.integers(1, 200)] * 2),
    st.integers(1, 200),
    st.integers(1, 150),
)
def test_every_place_is_in_the_picture(start_and_size, width, height):
    left, top, across, down = start_and_size
    box = (left, min(top, 149), min(left + across, 200), min(min(top, 149) + down, 150))
    for place in [*label_places(box, width, height, 200, 150), *corner_places(width, height, 200, 150)]:
        assert 0 <= place[0] < place[2] <= 200
        assert 0 <= place[1] < place[3] <= 150
        assert (place[2] - place[0], place[3] - place[1]) == (width, height)


def test_in_a_crowd_no_box_is_buried():
    rng = np.random.default_rng(1)
    start = rng.integers(0, 380, (150, 2))
    boxes = np.concatenate([start, start + rng.integers(5, 60, (150, 2))], axis=1)
    free = FreeSpace(boxes, most_labels=150)
    covered = np.zeros((450, 450), bool)
    placed = 0
    for box in boxes.tolist():
        place = free.take(label_places(tuple(box), 50, 14, 450, 450))
        if place:
            assert not covered[place[1] : place[3], place[0] : place[2]].any()
            covered[place[1] : place[3], place[0] : place[2]] = True
            placed += 1
    assert placed > 10
    for left, top, right, bottom in boxes.tolist():
        assert covered[top:bottom, left:right].mean() <= MOST_COVERED
