import itertools
from dataclasses import replace

import numpy as np
import pytest

from detector.datasets.dataset import read_dataset
from scripts.street import NAMES, Clip, draw_shot, random_street
from scripts.street.atmosphere import between, make_palette
from scripts.street.clip import Signal
from scripts.street.folder import write_folder
from scripts.street.render import LEAST_SIDE, LEAST_VISIBLE
from scripts.street.stage import Actor
from scripts.street.vehicles import make_car


@pytest.fixture(scope="module")
def shots():
    return [draw_shot(random_street(seed, 320, 180)) for seed in range(60)]


def test_the_same_seed_draws_the_same_street():
    one, other = (draw_shot(random_street(11)) for _ in "ab")

    assert np.array_equal(one.picture, other.picture)
    assert np.array_equal(one.xyxy, other.xyxy)
    assert not np.array_equal(one.picture, draw_shot(random_street(12)).picture)


def test_every_class_appears(shots):
    counts = np.bincount(np.concatenate([shot.class_id for shot in shots]), minlength=len(NAMES))

    assert (counts >= 10).all()


def test_boxes_lie_within_the_picture_and_are_not_tiny(shots):
    for shot in shots:
        assert shot.picture.shape == (180, 320, 3)
        assert (shot.xyxy[:, :2] >= 0).all()
        assert (shot.xyxy[:, 2:] <= [320, 180]).all()
        assert ((shot.xyxy[:, 2:] - shot.xyxy[:, :2]) >= LEAST_SIDE * 320).all()


def with_actors(*actors):
    street = random_street(5, 320, 180)
    clear = replace(street, palette=make_palette("day", "clear"), crossing=None, actors=())
    return clear, replace(clear, actors=actors)


def car(key=0, x=0.0, row=150.0):
    return Actor(key, "car", make_car(np.random.default_rng(2)), x, row)


def test_a_box_is_the_hull_of_the_pixels_that_the_object_changes():
    empty, street = with_actors(car())
    before, after = draw_shot(empty).picture, draw_shot(street)
    rows, columns = np.nonzero((before.astype(int) != after.picture).any(axis=2))

    (box,) = after.xyxy
    # The shadow reaches a little beyond the wheels; the sides and the roof are the car's own.
    assert box[:3] == pytest.approx([columns.min(), rows.min(), columns.max() + 1], abs=4)
    assert box[1] == pytest.approx(rows.min(), abs=1)
    assert box[3] == pytest.approx(150, abs=2)


def test_a_hidden_object_has_the_box_of_its_visible_part_or_none():
    _, alone = with_actors(car())
    (whole,) = draw_shot(alone).xyxy
    scale = alone.view.scale(150)
    width = (whole[2] - whole[0]) / scale
    for shift, count in ((0.85, 2), (0.5, 2), (0.15, 1)):
        _, street = with_actors(car(), car(1, x=width * shift, row=152.0))
        found = draw_shot(street).xyxy
        assert len(found) == count, shift
        if count == 2:
            assert found[0][2] < whole[2]
            assert found[0][0] == whole[0]
    assert 0.15 < LEAST_VISIBLE < 0.5


def test_objects_that_leave_the_picture_have_no_box():
    street, _ = with_actors()
    reach = street.reach(150.0)
    _, street = with_actors(car(x=reach + 1.5))

    assert len(draw_shot(street).xyxy) == 0


def test_a_clip_moves_on_and_is_the_same_each_time():
    clip = Clip(3, width=320, height=180, seconds=1, rate=10)
    one, other = list(clip), list(clip)

    assert len(one) == len(clip) == 10
    for a, b in zip(one, other, strict=True):
        assert np.array_equal(a.picture, b.picture)
        assert np.array_equal(a.xyxy, b.xyxy)
    assert not np.array_equal(one[0].picture, one[1].picture)


def test_nobody_drives_through_another_or_over_red():
    from scripts.street.clip import _STOP_METRES, _Animation

    clip = Clip(1, width=320, height=180)
    animation = _Animation(clip)
    crossing = animation.street.crossing
    for number in range(1, clip.count):
        part = number / clip.count
        before = {driver.key: driver.front for lane in animation.workers for driver in lane}
        for lane in range(len(animation.workers)):
            animation._drive(lane, 1 / clip.rate, part)
            drivers = animation.workers[lane]
            for ahead, behind in itertools.pairwise(drivers):
                assert ahead.back - behind.front > 0.1
            line = (crossing if animation._right(lane) else -crossing) - _STOP_METRES
            if clip.signal.state(part) == "red" and part > clip.signal.red + 0.01:
                for driver in drivers:
                    assert not before.get(driver.key, driver.front) < line <= driver.front


@pytest.mark.parametrize(("part", "state"), [(0, "green"), (0.35, "amber"), (0.5, "red"), (0.9, "green")])
def test_signal(part, state):
    assert Signal().state(part) == state


def test_between_day_and_a_rainy_night():
    day, night = make_palette("day", "clear"), make_palette("night", "rain")

    assert between(day, night, 0) is day
    assert between(day, night, 1) is night
    middle = between(day, night, 0.25)
    assert (middle.weather, middle.falling, middle.lamps) == ("rain", 0.25, 0.25)


def test_a_folder_is_data_to_train_on(tmp_path):
    data = write_folder(tmp_path, {"train": 3, "valid": 2})
    dataset = read_dataset(data)

    assert dataset.names == NAMES
    assert (len(dataset.train), len(dataset.valid)) == (3, 2)
    assert not {one.path.name for one in dataset.train} & {one.path.name for one in dataset.valid}
