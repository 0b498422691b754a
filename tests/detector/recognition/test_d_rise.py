import numpy as np
import pytest

from detector.detections import Detections
from detector.recognition.d_rise import box_similarity, random_mask, rise


def test_the_heat_is_where_hiding_lowers_the_score():
    picture = np.full((64, 96, 3), 200, np.uint8)

    heat = rise(lambda seen: float(seen[8:24, 64:88].mean()) / 255, picture, masks=300)

    assert heat.shape == (64, 96)
    assert (heat.min(), heat.max()) == (0, 1)
    row, column = np.unravel_index(heat.argmax(), heat.shape)
    assert 4 <= row < 28
    assert 60 <= column < 92


def test_the_same_seed_gives_the_same_map():
    picture = np.full((16, 16, 3), 200, np.uint8)

    def score(seen):
        return float(seen[:8].mean())

    np.testing.assert_array_equal(rise(score, picture, masks=20, seed=4), rise(score, picture, masks=20, seed=4))


def test_a_score_that_never_changes_has_no_heat_of_its_own():
    assert np.isfinite(rise(lambda seen: 0.0, np.zeros((16, 16, 3), np.uint8), masks=5)).all()


@pytest.mark.parametrize("shape", [(1, 1), (5, 300), (97, 31)])
def test_masks_hide_half_on_average(shape):
    random = np.random.default_rng(0)

    masks = np.array([random_mask(*shape, random) for _ in range(200)])

    assert masks.shape[1:] == shape
    assert masks.min() >= 0
    assert masks.max() <= 1
    assert masks.mean() == pytest.approx(0.5, abs=0.05)


def test_box_similarity_is_of_the_same_class():
    found = Detections(
        np.array([[0, 0, 10, 10], [0, 0, 10, 20], [0, 0, 10, 10]], np.float32),
        np.array([0.4, 0.9, 1.0], np.float32),
        np.array([0, 0, 1], np.int64),
        ("a", "b"),
    )
    box = np.array([0, 0, 10, 10], np.float32)

    assert box_similarity(found, box, 0) == pytest.approx(0.45)
    assert box_similarity(found, box, 1) == pytest.approx(1.0)
    assert box_similarity(found[:0], box, 0) == 0
