"""Zones, lines and trails on pictures."""

import numpy as np
import pytest

from detector.detections import Detections
from detector.drawing.zones import Trails, draw_line, draw_zone


@pytest.fixture
def grey():
    return np.full((300, 400, 3), 90, np.uint8)


def changed(picture):
    return (picture != 90).any(2)


def detections(*boxes):
    """Boxes as (track, centre x, bottom)."""
    return Detections(
        np.array([(x - 5, y - 20, x + 5, y) for _, x, y in boxes], np.float32).reshape(-1, 4),
        np.full(len(boxes), 0.9, np.float32),
        np.zeros(len(boxes), np.int64),
        ("car",),
        np.array([track for track, _, _ in boxes], np.int64),
    )


def test_a_zone_is_an_outline_with_a_label_at_its_top(grey):
    draw_zone(grey, [(100, 100), (300, 100), (300, 250), (100, 250)], "door: 2")

    marks = changed(grey)
    assert marks[100:251, 100].all() and marks[250, 100:301].all() and marks[100:251, 300].all()
    assert not marks[110:240, 110:290].any()
    assert marks[88:98, 100:140].mean() > 0.9  # the label
    assert not marks[:, 320:].any() and not marks[260:].any()


def test_a_lines_arrow_points_to_its_right(grey):
    draw_line(grey, (200, 250), (200, 50), "north")  # upward: right is where x grows

    marks = changed(grey)
    assert marks[60:240, 200].all()
    assert marks[150, 202:222].all()
    assert not marks[100:200, 150:198].any()


@pytest.mark.parametrize("point", [(0, 0), (399, 299), (399, 0)])
def test_labels_stay_within_the_picture(grey, point):
    draw_zone(grey, [point, (200, 150), (180, 160)], "a rather long name of a zone" * 4)
    assert changed(grey).any()


def test_a_name_of_control_characters_and_nothing_do_no_harm(grey):
    draw_line(grey, (10, 10), (10, 12), "\x1b[31m")
    draw_zone(grey[:3, :3], [(0, 0), (2, 0), (2, 2)], "tiny")


def test_a_trail_leads_to_where_the_object_is(grey):
    trails = Trails(2.0)
    for step in range(11):
        trails.follow(detections((1, 50 + 20 * step, 200), (-1, 50 + 20 * step, 100)), step / 10)
    trails.draw(grey)

    marks = changed(grey)
    assert marks[200, 52:248].all()
    assert not marks[:190].any()  # nothing of what has no track


def test_a_trail_is_as_long_as_it_lasts_and_forgotten_after(grey):
    trails = Trails(0.5)
    for step in range(11):
        trails.follow(detections((1, 50 + 20 * step, 200)), step / 10)
    trails.draw(grey)
    assert changed(grey)[200, 155:248].all()
    assert not changed(grey)[:, :140].any()

    empty = np.full_like(grey, 90)
    trails.follow(detections(), 2.0)
    trails.draw(empty)
    assert not changed(empty).any()


def test_who_stands_still_keeps_a_short_trail():
    trails = Trails(1.0)
    for step in range(100):
        trails.follow(detections((1, 100 + step % 2, 200)), step / 10)
    assert len(trails._points[1]) == 1


def test_without_tracks_there_are_no_trails(grey):
    trails = Trails(1.0)
    trails.follow(Detections.empty(("car",)), 0.0)
    trails.draw(grey)
    assert not changed(grey).any()
