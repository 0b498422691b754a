"""Who crosses, enters, leaves, stays, comes and goes."""

from pathlib import Path

import numpy as np
import pytest

from detector.tracking.events import EventFinder
from detector.tracking.zones import Line, Zone, Zones

NAMES = ("person", "car")
LINE = Line("line", (0.0, 100.0), (400.0, 100.0))  # in is downward
ZONE = Zone("zone", ((100.0, 0.0), (200.0, 0.0), (200.0, 400.0), (100.0, 400.0)), stay_seconds=2.0, above=1)
RATE = 10


class Scene:
    """Feeds boxes of 20x20 whose bottom centres are given."""

    def __init__(self, *, lines=(), zones=(), names=NAMES):
        self.finder = EventFinder(Zones(Path("z"), tuple(zones), tuple(lines), (400, 400)), names)
        self.index = 0
        self.events = []

    def frame(self, **feet):
        """`a=(x, y)` is track 1, `b` track 2, and so on; a third number is the class."""
        boxes = np.array([[x - 10, y - 20, x + 10, y] for x, y, *_ in feet.values()]).reshape(-1, 4)
        classes = np.array([rest[0] if rest else 0 for _, _, *rest in feet.values()], int)
        tracks = np.array(["abcdefgh".index(name) + 1 for name in feet], int)
        self.events += self.finder.update(self.index, self.index / RATE, boxes, classes, tracks)
        self.index += 1

    def walk(self, *feet):
        for point in feet:
            self.frame(a=point)
        return self

    def happened(self, *kinds):
        return [(event.kind, event.place, event.direction) for event in self.events if not kinds or event.kind in kinds]


@pytest.mark.parametrize(
    ("path", "directions"),
    [
        ([(50, 50), (50, 99), (50, 101), (50, 150)], ["in"]),
        ([(50, 150), (50, 101), (50, 99), (50, 50)], ["out"]),
        ([(50, 50), (50, 150), (50, 50)], ["in", "out"]),
        ([(50, 50), (50, 101), (50, 99), (50, 101), (50, 99.5), (50, 150)], ["in"]),
        ([(50, 99), (50, 101), (50, 99), (50, 101)], []),
        ([(50, 100.5), (50, 150)], []),
        ([(50, 50), (50, 100), (50, 150)], ["in"]),
        ([(500, 50), (500, 150)], []),
        ([(50, 50), (50, 60)], []),
        ([(390, 50), (410, 150)], ["in"]),
    ],
    ids=["in", "out", "there and back", "noise after", "noise only", "begins beyond", "exactly on it", "past its end",
         "stays", "aslant, at its end"],
)  # fmt: skip
def test_crossings(path, directions):
    scene = Scene(lines=[LINE]).walk(*path)

    assert [direction for _, _, direction in scene.happened("crossed")] == directions
    counted = scene.finder.lines["line"]
    assert [counted.entered.total(), counted.left.total()] == [directions.count("in"), directions.count("out")]


def test_a_crossing_counts_by_class_and_only_those_of_the_line():
    scene = Scene(lines=[LINE, Line("cars", LINE.start, LINE.end, ("car",))])
    for y in (50, 150):
        scene.frame(a=(50, y, 0), b=(90, y, 1))

    assert scene.finder.lines["line"].entered == {"person": 1, "car": 1}
    assert scene.finder.lines["cars"].entered == {"car": 1}


def test_entering_staying_and_leaving():
    scene = Scene(zones=[ZONE])
    scene.walk((50, 50), *[(150, 50)] * 31, (250, 50))

    assert [(event.kind, event.time, event.seconds) for event in scene.events] == [
        ("appeared", 0.0, None),
        ("entered", 0.1, None),
        ("stayed", 2.1, 2.0),
        ("left", 3.2, 3.1),
    ]
    zone = scene.finder.zones["zone"]
    assert (zone.entries.total(), zone.exits.total(), zone.mean_dwell_seconds()) == (1, 1, pytest.approx(3.1))


def test_whoever_appears_inside_has_entered_and_an_open_stay_counts_so_far():
    scene = Scene(zones=[ZONE]).walk(*[(150, 50)] * 11)

    assert scene.happened() == [("appeared", None, None), ("entered", "zone", None)]
    assert list(scene.finder.open_stays()) == [("zone", "person", 1.0)]


def test_noise_at_the_outline_is_one_stay():
    scene = Scene(zones=[ZONE]).walk((50, 50), *[(101, 50), (99, 50)] * 10, (50, 50))

    assert scene.happened("entered", "left") == [("entered", "zone", None), ("left", "zone", None)]


def test_a_lost_track_leaves_when_it_was_last_seen():
    scene = Scene(zones=[ZONE]).walk(*[(150, 50)] * 5)
    for _ in range(15):
        scene.frame()

    left, vanished = (event for event in scene.events if event.kind in ("left", "vanished"))
    assert (left.time, left.frame, left.seconds) == (0.4, 4, 0.4)
    assert (vanished.time, vanished.seconds) == (0.4, 0.4)
    assert list(scene.finder.open_stays()) == []


def test_a_short_gap_is_no_leaving():
    scene = Scene(zones=[ZONE]).walk((150, 50))
    for _ in range(8):
        scene.frame()
    scene.walk((150, 50))

    assert scene.happened() == [("appeared", None, None), ("entered", "zone", None)]


def test_a_crowd_is_told_once_until_it_has_gone():
    scene = Scene(zones=[ZONE])
    for count in (1, 2, 3, 2, 1, 2):
        scene.frame(**{name: (150 if number < count else 300, 50) for number, name in enumerate("abc")})

    assert [(event.frame, event.count) for event in scene.events if event.kind == "above"] == [(1, 2), (5, 2)]
    assert scene.finder.zones["zone"].most == 3


def test_boxes_without_a_track_are_passed_over():
    finder = EventFinder(Zones(Path("z"), (ZONE,), (), (400, 400)), NAMES)

    assert finder.update(0, 0.0, np.array([[140, 30, 160, 50]]), np.array([0]), np.array([-1])) == []


def test_unique_objects_are_counted_by_class():
    scene = Scene()
    for _ in range(3):
        scene.frame(a=(10, 30), b=(60, 30, 1), c=(90, 30, 1))

    assert scene.finder.unique == {"person": 1, "car": 2}


def test_a_line_crossed_unseen_counts_when_the_track_is_back():
    scene = Scene(lines=[LINE]).walk((50, 50), (50, 60))
    for _ in range(30):
        scene.frame()
    scene.walk((50, 150))

    assert [(event.kind, event.time) for event in scene.events] == [
        ("appeared", 0.0),
        ("vanished", 0.1),
        ("appeared", 3.2),
        ("crossed", 3.2),
    ]
    assert scene.finder.unique == {"person": 1}
