"""What objects look like, and tracks that are joined by it."""

import numpy as np
import pytest

from detector.tracking.appearance import FEATURES, describe


def picture(colour, *, size=(200, 300), box=(100, 50, 160, 170)):
    shown = np.full((*size, 3), 90, np.uint8)
    left, top, right, bottom = box
    shown[top:bottom, left:right] = colour
    return shown


BOX = np.array([[100, 50, 160, 170]], float)


def apart(one, other):
    return float(((one - other) ** 2).sum())


def test_colours_tell_objects_apart_and_light_does_not():
    red, darker, white = (describe(picture(colour), BOX) for colour in ((200, 30, 30), (180, 20, 25), (240, 240, 240)))
    assert red.shape == (1, FEATURES)
    assert apart(red, darker) < 0.5
    assert apart(red, white) > 4


def test_where_a_colour_is_counts():
    upper, lower = picture((200, 30, 30)), picture((200, 30, 30))
    upper[110:], lower[:110] = 90, 90
    assert apart(describe(upper, BOX), describe(lower, BOX)) > 2


def test_size_does_not_count():
    small = describe(picture((30, 160, 60), box=(10, 10, 40, 70)), np.array([[10, 10, 40, 70]]))
    assert apart(small, describe(picture((30, 160, 60)), BOX)) < 0.1


@pytest.mark.parametrize(
    "box", [(-50, -50, 20, 20), (290, 190, 400, 300), (500, 500, 600, 600), (10, 10, 10, 10), (-9, -9, -5, -5)]
)
def test_boxes_beyond_the_picture(box):
    assert np.isfinite(describe(picture((1, 2, 3)), np.array([box], float))).all()


def test_no_boxes():
    assert describe(picture((1, 2, 3)), np.zeros((0, 4))).shape == (0, FEATURES)
