import pytest

from detector.evaluation.operating_points import OperatingPoint, best_operating_points
from tests.detector.evaluation.boxes import BOX, FAR, found, truth


@pytest.mark.parametrize(
    ("truths", "detections", "wanted"),
    [
        pytest.param([truth((0, BOX))], [found((0, BOX, 0.9))], OperatingPoint(0.9, 1, 1, 1), id="perfect"),
        pytest.param(
            [truth((0, BOX))],
            [found((0, BOX, 0.9), (0, FAR, 0.5))],
            OperatingPoint(0.9, 1, 1, 1),
            id="the false positive is below",
        ),
        pytest.param(
            [truth((0, BOX), (0, FAR))],
            [found((0, [100, 300, 160, 360], 0.9), (0, BOX, 0.5), (0, FAR, 0.25))],
            OperatingPoint(0.25, 2 / 3, 1, 0.8),
            id="the false positive is above",
        ),
        pytest.param(
            [truth((0, BOX))],
            [found((0, BOX, 0.5), (0, BOX, 0.5))],
            OperatingPoint(0.5, 0.5, 1, 2 / 3),
            id="one true box is found twice, both at one confidence",
        ),
        pytest.param(
            [truth((0, BOX), (0, FAR), crowd=[False, True])],
            [found((0, FAR, 0.95), (0, BOX, 0.75))],
            OperatingPoint(0.75, 1, 1, 1),
            id="a box within a crowd does not count",
        ),
        pytest.param([truth((0, BOX))], [found((1, BOX, 0.9))], None, id="not found"),
        pytest.param([truth()], [found((0, BOX, 0.9))], None, id="no true box"),
    ],
)
def test_the_highest_f1(truths, detections, wanted):
    point = best_operating_points(truths, detections, 2)[0]

    if wanted is None:
        assert point is None
    else:
        assert point is not None
        assert vars(point) == pytest.approx(vars(wanted))
