"""Conditions: what they mean, and what is said of those that mean nothing."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detector.errors import ZonesError
from detector.tracking.conditions import Condition, FrameObjects
from detector.tracking.events import Event
from detector.tracking.zones import Line, Zone, Zones

NAMES = ("person", "car", "traffic light", "left")
SQUARE = ((0.0, 0.0), (100.0, 0.0), (100.0, 100.0), (0.0, 100.0))
PLACES = Zones(
    Path("z.toml"),
    (Zone("front door", SQUARE), Zone("cars only", SQUARE, ("car",)), Zone("bench", SQUARE, stay_seconds=2.0)),
    (Line("north", (0, 0), (9, 9)), Line("way in", (0, 0), (9, 9))),
    (200, 200),
)
INSIDE, OUTSIDE = (40, 20, 60, 80), (140, 20, 160, 80)


def seen(*boxes, frame=5):
    """Boxes as (class, box, track)."""
    return FrameObjects(
        frame,
        np.array([box for _, box, _ in boxes], np.float64).reshape(-1, 4),
        np.array([NAMES.index(name) for name, _, _ in boxes], np.int64),
        np.array([track for _, _, track in boxes], np.int64),
    )


TWO = seen(("person", INSIDE, 1), ("car", OUTSIDE, 2))


def condition(text):
    return Condition.parse(text, NAMES, PLACES)


@pytest.mark.parametrize(
    ("text", "met_by"),
    [
        ("person", [0]),
        ("any", [0, 1]),
        ("2 any", [0, 1]),
        ("3 any", None),
        ("2 person", None),
        ("1 person", [0]),
        ("traffic light", None),
        ("person in front door", [0]),
        ("person in 'front door'", [0]),
        ('person in "front door"', [0]),
        ("car in front door", None),
        ("any in front door", [0]),
        ("any in cars only", None),
        ("person and car", [0, 1]),
        ("person and 2 car", None),
        ("2 car or person", [0]),
        ("car or person", [0, 1]),
        ("not 2 car", []),
        ("not person", None),
        ("not not person", []),
        ("person and not car in front door", [0]),
        ("person or car and traffic light", [0]),
        ("(person or car) and traffic light", None),
        ("track 2", [1]),
        ("track 3", None),
        ("'left'", None),
    ],
)
def test_what_a_frame_meets(text, met_by):
    mask = condition(text).match(TWO)
    assert (None if mask is None else np.flatnonzero(mask).tolist()) == met_by


@pytest.mark.parametrize(
    ("text", "frames"),
    [
        ("person crossed north", [5]),
        ("any crossed north", [5, 6]),
        ("person crossed north in", [5]),
        ("person crossed north out", []),
        ("person crossed 'way in'", []),
        ("person entered front door", [6]),
        ("person left front door", [7]),
        ("car stayed in bench", [8]),
        ("car stayed bench", [8]),
        ("car appeared", [5]),
        ("person vanished", [9]),
        ("person crossed north and car", [5]),
    ],
)
def test_events(text, frames):
    asked = condition(text)
    box = (0.0, 0.0, 1.0, 1.0)
    asked.note_events(
        [
            Event("crossed", 0.2, 5, 1, "person", box, "north", "in"),
            Event("crossed", 0.24, 6, 2, "car", box, "north", "out"),
            Event("entered", 0.24, 6, 1, "person", box, "front door"),
            Event("left", 0.28, 7, 1, "person", box, "front door"),
            Event("stayed", 0.32, 8, 2, "car", box, "bench"),
            Event("appeared", 0.2, 5, 2, "car", box),
            Event("vanished", 0.36, 9, 1, "person", box),
            Event("above", 0.36, 9, None, None, None, "front door"),
        ]
    )
    both = [("person", INSIDE, 1), ("car", OUTSIDE, 2)]
    assert asked.needs_events
    assert asked.needs_tracks
    assert [frame for frame in range(12) if asked.match(seen(*both, frame=frame)) is not None] == frames


def test_an_event_is_met_by_the_box_of_its_track():
    asked = condition("any appeared")
    asked.note_events([Event("appeared", 0.2, 5, 2, "car", (0.0, 0.0, 1.0, 1.0))])
    assert asked.match(TWO).tolist() == [False, True]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("persn", "class 'persn' is not one of the 4: person, car"),
        ("person in dor", "zone 'dor' is not one of the 3: front door"),
        ("person crossed sorth", "line 'sorth' is not one of the 2: north, way in"),
        ("person in cars only", "'cars only' counts only car"),
        ("person stayed in front door", "has no stay_seconds"),
        ("", "a class is expected before its end"),
        ("person in", "a zone is expected before its end"),
        ("person and", "a class is expected before its end"),
        ("person car in", "class 'person car' is not one"),
        ("person in front door car", "zone 'front door car' is not one"),
        ("(person", "a bracket is not closed"),
        ("person)", "nothing is expected before ')'"),
        ("'person", "a quote is not closed"),
        ("2 person crossed north", "leave out the 2"),
        ("0 person", "expected 1 or more"),
        ("track seven", "'seven' is no number of a track"),
        ("in front door", "a class is expected before 'in'"),
        ("not " * 60 + "person", "nested more than 50 deep"),
    ],
)
def test_what_is_said_of_a_wrong_condition(text, said):
    with pytest.raises(ZonesError) as error:
        condition(text)
    assert said in str(error.value)
    assert str(error.value).startswith("condition '") or text.startswith("'")
    assert len(str(error.value)) < 400


def test_places_need_a_file():
    with pytest.raises(ZonesError, match="there is no zone 'door'; name a file that describes it with --zones"):
        Condition.parse("person in door", NAMES, Zones(Path()))


@given(
    st.lists(st.sampled_from(["person", "any", "2", "in", "north", "front door", "(", ")", "and", "not", "'", "track"]))
)
def test_any_text_is_understood_or_refused(words):
    try:
        found = condition(" ".join(words))
    except ZonesError:
        return
    found.match(TWO)
    found.match(seen())
