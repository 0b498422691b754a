from detector.evaluation.confusion import confusion_matrix
from tests.detector.evaluation.boxes import BOX, FAR, found, truth


def test_confusion_counts_each_box_once():
    truths = [truth((0, BOX), (1, FAR), (1, [10, 100, 60, 160]))]
    detections = [found((1, BOX, 0.9), (1, FAR, 0.8), (0, [300, 100, 360, 160], 0.7), (0, FAR, 0.1))]

    result = confusion_matrix(truths, detections, 2, confidence=0.25)

    assert result.counts.tolist() == [[0, 1, 0], [0, 1, 1], [1, 0, 0]]
    assert result.errors.tolist() == [3]


def test_of_two_boxes_on_one_place_the_right_class_is_paired():
    result = confusion_matrix([truth((1, BOX))], [found((0, BOX, 0.9), (1, BOX, 0.5))], 2, confidence=0.25)

    assert result.counts.tolist() == [[0, 0, 0], [0, 1, 0], [1, 0, 0]]


def test_boxes_in_a_crowd_are_no_errors():
    result = confusion_matrix([truth((0, BOX), crowd=[True])], [found((0, [20, 20, 50, 50], 0.9))], 2, confidence=0.25)

    assert result.counts.sum() == 0
