"""Moments: which frames of a log belong to them."""

import pytest

from detector.errors import LogError, SettingsError, ZonesError
from detector.logs.replay import LogIndex
from detector.pipeline.moments import Wanted, find_moments
from tests.detector.pipeline.test_track_log import box, write_log


def found(tmp_path, met, count=50, pad=0.08, **more):
    """Moments of a log at 25 frames/s in which a car is seen in the frames `met`."""
    log = write_log(tmp_path / "log.jsonl", [[box(n, **more)] if n in met else [] for n in range(count)])
    return list(find_moments(LogIndex(log), Wanted("car", pad)))


@pytest.mark.parametrize(
    ("met", "pad", "spans"),
    [
        ([], 0.08, []),
        ([10], 0.0, [(10, 10)]),
        ([10], 0.08, [(8, 12)]),
        ([10], 0.07, [(9, 11)]),
        ([0], 0.08, [(0, 2)]),
        ([49], 0.08, [(47, 49)]),
        ([10, 13], 0.08, [(8, 15)]),
        ([10, 14], 0.08, [(8, 16)]),
        ([10, 15], 0.08, [(8, 17)]),  # one ends at 12, the other begins at 13
        ([10, 16], 0.08, [(8, 12), (14, 18)]),
        ([10, 11, 12, 30], 0.0, [(10, 12), (30, 30)]),
        (range(50), 1.0, [(0, 49)]),
    ],
)
def test_spans(tmp_path, met, pad, spans):
    moments = found(tmp_path, met, pad=pad)

    assert [(moment.first, moment.last) for moment in moments] == spans
    for moment in moments:
        inside = [n for n in met if moment.first <= n <= moment.last]
        assert (moment.frames, moment.met) == (moment.last - moment.first + 1, len(inside))
        assert moment.best == inside[0]
        assert moment.before == (None if moment.first == 0 else pytest.approx((moment.first - 1) / 25))
        assert moment.after == (None if moment.last == 49 else pytest.approx((moment.last + 1) / 25))
        assert moment.end(0.04) == pytest.approx((moment.last + 1) / 25)


def test_objects_are_tracks_or_as_many_as_at_once(tmp_path):
    (untracked,) = found(tmp_path, range(5, 9))
    assert untracked.objects == {"car": 1}
    frames = [[box(n, track=n % 3)] for n in range(6)]
    log = write_log(tmp_path / "tracked.jsonl", frames)
    (tracked,) = find_moments(LogIndex(log), Wanted("car"))
    assert tracked.objects == {"car": 3}


def test_the_best_frame_is_the_surest(tmp_path):
    frames = [[box(n, confidence=0.9 if n == 7 else 0.4)] for n in range(10)]
    (moment,) = find_moments(LogIndex(write_log(tmp_path / "log.jsonl", frames)), Wanted("car"))
    assert moment.best == 7
    assert moment.best_boxes.xyxy.tolist() == [[128, 100, 208, 160]]


def test_events_are_known_in_the_frame_in_which_they_happen(tmp_path):
    log = write_log(tmp_path / "log.jsonl", [[box(n, track=4)] if 10 <= n < 20 else [] for n in range(80)])
    (begins,) = find_moments(LogIndex(log), Wanted("car appeared", 0.0))
    (ends,) = find_moments(LogIndex(log), Wanted("car vanished", 0.0))
    assert (begins.first, ends.first) == (10, 19)


@pytest.mark.parametrize("text", ["car appeared", "track 3"])
def test_a_log_without_tracks_is_refused_where_they_are_needed(tmp_path, text):
    log = write_log(tmp_path / "log.jsonl", [[box(n)] for n in range(5)])
    with pytest.raises(LogError, match="has no tracks; make them with yolo3 track"):
        list(find_moments(LogIndex(log), Wanted(text)))


def test_wrong_conditions_and_pads(tmp_path):
    log = LogIndex(write_log(tmp_path / "log.jsonl", [[]]))
    with pytest.raises(ZonesError, match="'dog' is not one of the 2: person, car"):
        list(find_moments(log, Wanted("dog")))
    with pytest.raises(SettingsError, match="expected 0 to 3600"):
        Wanted("car", 4000)
