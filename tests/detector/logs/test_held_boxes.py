import numpy as np
import pytest

from detector.logs.frame_log import BoxRecord, FrameRecord
from detector.logs.held_boxes import MOST_BOXES, HeldBoxes


def record(number, *boxes, rate=10, class_id=0):
    found = tuple(BoxRecord(class_id, "person", 0.9, box) for box in boxes)
    return FrameRecord(number, number / rate, found)


def hidden(records, hold_seconds=1.0):
    held = HeldBoxes(iter(records), [0], hold_seconds=hold_seconds)
    return [sorted(map(tuple, held.in_frame(record.frame).tolist())) for record in records]


HERE, NEAR, FAR = (10.0, 10.0, 20.0, 20.0), (12.0, 10.0, 22.0, 20.0), (80.0, 80.0, 90.0, 90.0)


def test_two_frames_without_a_box_between_others_are_covered():
    found = hidden([record(0, HERE), record(1), record(2), record(3, NEAR)])
    assert found[0] == [HERE] and found[3] == [NEAR]
    for between in found[1:3]:
        assert HERE in between and NEAR in between


def test_an_object_is_held_for_a_second_on_both_sides_and_no_longer():
    found = hidden([record(number, *([HERE] if number == 30 else [])) for number in range(60)])
    assert [number for number, boxes in enumerate(found) if boxes] == list(range(20, 41))


def test_a_moving_object_leaves_no_box_behind():
    places = [(10.0 + 3 * number, 10.0, 30.0 + 3 * number, 40.0) for number in range(20)]
    found = hidden([record(number, place) for number, place in enumerate(places)])
    assert found == [[place] for place in places]


def test_other_classes_are_not_hidden():
    assert hidden([record(0, HERE, class_id=1)]) == [[]]


def test_one_that_stays_does_not_hide_another_that_goes():
    found = hidden([record(0, HERE, FAR), record(1, HERE)])
    assert found[1] == [HERE, FAR]


def test_frames_that_are_not_requested_are_skipped():
    held = HeldBoxes(iter([record(0, HERE), record(1, HERE), record(5, HERE)]), [0])
    assert held.in_frame(1).tolist() == [list(HERE)]
    assert held.in_frame(3).tolist() == []  # no line of the log
    assert held.in_frame(5).tolist() == [list(HERE)]


@pytest.mark.parametrize("count", [MOST_BOXES + 1, 200_000])
def test_very_many_boxes_are_not_compared_with_one_another(count):
    box = BoxRecord(0, "person", 0.9, HERE)
    crowd = [FrameRecord(number, number / 10, (box,) * count) for number in range(3)]
    held = HeldBoxes(iter(crowd), [0])
    assert all(len(held.in_frame(number)) > MOST_BOXES for number in range(3))
    assert isinstance(held.in_frame(9), np.ndarray)
