"""Detections linked from frame to frame."""

import numpy as np
import pytest

from detector.tracking.motion import MotionModel
from detector.tracking.tracklets import LinkSettings, Observations, link_detections
from tests.detector.tracking.scenes import gap, moving, observed


def linked(frames, **settings):
    return link_detections(observed(frames), MotionModel(), LinkSettings(**settings))


def test_each_object_is_one_tracklet():
    frames, truth = moving(60, (0, 0, 100, 0), (0, 300, 100, 10), (900, 500, -200, 0), noise=1.5)
    who = np.concatenate(truth)

    tracklets = linked(frames)

    assert len(tracklets) == 3
    assert [set(who[rows]) for rows in tracklets] == [{0}, {1}, {2}]
    assert sum(map(len, tracklets)) == 180


def test_a_short_gap_is_bridged_and_a_long_one_not():
    short, _ = moving(60, (0, 0, 100, 0), missing=gap(0, 20, 30))
    long, _ = moving(60, (0, 0, 100, 0), missing=gap(0, 20, 40))

    assert len(linked(short)) == 1
    assert len(linked(long)) == 2


def test_patience_is_at_least_a_frame_of_a_slow_log():
    frames, _ = moving(10, (0, 0, 5, 0), rate=0.5)

    assert len(linked(frames)) == 1


def test_what_could_be_either_of_two_is_left_open():
    frames, _ = moving(20, (100, 100, 0, 0), (120, 100, 0, 0))
    between = frames[10].xyxy.mean(0, keepdims=True)
    frames[10] = type(frames[10])(10, frames[10].time, between, np.array([0.9]), np.array([0]))

    tracklets = linked(frames)

    # Both end with it: they would contend for each other's detections from then on.
    assert sorted(map(len, tracklets)) == [1, 9, 9, 10, 10]


def test_a_box_of_another_shape_in_the_expected_place_is_linked():
    frames, _ = moving(30, (0, 0, 50, 0))
    for frame in frames[12:15]:
        frame.xyxy[:, 2] -= 18  # of 40: half of it is hidden

    assert len(linked(frames)) == 1
    assert len(linked(frames, overlap=1.0)) == 2


def test_a_box_of_another_shape_between_two_is_not_linked():
    frames, _ = moving(20, (100, 100, 0, 0), (103, 100, 0, 0))
    half = frames[10].xyxy[:1] - np.array([0, 0, 18, 0])
    frames[10] = type(frames[10])(10, frames[10].time, half, np.array([0.9]), np.array([0]))

    assert [rows for rows in linked(frames) if len(rows) == 1]


def test_what_was_just_seen_keeps_its_detections_from_what_was_missed():
    """Two things pass; while one is hidden, the detections are those of the other."""
    frames, truth = moving(60, (0, 0, 60, 0), (130, 0, -60, 0), missing=gap(1, 20, 30), noise=2.0)
    who = np.concatenate(truth)

    tracklets = linked(frames)

    assert all(len(set(who[rows])) == 1 for rows in tracklets)
    assert max(map(len, tracklets)) == 60


def test_another_class_costs_distance_but_is_no_wall():
    frames, _ = moving(20, (0, 0, 50, 0))
    for frame in frames[10:]:
        frame.class_id[:] = 1

    assert len(linked(frames)) == 1
    assert len(linked(frames, other_class=100.0)) == 2


@pytest.mark.parametrize("counts", [[], [0, 0, 0]])
def test_nothing_gives_nothing(counts):
    none = np.zeros(0)
    seen = Observations.of(
        np.arange(len(counts)) / 25, np.array(counts, int), np.zeros((0, 4)), none, none.astype(np.int64)
    )

    assert link_detections(seen, MotionModel(), LinkSettings()) == []
