"""Broken tracks put together again."""

from dataclasses import replace

import numpy as np
import pytest

from detector.tracking.motion import MotionModel
from detector.tracking.stitching import StitchSettings, stitch
from detector.tracking.tracklets import LinkSettings, link_detections
from tests.detector.tracking.scenes import gap, moving, observed


def stitched(frames, likeness=None, **settings):
    seen, model = observed(frames), MotionModel()
    return stitch(link_detections(seen, model, LinkSettings()), seen, model, StitchSettings(**settings), likeness)


def test_a_track_goes_on_across_a_gap():
    frames, _ = moving(120, (0, 0, 100, 20), missing=gap(0, 50, 90), noise=1.0)

    (rows,) = stitched(frames)

    assert rows.tolist() == list(range(80))


def behind(frames, left, top, right, bottom):
    """The same frames, with something that stands in front of a part of the picture."""
    for frame in frames:
        yield replace(
            frame,
            xyxy=np.append(frame.xyxy, [[left, top, right, bottom]], 0),
            confidence=np.append(frame.confidence, 0.9),
            class_id=np.append(frame.class_id, 1),
        )


def test_a_long_gap_is_closed_where_something_hides_the_object():
    frames, _ = moving(160, (0, 0, 100, 20), missing=gap(0, 40, 120))

    assert len(stitched(frames)) == 2
    assert len(stitched(frames, open_gap_cost=0.0)) == 1
    assert len(stitched(list(behind(frames, 150, 0, 530, 250)))) == 2  # it, and what hides it


@pytest.mark.parametrize("speed", [80.0, 160.0])
def test_a_car_that_slides_behind_a_bus_comes_out_again(speed, monkeypatch):
    """Its box shrinks to nothing at the one side of the bus, 300 to 450, and grows at the other."""
    frames, _ = moving(round(30 * 700 / speed), (0, 100, speed, 0), size=(100, 60), noise=1.0)
    for number, frame in enumerate(frames):
        left, right = frame.xyxy[0, [0, 2]]
        frame.xyxy[0, [0, 2]] = (left, min(right, 300)) if left < 300 else (max(left, 450), right)
        if frame.xyxy[0, 2] - frame.xyxy[0, 0] < 12:
            frames[number] = replace(frame, xyxy=frame.xyxy[:0], confidence=np.zeros(0), class_id=np.zeros(0, int))
    frames = list(behind(frames, 295, 20, 455, 200))

    assert len(stitched(frames)) == 2
    monkeypatch.setattr("detector.tracking.stitching._SHRUNK", 1e-9)
    assert len(stitched(frames)) > 2


def test_a_gap_longer_than_the_longest_stays():
    frames, _ = moving(160, (0, 0, 100, 20), missing=gap(0, 40, 120))
    frames = list(behind(frames, 150, 0, 530, 250))

    assert len(stitched(frames, longest_gap_seconds=3.0)) == 3
    assert len(stitched(frames, longest_gap_seconds=3.5)) == 2


def test_two_that_meet_where_no_link_is_clear_keep_their_directions():
    frames, truth = moving(60, (0, 100, 120, 0), (288, 100, -120, 0), noise=1.0)
    who = np.concatenate(truth)

    tracks = sorted(stitched(frames), key=len)[-2:]

    assert sorted(set(who[rows]) for rows in tracks) == [{0}, {1}]
    assert min(map(len, tracks)) >= 58


def test_two_that_cross_unseen_keep_their_directions():
    frames, truth = moving(100, (0, 100, 120, 0), (480, 100, -120, 0), missing=gap(0, 38, 62) | gap(1, 38, 62))
    who = np.concatenate(truth)

    tracks = stitched(frames)

    assert [set(who[rows]) for rows in tracks] == [{0}, {1}]


def test_another_place_is_another_object():
    frames, _ = moving(60, (0, 0, 0, 0), (600, 400, 0, 0), missing=gap(0, 25, 60) | gap(1, 0, 35))

    assert len(stitched(frames)) == 2


@pytest.mark.parametrize(("apart", "tracks"), [(0.0, 1), (5.0, 2)])
def test_looks_keep_apart_what_movement_would_join(apart, tracks):
    frames, _ = moving(60, (0, 0, 20, 0), missing=gap(0, 20, 40))
    looks = np.where(np.arange(40) < 20, 0.0, apart)[:, None]

    assert len(stitched(frames, looks)) == tracks


def test_order_is_that_of_the_first_detection():
    frames, _ = moving(80, (0, 0, 50, 0), (0, 400, 50, 0), missing=gap(1, 0, 10) | gap(0, 30, 60))

    tracks = stitched(frames)

    assert [int(rows[0]) for rows in tracks] == sorted(int(rows[0]) for rows in tracks)
    assert len(tracks) == 2


@pytest.mark.parametrize("at_once", [10, 1_000_000])
def test_heaps_of_boxes_are_taken_in_pieces_and_none_is_lost(at_once, monkeypatch):
    monkeypatch.setattr("detector.tracking.stitching._PAIRS_AT_ONCE", at_once)
    frames, _ = moving(12, *[(4 * number, 100, 0, 0) for number in range(40)], noise=2.0)

    tracks = stitched(frames)

    assert sorted(np.concatenate(tracks).tolist()) == list(range(480))
    assert all((np.diff(observed(frames).frame[rows]) > 0).all() for rows in tracks)
