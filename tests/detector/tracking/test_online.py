"""The trackers of the package `trackers`, fed with each frame's own time."""

import sys

import numpy as np
import pytest

from detector.errors import SettingsError
from detector.tracking.online import open_tracker

pytest.importorskip("trackers")

NAMES = ("bytetrack", "botsort", "ocsort", "sort")


def followed(tracker, times, *, speed=60.0, class_of=lambda number: 0, confidence=0.9):
    """The number that one thing is given in each frame, moving at so many pixels a second."""
    numbers = []
    for index, time in enumerate(times):
        box = np.array([[100 + speed * time, 50, 160 + speed * time, 130]])
        found = tracker.update(time, box, np.array([confidence]), np.array([class_of(index)]))
        numbers.append(int(found[0]))
    return numbers


@pytest.mark.parametrize("name", NAMES)
def test_one_thing_has_one_number_from_1(name):
    numbers = followed(open_tracker(name, 25.0), [n / 25 for n in range(30)])
    assert set(numbers) - {-1} == {1}
    assert numbers[5:] == [1] * 25


@pytest.mark.parametrize("name", NAMES)
def test_dropped_and_uneven_frames_are_taken_for_what_they_are(name):
    """A fast thing of which every second and then every fourth frame comes."""
    times = [n / 25 for n in range(20)] + [0.8 + n / 12.5 for n in range(10)] + [1.6 + n / 6.25 for n in range(8)]
    numbers = followed(open_tracker(name, 25.0), times, speed=150.0)
    assert set(numbers[5:]) == {1}


@pytest.mark.parametrize("name", NAMES)
def test_frames_without_detections(name):
    tracker = open_tracker(name, None)
    none = np.zeros((0, 4)), np.zeros(0), np.zeros(0, int)
    assert tracker.update(0.0, *none).tolist() == []
    followed(tracker, [1 + n / 30 for n in range(10)])
    assert tracker.update(1.4, *none).tolist() == []


def test_the_class_of_a_track_is_voted_for():
    tracker = open_tracker("bytetrack", 25.0)
    numbers = followed(tracker, [n / 25 for n in range(12)], class_of=lambda number: 1 if number in (6, 9) else 0)
    assert numbers[-1] == 1
    assert tracker.classes(np.array([1, -1]), np.array([1, 1])).tolist() == [0, 1]


def test_votes_of_tracks_long_gone_are_forgotten(monkeypatch):
    monkeypatch.setattr("detector.tracking.online._MOST_VOTED", 3)
    tracker = open_tracker("bytetrack", 25.0)
    standing = [[100.0, 50, 160, 130]]
    for second in range(0, 30, 2):  # each time another thing far away, and one that stays
        for index in range(5):
            boxes = np.array([*standing, [300 + 40.0 * second, 400, 340 + 40.0 * second, 460]])
            numbers = tracker.update(second + index / 25, boxes, np.array([0.9, 0.9]), np.array([1, 0]))
        assert tracker.classes(numbers, np.array([0, 0])).tolist() == [1, 0]
    assert numbers.tolist()[1] > 5
    assert len(tracker._votes) == 3


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("rate", [30.0, 30000 / 1001, 12.5])
def test_steady_frames_are_tracked_as_by_the_package_that_counts_them(name, rate):
    """Also what comes back in the very last frame in which the package still waits for it."""
    import supervision

    random = np.random.default_rng(5)
    online = open_tracker(name, rate)
    package = type(online._tracker)(frame_rate=rate)
    patience = package.maximum_frames_without_update
    for index in range(3 * patience):
        boxes = np.array([[100.0 + index, 50, 160 + index, 130], [400, 50 + index, 460, 130 + index]])
        boxes = (boxes + random.normal(0, 1, (2, 4))).astype(np.float32)
        if 10 <= index < 10 + patience:  # then it is back
            boxes = boxes[1:]
        given = supervision.Detections(boxes, None, np.full(len(boxes), 0.9, np.float32), np.zeros(len(boxes), int))
        counted = package.update(given)
        expected = {
            left: n + 1 if n >= 0 else -1 for left, n in zip(counted.xyxy[:, 0], counted.tracker_id, strict=True)
        }
        found = online.update(round(index / rate, 6), boxes, given.confidence, given.class_id)
        assert dict(zip(boxes[:, 0], found, strict=True)) == expected


def test_only_botsort_wants_pictures():
    assert [open_tracker(name).wants_pictures for name in NAMES] == [False, True, False, False]
    picture = np.random.default_rng(0).integers(0, 255, (200, 300, 3), np.uint8)
    tracker = open_tracker("botsort", 25.0)
    for index in range(5):
        found = tracker.update(
            index / 25, np.array([[50.0, 50, 90, 120]]), np.array([0.9]), np.array([0]), np.roll(picture, 2 * index, 1)
        )
    assert len(found) == 1


def test_a_tracker_that_is_none_and_a_package_that_is_missing(monkeypatch):
    with pytest.raises(SettingsError, match="'deepsort' is no tracker; expected one of bytetrack"):
        open_tracker("deepsort")
    monkeypatch.setitem(sys.modules, "trackers", None)
    with pytest.raises(SettingsError, match=r"pip install -e '.\[track\]'"):
        open_tracker("sort")
