"""Tracks, counts and events of a video while it runs."""

import json
import resource
from fractions import Fraction

import numpy as np
import pytest

from detector.detections import Detections
from detector.errors import OutputError, SettingsError, WriteError
from detector.logs.frame_log import FrameLog, RunRecord
from detector.pipeline.live_tracking import LiveTracking, TrackingOptions, event_output
from detector.pipeline.log_events import EventOptions, write_events
from detector.tracking.events import Event
from detector.video.frames import Frame, VideoInfo
from detector.video.status import RunStatus
from tests.detector.pipeline.test_track_log import no_bar

pytest.importorskip("trackers")

NAMES = ("person", "car")
INFO = VideoInfo("a.mp4", 640, 360, Fraction(1, 25), frame_rate=Fraction(25))
ZONES = '[[line]]\nname = "middle"\nfrom = [0.5, 1]\nto = [0.5, 0]\n'


def frames(count=50):
    """A car that drives from the left to the right."""
    for index in range(count):
        left = 150.123 + 5 * index
        found = Detections(
            np.array([[left, 100, left + 80, 160]], np.float32), np.array([0.91237], np.float32), np.array([1]), NAMES
        )
        yield Frame(index, index, Fraction(1, 25), np.zeros((360, 640, 3), np.uint8)), found


@pytest.fixture
def zones(tmp_path):
    path = tmp_path / "zones.toml"
    path.write_text(ZONES)
    return path


@pytest.mark.parametrize("tracker", ["sort", "bytetrack", "botsort", "ocsort"])
def test_events_are_those_of_the_log(tmp_path, zones, tracker):
    options = TrackingOptions(tracker, zones=zones, events=tmp_path / "live.jsonl")
    record = RunRecord.of(INFO, model="m", model_sha256="0", settings=options.as_json(), classes=NAMES)
    with (
        FrameLog(tmp_path / "log.jsonl", record) as log,
        event_output(options.events, overwrite=False) as on_event,
    ):
        live = LiveTracking(options, INFO, NAMES, on_event=on_event, draws=False)
        for frame, found in frames():
            log.write(frame, live.refine(frame, found))

    write_events(EventOptions(tmp_path / "log.jsonl", zones, tmp_path / "later.jsonl"), bar=no_bar)

    events = [json.loads(line)["event"] for line in (tmp_path / "live.jsonl").read_text().splitlines()]
    assert events == ["appeared", "crossed"]
    assert (tmp_path / "live.jsonl").read_bytes() == (tmp_path / "later.jsonl").read_bytes()


def test_a_resumed_run_continues_with_the_same_numbers(zones):
    whole, resumed = (LiveTracking(TrackingOptions("bytetrack", zones=zones), INFO, NAMES, draws=False) for _ in "ab")
    once = [whole.refine(frame, found).tracker_id.tolist() for frame, found in frames()]
    again = []
    for frame, found in frames():
        if frame.index < 20:
            frame.detections = found
            resumed.pass_over(frame)
        else:
            again.append(resumed.refine(frame, found).tracker_id.tolist())

    assert again == once[20:]
    assert resumed.finder.lines["middle"].entered == {"car": 1}


def test_zones_and_trails_are_drawn_and_boxes_hidden(zones):
    live = LiveTracking(TrackingOptions("bytetrack", 2.0, zones, blur=("car",)), INFO, NAMES)
    for frame, found in frames(20):
        frame.image[:] = np.random.default_rng(1).integers(0, 255, frame.image.shape, np.uint8)
        before = frame.image.copy()
        live.annotate(frame, live.refine(frame, found))

    changed = (frame.image != before).any(2)
    assert changed[200, 318:323].any()  # the line
    assert changed[159:162, 200:280].any()  # the trail, behind the car
    assert changed[110:150, 250:320].mean() > 0.9  # the car is hidden


def test_without_a_tracker_the_tracks_of_a_log_are_counted(zones):
    live = LiveTracking(TrackingOptions(zones=zones), INFO, NAMES, draws=False)
    for frame, found in frames():
        live.refine(frame, Detections(found.xyxy, found.confidence, found.class_id, NAMES, np.array([3])))

    assert live.finder.lines["middle"].entered == {"car": 1}


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"trails_seconds": 2.0}, "--trails needs identities; pass --track"),
        ({"zones": "z.toml"}, "--zones needs identities"),
        ({"events": "e.jsonl"}, "--events needs identities"),
    ],
)
def test_identities_need_a_tracker(wrong, message, tmp_path):
    given = {name: tmp_path / value if isinstance(value, str) else value for name, value in wrong.items()}
    with pytest.raises(SettingsError, match=message):
        TrackingOptions(**given).check_live()


def test_options_out_of_range(tmp_path):
    with pytest.raises(SettingsError, match="expected 0 to 3600"):
        TrackingOptions("sort", trails_seconds=-1.0)
    with pytest.raises(SettingsError, match=r"written as \.jsonl"):
        TrackingOptions("sort", events=tmp_path / "e.csv")
    with pytest.raises(SettingsError, match="trails 'long' is not a duration"):
        TrackingOptions.of("sort", "long", None, None, None)
    with pytest.raises(SettingsError, match="'cra' is not one of this network's"):
        LiveTracking(TrackingOptions(blur=("cra",)), INFO, NAMES)


def test_an_events_file_that_is_there_stays(tmp_path):
    path = tmp_path / "e.jsonl"
    path.write_text("mine")
    with pytest.raises(OutputError, match="exists already"), event_output(path, overwrite=False):
        pass
    assert path.read_text() == "mine"


APPEARED = Event("appeared", 0.5, 12, 1, "car", (1.0, 2.0, 3.0, 4.0))


@pytest.mark.parametrize(
    ("live", "status", "replaced"),
    [
        (False, RunStatus.COMPLETE, True),
        (False, RunStatus.TRUNCATED, True),
        (False, RunStatus.INTERRUPTED, False),
        (True, RunStatus.INTERRUPTED, True),  # a camera has no other end
        (True, RunStatus.FAILED, False),
    ],
)
def test_earlier_events_stay_until_the_new_ones_are_whole(tmp_path, live, status, replaced):
    path, notes = tmp_path / "e 1.jsonl", []
    path.write_text("mine")
    output = event_output(path, overwrite=True, live=live, status=lambda: status, on_note=notes.append)

    with output as on_event:
        on_event(APPEARED)
        assert path.read_text() == "mine"

    left = {entry.name: entry.read_text() for entry in tmp_path.iterdir()}
    new = next(text for text in left.values() if text.startswith('{"type":"event"'))
    if replaced:
        assert (left, notes) == ({"e 1.jsonl": new}, [])
    else:
        assert left == {"e 1.jsonl": "mine", "e 1.jsonl.yolo3-part.jsonl": new}
        assert notes == [f"{path}: are still the earlier events; those of this run are in {path}.yolo3-part.jsonl"]


def test_a_run_that_fails_before_its_first_event_leaves_the_earlier_ones_alone(tmp_path):
    path = tmp_path / "e.jsonl"
    path.write_text("mine")

    with pytest.raises(ValueError, match="broken"), event_output(path, overwrite=True):
        raise ValueError("broken")

    assert {entry.name: entry.read_text() for entry in tmp_path.iterdir()} == {"e.jsonl": "mine"}


def test_events_replace_what_a_link_points_to(tmp_path):
    (tmp_path / "there.jsonl").write_text("mine")
    path = tmp_path / "e.jsonl"
    path.symlink_to("there.jsonl")

    with event_output(path, overwrite=True) as on_event:
        on_event(APPEARED)

    assert path.is_symlink()
    assert (tmp_path / "there.jsonl").read_text().startswith('{"type":"event"')


def test_two_runs_do_not_write_one_events_file(tmp_path):
    with (
        event_output(tmp_path / "e.jsonl", overwrite=True),
        pytest.raises(OutputError, match="another run is writing to it"),
        event_output(tmp_path / "e.jsonl", overwrite=True),
    ):
        pass


def test_a_full_disk_leaves_whole_lines(tmp_path):
    path = tmp_path / "e.jsonl"
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    with (
        pytest.raises(WriteError, match=r"e\.jsonl: could not be written"),
        event_output(path, overwrite=False) as write,
    ):
        write(APPEARED)
        line = path.read_bytes()
        resource.setrlimit(resource.RLIMIT_FSIZE, (2 * len(line) + 10, before[1]))
        try:
            for _ in range(3):
                write(APPEARED)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)

    assert path.read_bytes() == 2 * line
