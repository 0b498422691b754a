import pytest

from detector.evaluation.average_precision import score
from tests.detector.evaluation.boxes import BOX, FAR, NAMES, found, truth


@pytest.mark.parametrize(
    ("truths", "detections", "ap", "ap50"),
    [
        pytest.param([truth((0, BOX))], [found((0, BOX, 0.9))], 1, 1, id="perfect"),
        pytest.param([truth((0, BOX))], [found()], 0, 0, id="nothing found"),
        pytest.param([truth((0, BOX))], [found((1, BOX, 0.9))], 0, 0, id="wrong class"),
        pytest.param([truth((0, BOX))], [found((0, FAR, 0.9), (0, BOX, 0.5))], 0.5, 0.5, id="a false one before it"),
        pytest.param([truth((0, BOX))], [found((0, BOX, 0.9), (0, FAR, 0.5))], 1, 1, id="a false one after it"),
        pytest.param(
            [truth((0, BOX))], [found((0, [10, 10, 60, 47], 0.9))], 0.5, 1, id="IoU 0.74: five of ten thresholds"
        ),
        pytest.param(
            [truth((0, BOX)), truth((0, FAR))], [found((0, BOX, 0.9)), found()], 51 / 101, 51 / 101, id="half"
        ),
        pytest.param(
            [truth((0, BOX), (0, FAR), crowd=[False, True])],
            [found((0, FAR, 0.95), (0, BOX, 0.9))],
            1,
            1,
            id="within a crowd is no mistake",
        ),
    ],
)
def test_average_precision(truths, detections, ap, ap50):
    result = score(truths, detections, NAMES)

    assert result.ap == pytest.approx(ap, abs=1e-6)
    assert result.ap50 == pytest.approx(ap50, abs=1e-6)
    assert result.classes["dog"].ap == -1


def test_sizes_and_classes_are_measured_separately():
    small = [5.0, 5.0, 20.0, 20.0]
    result = score([truth((0, small), (1, [0, 0, 200, 200]))], [found((0, small, 0.9))], NAMES)

    assert (result.small, result.medium, result.large) == (pytest.approx(1), -1, pytest.approx(0))
    assert result.classes["cat"].ap == pytest.approx(1)
    assert result.classes["dog"].ap50 == 0
    assert result.as_json()["classes"]["cat"] == {"ap": 1.0, "ap50": 1.0, "boxes": 1}


def test_no_ground_truth_and_no_boxes_give_no_figures():
    assert score([truth()], [found()], NAMES).ap == -1
