import numpy as np
import pytest

from detector.detections import Detections
from detector.logs.steady_boxes import steady

CAR, PERSON = 0, 1


def found(*boxes):
    """Boxes 20 pixels wide: (left, class, confidence)."""
    return Detections(
        np.array([(left, 0, left + 20, 20) for left, *_ in boxes], np.float32).reshape(-1, 4),
        np.array([box[2] if len(box) > 2 else 0.9 for box in boxes], np.float32),
        np.array([box[1] for box in boxes], np.int64),
        ("car", "person"),
    )


def lefts(*frames):
    """Left edge and class of each box that is drawn, frame by frame."""
    return [
        [(float(left), int(kind)) for left, kind in zip(one.xyxy[:, 0], one.class_id, strict=True)]
        for _, one in steady(enumerate(frames))
    ]


A, B = (100, CAR), (104, CAR)
NOTHING = found()


@pytest.mark.parametrize(
    ("frames", "expected"),
    [
        pytest.param([[A], [A], [A]], [[A], [A], [A]], id="one that stays"),
        pytest.param([[], [], [A], [], []], [[], [], [], [], []], id="one frame"),
        pytest.param([[A], [], [], [A]], [[], [], [], []], id="twice one frame"),
        pytest.param([[A], [A], [], [B], [B]], [[A], [A], [(102, CAR)], [B], [B]], id="a gap of one frame"),
        pytest.param([[A], [], [A]], [[A], [A], [A]], id="every other frame"),
        pytest.param([[A], [A], [], [], [A], [A]], [[A], [A], [], [], [A], [A]], id="a gap of two frames"),
        pytest.param([[A], [(100, PERSON)], [A]], [[A], [A], [A]], id="another class for one frame"),
        pytest.param([[A], [(300, CAR)], [(500, CAR)]], [[], [], []], id="far apart"),
        pytest.param([[A]], [[A]], id="a single picture"),
    ],
)
def test_what_flickers(frames, expected):
    assert lefts(*(found(*frame) for frame in frames)) == expected


def test_two_cars_beside_each_other_are_filled_each():
    both = found((100, CAR, 0.9), (130, CAR, 0.5))
    assert lefts(both, both, NOTHING, both, both)[2] == [(100, CAR), (130, CAR)]


def test_a_log_of_no_frames():
    assert list(steady([])) == []
