import numpy as np
import pytest

from detector.drawing.blur import hide, hide_all
from detector.images.planes import Planes


def picture(width, height):
    return np.random.default_rng(1).integers(0, 255, (height, width, 3)).astype(np.uint8)


def planes(width, height):
    """Noise in planes, their padding included."""
    columns, rows = width + width % 2, height + height % 2
    stored = np.random.default_rng(2).integers(16, 235, (rows * 3 // 2, columns)).astype(np.uint8)
    return Planes(stored, lambda stored: np.zeros((rows, columns, 3), np.uint8), matrix=1, full_range=False,
                  size=(width, height))  # fmt: skip


def box(*edges):
    return np.array([edges], np.float32)


def changed(before, after):
    return (before != after).mean()


@pytest.mark.parametrize("side", [5, 8, 11, 23, 60])
def test_boxes_of_any_size_are_hidden_in_brightness_and_colour(side):
    image = planes(100, 100)
    luma, chroma = image.luma.copy(), image.chroma.copy()
    hide(image, box(20, 30, 20 + side, 30 + side), margin=0)
    inside = slice(30, 30 + side), slice(20, 20 + side)
    half = slice(15, 15 + side // 2), slice(10, 10 + side // 2)
    assert changed(luma[inside], image.luma[inside]) > 0.7
    assert len(np.unique(image.luma[inside])) <= 49
    for before, after in zip(chroma, image.chroma, strict=True):
        assert changed(before[half], after[half]) > 0.4
        assert len(np.unique(after[half])) <= 49


@pytest.mark.parametrize("side", [3, 9, 40])
def test_rgb_pictures_are_hidden_and_the_rest_stays(side):
    image = picture(100, 100)
    before = image.copy()
    hide(image, box(20, 30, 20 + side, 30 + side), margin=0)
    assert changed(before[30 : 30 + side, 20 : 20 + side], image[30 : 30 + side, 20 : 20 + side]) > 0.7
    image[30 : 30 + side, 20 : 20 + side] = before[30 : 30 + side, 20 : 20 + side]
    np.testing.assert_array_equal(image, before)


def test_the_padding_of_odd_sizes_is_hidden_too():
    image = planes(99, 77)
    before = image.stored.copy()
    hide(image, box(60, 40, 99, 77), margin=0)
    rows = 78
    assert changed(before[40:rows, 60:], image.luma[40:rows, 60:]) > 0.7
    assert changed(before[77, 60:], image.luma[77, 60:]) > 0.7
    assert changed(before[40:78, 99], image.luma[40:78, 99]) > 0.7


def test_a_margin_around_the_box_is_hidden():
    image = picture(100, 100)
    before = image.copy()
    hide(image, box(40, 40, 60, 60))
    assert changed(before[37:40, 37:63], image[37:40, 37:63]) > 0.7
    np.testing.assert_array_equal(image[:36], before[:36])


@pytest.mark.parametrize("make", [picture, planes])
def test_a_whole_picture(make):
    image = make(101, 51)
    hide_all(image)
    shown = image if isinstance(image, np.ndarray) else image.luma
    assert len(np.unique(shown.reshape(-1, *shown.shape[2:]), axis=0)) <= 49


@pytest.mark.parametrize("edges", [(-50, -50, -10, -10), (150, 20, 180, 40), (30, 30, 30, 30)])
@pytest.mark.parametrize("make", [picture, planes])
def test_boxes_outside_or_without_an_area_change_at_most_an_edge(make, edges):
    image = make(99, 99)
    before = np.array(image if isinstance(image, np.ndarray) else image.luma)
    hide(image, box(*edges))
    assert changed(before, image if isinstance(image, np.ndarray) else image.luma) < 0.02


@pytest.mark.parametrize("make", [picture, planes])
def test_a_box_larger_than_the_picture_hides_all_of_it(make):
    image = make(99, 99)
    hide(image, box(-1e7, -1e7, 1e7, 1e7))
    shown = image if isinstance(image, np.ndarray) else image.luma
    assert len(np.unique(shown.reshape(-1, *shown.shape[2:]), axis=0)) <= 49
