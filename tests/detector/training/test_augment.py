import numpy as np
import pytest

from detector.training.augment import Sample, augment, fit_sample, mosaic
from detector.training.settings import TrainSettings

RED = (255, 0, 0)


def square(left=30, top=20, right=70, bottom=50, width=120, height=90) -> Sample:
    picture = np.zeros((height, width, 3), np.uint8)
    picture[top:bottom, left:right] = RED
    box = [(left + right) / 2 / width, (top + bottom) / 2 / height, (right - left) / width, (bottom - top) / height]
    return Sample(picture, np.array([box], np.float32), np.array([3]))


def hull(picture):
    """Left, top, right, bottom of what is red, as parts of the picture."""
    rows, columns = np.nonzero(picture[..., 0].astype(int) - picture[..., 1] > 127)
    height, width = picture.shape[:2]
    return np.array(
        [columns.min() / width, rows.min() / height, (columns.max() + 1) / width, (rows.max() + 1) / height]
    )


def edges(box):
    return np.array([box[0] - box[2] / 2, box[1] - box[3] / 2, box[0] + box[2] / 2, box[1] + box[3] / 2])


@pytest.mark.parametrize("resize", ["letterbox", "stretch"])
def test_boxes_are_letterboxed_with_the_picture(resize):
    fitted = fit_sample(square(), width=96, height=96, resize=resize)

    assert fitted.picture.shape == (96, 96, 3)
    assert edges(fitted.boxes[0]) == pytest.approx(hull(fitted.picture), abs=1.01 / 96)


@pytest.mark.parametrize("seed", range(40))
def test_boxes_follow_every_variation(seed):
    settings = TrainSettings(scale=0.5, flip=0.5, colour=0)

    varied = augment(square(), np.random.default_rng(seed), settings, width=96, height=64, resize="letterbox")

    if len(varied.boxes):
        assert varied.class_id.tolist() == [3]
        assert edges(varied.boxes[0]) == pytest.approx(hull(varied.picture), abs=1.01 / 64)


def test_a_box_that_is_mostly_cut_off_is_dropped():
    settings = TrainSettings(scale=0.9, flip=0, colour=0)
    counts = [
        len(
            augment(
                square(0, 0, 20, 20), np.random.default_rng(seed), settings, width=96, height=64, resize="stretch"
            ).boxes
        )
        for seed in range(60)
    ]

    assert 0 < sum(counts) < 60


def test_the_same_seed_gives_the_same_picture():
    one, other = (
        augment(square(), np.random.default_rng(5), TrainSettings(), width=64, height=64, resize="letterbox")
        for _ in "ab"
    )

    assert np.array_equal(one.picture, other.picture)
    assert np.array_equal(one.boxes, other.boxes)


def test_colours_vary_and_boxes_stay():
    settings = TrainSettings(scale=0, flip=0, colour=0.5)
    plain = fit_sample(square(), width=96, height=64, resize="letterbox")
    varied = augment(square(), np.random.default_rng(1), settings, width=96, height=64, resize="letterbox")

    assert not np.array_equal(plain.picture, varied.picture)
    assert np.array_equal(plain.boxes, varied.boxes)


@pytest.mark.parametrize("seed", range(10))
def test_a_mosaic_keeps_the_visible_part_of_each_box(seed):
    samples = [fit_sample(square(), width=96, height=64, resize="stretch") for _ in range(4)]

    together = mosaic(samples, np.random.default_rng(seed))

    for box in together.boxes:
        left, top, right, bottom = np.rint(edges(box) * np.array([96, 64, 96, 64])).astype(int)
        inside = together.picture[top + 1 : bottom - 1, left + 1 : right - 1]
        assert (inside[..., 0] > 127).mean() > 0.95
