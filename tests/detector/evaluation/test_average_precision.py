import numpy as np
import pytest

from detector.detections import Detections
from detector.errors import SettingsError
from detector.evaluation.average_precision import Truth, score
from detector.evaluation.confusion import confuse
from detector.evaluation.report import table, translated, translation

NAMES = ("cat", "dog")
BOX = [10.0, 10.0, 60.0, 60.0]
FAR = [200.0, 10.0, 260.0, 60.0]


def truth(*rows, crowd=None):
    boxes = np.array([box for _, box in rows], np.float32).reshape(-1, 4)
    return Truth(boxes, np.array([kind for kind, _ in rows], np.int64), None if crowd is None else np.array(crowd))


def found(*rows):
    boxes = np.array([box for _, box, _ in rows], np.float32).reshape(-1, 4)
    sure = np.array([confidence for *_, confidence in rows], np.float32)
    return Detections(boxes, sure, np.array([kind for kind, *_ in rows], np.int64), NAMES)


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


def test_sizes_and_classes_are_told_apart():
    small = [5.0, 5.0, 20.0, 20.0]
    result = score([truth((0, small), (1, [0, 0, 200, 200]))], [found((0, small, 0.9))], NAMES)

    assert (result.small, result.medium, result.large) == (pytest.approx(1), -1, pytest.approx(0))
    assert result.classes["cat"].ap == pytest.approx(1)
    assert result.classes["dog"].ap50 == 0
    assert result.as_json()["classes"]["cat"] == {"ap": 1.0, "ap50": 1.0, "boxes": 1}


def test_no_truth_and_no_boxes_is_nothing_to_measure():
    assert score([truth()], [found()], NAMES).ap == -1


def test_confusion_counts_each_box_once():
    truths = [truth((0, BOX), (1, FAR), (1, [10, 100, 60, 160]))]
    detections = [found((1, BOX, 0.9), (1, FAR, 0.8), (0, [300, 100, 360, 160], 0.7), (0, FAR, 0.1))]

    result = confuse(truths, detections, 2, confidence=0.25)

    assert result.counts.tolist() == [[0, 1, 0], [0, 1, 1], [1, 0, 0]]
    assert result.mistakes.tolist() == [3]


def test_of_two_boxes_on_one_place_the_right_class_is_paired():
    result = confuse([truth((1, BOX))], [found((0, BOX, 0.9), (1, BOX, 0.5))], 2, confidence=0.25)

    assert result.counts.tolist() == [[0, 0, 0], [0, 1, 0], [1, 0, 0]]


def test_boxes_in_a_crowd_are_no_mistakes():
    result = confuse([truth((0, BOX), crowd=[True])], [found((0, [20, 20, 50, 50], 0.9))], 2, confidence=0.25)

    assert result.counts.sum() == 0


def test_classes_are_translated_by_name():
    ids = translation(("dog", "bird", "cat"), NAMES, "m.h5")
    boxes = Detections(
        np.array([BOX, FAR, BOX], np.float32), np.ones(3, np.float32), np.array([0, 1, 2]), ("dog", "bird", "cat")
    )

    assert ids.tolist() == [1, -1, 0]
    assert translated(boxes, ids, NAMES).class_id.tolist() == [1, 0]


def test_numbered_classes_are_taken_as_they_are():
    assert translation(("class 0", "class 1"), NAMES, "m.h5").tolist() == [0, 1]
    with pytest.raises(SettingsError, match="none of its classes"):
        translation(("class 0", "class 1", "class 2"), NAMES, "m.h5")


def test_the_table_compares_models():
    one = score([truth((0, BOX))], [found((0, BOX, 0.9))], NAMES)
    two = score([truth((0, BOX))], [found()], NAMES)

    lines = table({"a.h5": one, "b.h5": two}).splitlines()

    assert lines[0].split() == ["model", "AP", "AP50", "AP75", "small", "medium", "large"]
    assert lines[1].split() == ["a.h5", "1.000", "1.000", "1.000", "-", "1.000", "-"]
    assert lines[-1].split() == ["cat", "1", "1.000", "1.000", "0.000", "0.000"]
