import numpy as np
import pytest

from detector.detections import Detections
from detector.precision.agreement import agreement

NAMES = ("person", "dog")


def boxes(*rows):
    """Detections of (left, top, right, bottom, class id) rows, best first."""
    table = np.array(rows, np.float32).reshape(-1, 5)
    confidence = np.linspace(0.9, 0.5, len(table)).astype(np.float32)
    return Detections(table[:, :4], confidence, table[:, 4].astype(np.int64), NAMES)


ONE = (0, 0, 100, 100, 0)
FAR = (200, 200, 300, 300, 0)


def test_a_network_agrees_with_itself():
    found = agreement([boxes(ONE, FAR), boxes()], [boxes(ONE, FAR), boxes()])

    assert found.f1 == 1
    assert found.boxes == 2


def test_nothing_agrees_with_nothing():
    assert agreement([boxes()], [boxes()]).f1 == 1


@pytest.mark.parametrize(
    ("found", "f1"),
    [
        (boxes(), 0.0),
        (boxes(FAR), 0.0),
        (boxes((0, 0, 100, 100, 1)), 0.0),  # of another class
        (boxes(ONE, FAR), 2 / 3),
        (boxes(ONE, ONE), 2 / 3),  # one box of the truth has one partner
        (boxes((0, 0, 100, 72, 0)), 0.5),  # IoU 0.72 counts at 0.50, 0.55, … 0.70: five of ten thresholds
    ],
)
def test_f1_over_thresholds(found, f1):
    assert agreement([found], [boxes(ONE)]).f1 == pytest.approx(f1)


def test_pictures_are_compared_one_by_one():
    assert agreement([boxes(ONE), boxes()], [boxes(), boxes(ONE)]).f1 == 0
