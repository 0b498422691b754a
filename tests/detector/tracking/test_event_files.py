"""Events as text."""

import csv
import json
from pathlib import Path

import pytest

from detector.errors import SettingsError
from detector.tracking.event_files import COLUMNS, event_writer, kinds_of, sentence
from detector.tracking.events import Event

CROSSED = Event("crossed", 1.5, 38, 7, "car", (1.0, 2.0, 3.0, 4.0), "north <&>", "in")
ABOVE = Event("above", 1.5, 38, None, None, None, "door", count=4)
LEFT = Event("left", 3661.25, 90000, 7, "car", (1.0, 2.0, 3.0, 4.0), "door", seconds=2.0, count=0)
EVENTS = [CROSSED, ABOVE, LEFT]


def text(name, events=EVENTS):
    return "".join(event_writer(Path(name))(events))


def test_json_lines_leave_out_what_does_not_apply():
    crossed, above, left = map(json.loads, text("a.jsonl").splitlines())

    assert crossed == {
        "type": "event",
        "event": "crossed",
        "time": 1.5,
        "frame": 38,
        "track": 7,
        "class": "car",
        "box": [1.0, 2.0, 3.0, 4.0],
        "place": "north <&>",
        "direction": "in",
    }
    assert above == {"type": "event", "event": "above", "time": 1.5, "frame": 38, "place": "door", "count": 4}
    assert left["count"] == 0


def test_csv_has_a_row_per_event():
    rows = list(csv.DictReader(text("a.csv").splitlines()))

    assert list(rows[0]) == list(COLUMNS)
    assert [row["event"] for row in rows] == ["crossed", "above", "left"]
    assert (rows[0]["bottom"], rows[1]["track"], rows[1]["left"]) == ("4.0", "", "")


def test_subtitles_share_a_moment_and_end_before_the_next():
    near = [*EVENTS, Event("appeared", 2.0, 50, 8, "bus", (0.0, 0.0, 1.0, 1.0))]

    assert text("a.srt", near).split("\n\n")[:2] == [
        "1\n00:00:01,500 --> 00:00:02,000\ncar 7 crossed north <&> (in)\n4 in door",
        "2\n00:00:02,000 --> 00:00:04,000\nbus 8 appeared",
    ]
    assert "01:01:01,250 --> 01:01:03,250" in text("a.srt")


def test_web_subtitles_are_escaped():
    assert text("a.vtt").startswith("WEBVTT\n\n00:00:01.500 --> 00:00:03.500\ncar 7 crossed north &lt;&amp;> (in)")


def test_every_kind_has_words():
    for kind in kinds_of("appeared,vanished,entered,left,stayed,crossed,above"):
        assert sentence(Event(kind, 0.0, 0, 1, "cat", None, "door", "in", 1.0, 2))


def test_other_formats_and_kinds_are_refused():
    with pytest.raises(SettingsError, match=r"written as \.jsonl, \.csv, \.srt, \.vtt"):
        event_writer(Path("a.txt"))
    with pytest.raises(SettingsError, match="'gone' is no kind of event; expected some of appeared"):
        kinds_of("crossed,gone")
    assert kinds_of(None) == frozenset()
