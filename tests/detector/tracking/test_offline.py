"""Tracks of a whole log, window by window."""

import pytest

from detector.errors import SettingsError
from detector.tracking.offline import OfflineSettings, track_frames
from detector.tracking.stitching import StitchSettings
from tests.detector.tracking.scenes import gap, moving

SIZE = (1920, 1080)


def test_gaps_are_filled_and_marked():
    frames, _ = moving(100, (0, 0, 100, 0), missing=gap(0, 40, 70))

    tracked = list(track_frames(frames, SIZE))

    assert [frame.frame for frame in tracked] == list(range(100))
    assert all(frame.tracker_id.tolist() == [1] for frame in tracked)
    assert [index for index, frame in enumerate(tracked) if frame.interpolated[0]] == list(range(40, 70))
    assert tracked[55].xyxy[0] == pytest.approx([220, 0, 260, 90], abs=0.1)


def test_short_false_tracks_are_left_out():
    frames, _ = moving(60, (0, 0, 50, 0), (900, 500, 0, 0), missing=gap(1, 0, 30) | gap(1, 33, 60))

    tracked = list(track_frames(frames, SIZE))

    assert {int(number) for frame in tracked for number in frame.tracker_id} == {1}
    assert len(tracked[31].tracker_id) == 1


def test_the_class_of_a_track_is_voted():
    frames, _ = moving(40, (0, 0, 50, 0))
    for frame in frames[::4]:
        frame.class_id[:] = 2

    assert {int(class_id) for frame in track_frames(frames, SIZE) for class_id in frame.class_id} == {0}


@pytest.mark.parametrize("window", [150, 225])
def test_windows_change_no_identity(window):
    starts = [(20 * number, 100 * number, 15 + number, 0) for number in range(5)]
    missing = set().union(*(gap(number, 120 + 20 * number, 150 + 20 * number) for number in range(5)))
    frames, _ = moving(500, *starts, missing=missing, noise=1.0)
    settings = OfflineSettings(stitches=StitchSettings(longest_gap_seconds=2.0), window_frames=window)

    tracked = list(track_frames(iter(frames), SIZE, settings))

    assert [frame.frame for frame in tracked] == list(range(500))
    found = {
        (number, round(top / 100))
        for frame in tracked
        for number, top in zip(frame.tracker_id.tolist(), frame.xyxy[:, 1].tolist(), strict=True)
    }
    assert len(found) == 5
    assert sum(int(frame.interpolated.sum()) for frame in tracked) == 150


def test_the_same_frames_give_the_same_tracks():
    frames, _ = moving(200, *[(40 * n, 30 * n, 30, 5) for n in range(12)], noise=4.0)
    once, again = (list(track_frames(iter(frames), SIZE)) for _ in range(2))

    for one, other in zip(once, again, strict=True):
        assert one.tracker_id.tolist() == other.tracker_id.tolist()
        assert one.xyxy.tolist() == other.xyxy.tolist()


def test_boxes_stay_in_the_picture_where_detections_do():
    frames, _ = moving(60, (1860, 980, 5, 2), noise=0.0)

    tracked = list(track_frames(frames, SIZE))

    assert max(frame.xyxy[:, 2].max() for frame in tracked) <= 1920
    beyond, _ = moving(60, (1900, 980, 0, 0))
    assert list(track_frames(beyond, SIZE))[30].xyxy[0, 2] == pytest.approx(1940)


def test_a_log_of_empty_frames_and_an_empty_log():
    frames, _ = moving(30)

    assert [len(frame.tracker_id) for frame in track_frames(frames, SIZE)] == [0] * 30
    assert list(track_frames([], SIZE)) == []


@pytest.mark.parametrize(
    "wrong", [{"least_evidence": -1.0}, {"smooth_seconds": float("nan")}, {"stitches": StitchSettings(1e9)}]
)
def test_settings_out_of_range(wrong):
    with pytest.raises(SettingsError, match="expected 0 to 3600"):
        OfflineSettings(**wrong)
