"""The events of a log."""

import json

import pytest

from detector.errors import LogError, OutputError, ZonesError
from detector.pipeline.log_events import EventOptions, write_events
from tests.detector.pipeline.test_track_log import box, no_bar, write_log

ZONES = '[[line]]\nname = "middle"\nfrom = [0.25, 1]\nto = [0.25, 0]\n'


@pytest.fixture
def log(tmp_path):
    return write_log(tmp_path / "log.jsonl", [[box(n, 200.0, track=7)] for n in range(60)])


@pytest.fixture
def zones(tmp_path):
    path = tmp_path / "zones.toml"
    path.write_text(ZONES)
    return path


def test_events_are_found_counted_and_written(log, zones, tmp_path):
    counted = write_events(EventOptions(log, zones, tmp_path / "e.jsonl"), bar=no_bar)

    events = [json.loads(line) for line in (tmp_path / "e.jsonl").read_text().splitlines()]
    assert [event["event"] for event in events] == ["appeared", "crossed"]
    # The centre begins at 240 and the line is at 320: it is passed after the 20th of steps by 4.
    assert (events[1]["frame"], events[1]["time"], events[1]["direction"]) == (21, 0.84, "in")
    assert counted.lines["middle"].entered == {"car": 1}


def test_only_some_kinds(log, zones, tmp_path):
    write_events(EventOptions(log, zones, tmp_path / "e.jsonl", frozenset(["crossed"])), bar=no_bar)

    assert len((tmp_path / "e.jsonl").read_text().splitlines()) == 1


def test_counts_alone_write_nothing(log, zones, tmp_path):
    before = sorted(tmp_path.iterdir())

    assert write_events(EventOptions(log, zones), bar=no_bar).unique == {"car": 1}
    assert sorted(tmp_path.iterdir()) == before


def test_a_log_without_tracks_is_refused(zones, tmp_path):
    log = write_log(tmp_path / "log.jsonl", [[box(n)] for n in range(5)])

    with pytest.raises(LogError, match=r"has no tracks; make them with yolo3 track .*log\.jsonl"):
        write_events(EventOptions(log, zones, tmp_path / "e.jsonl"), bar=no_bar)
    assert not (tmp_path / "e.jsonl").exists()


def test_zones_that_do_not_fit_are_refused(log, zones, tmp_path):
    zones.write_text('units = "pixels"\nsize = [10, 10]\n' + ZONES)
    with pytest.raises(ZonesError, match="for pictures of 10x10, not 1280x720"):
        write_events(EventOptions(log, zones), bar=no_bar)
    zones.write_text(ZONES + 'classes = ["cars"]\n')
    with pytest.raises(ZonesError, match=r"names class 'cars'.*car"):
        write_events(EventOptions(log, zones), bar=no_bar)


def test_an_input_is_never_replaced(log, zones):
    with pytest.raises(OutputError, match="is the input"):
        write_events(EventOptions(log, zones, log, overwrite=True), bar=no_bar)
