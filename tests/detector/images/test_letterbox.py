import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detector.images.letterbox import GREY, Fit, fit_picture, resample


@pytest.mark.parametrize(
    ("picture", "network", "inner", "offset"),
    [
        pytest.param((768, 576), (416, 416), (416, 312), (0, 52), id="landscape"),
        pytest.param((576, 768), (416, 416), (312, 416), (52, 0), id="portrait"),
        pytest.param((500, 500), (416, 416), (416, 416), (0, 0), id="square"),
        pytest.param((1280, 720), (608, 608), (608, 342), (0, 133), id="16:9"),
        pytest.param((773, 512), (320, 320), (320, 211), (0, 54), id="the odd grey row lies below"),
        pytest.param((100, 100), (608, 352), (352, 352), (128, 0), id="network wider than high"),
        pytest.param((10_000, 3), (416, 416), (416, 1), (0, 207), id="never thinner than a pixel"),
    ],
)
def test_letterbox_is_laid_out_in_darknets_integers(picture, network, inner, offset):
    fit = fit_picture(*picture, width=network[0], height=network[1])

    assert (fit.width, fit.height) == network
    assert (fit.inner_width, fit.inner_height) == inner
    assert (fit.left, fit.top) == offset


@pytest.mark.parametrize(
    ("shape", "resize", "expected"),
    [
        ("square", "stretch", Fit(768, 432, 320, 320, 320, 320)),
        ("square", "letterbox", Fit(768, 432, 320, 320, 320, 180)),
        ("rect", "letterbox", Fit(768, 432, 320, 192, 320, 180)),
        ("rect", "stretch", Fit(768, 432, 320, 192, 320, 180)),
        ("fit", "stretch", Fit(768, 432, 416, 224, 416, 224)),
        ("fit", "letterbox", Fit(768, 432, 416, 224, 398, 224)),
    ],
)
def test_shapes_for_a_16_to_9_picture(shape, resize, expected):
    assert fit_picture(768, 432, width=320, height=320, resize=resize, shape=shape) == expected


sides = st.integers(1, 4000)


@given(sides, sides, st.integers(1, 20), st.integers(1, 20), st.sampled_from([8, 16, 32]))
def test_every_shape_keeps_to_strides_and_budget(width, height, columns, rows, stride):
    budget = {"width": columns * stride, "height": rows * stride, "stride": stride}
    for shape in ("square", "rect", "fit"):
        for resize in ("letterbox", "stretch"):
            fit = fit_picture(width, height, **budget, resize=resize, shape=shape)
            assert fit.width % stride == fit.height % stride == 0
            assert fit.width * fit.height <= columns * rows * stride**2
            assert 1 <= fit.inner_width <= fit.width
            assert 1 <= fit.inner_height <= fit.height


def test_the_picture_lies_in_grey():
    white = np.full((90, 160, 3), 255, np.uint8)

    framed = fit_picture(160, 90, width=64, height=64).network_input(white)

    assert framed.shape == (64, 64, 3)
    assert framed.dtype == np.float32
    assert np.all(framed[14:50] == 1)
    assert np.all(framed[:14] == GREY)
    assert np.all(framed[50:] == GREY)


def test_boxes_are_mapped_back_to_the_picture():
    fit = fit_picture(768, 576, width=416, height=416)
    # A box over the left half of the picture, as the network sees it.
    seen = np.array([[0.25, 0.5, 0.5, 312 / 416]], np.float32)

    np.testing.assert_allclose(fit.to_picture(seen), [[0.25, 0.5, 0.5, 1]], atol=1e-6)


def test_the_inverse_takes_half_the_difference_as_a_fraction():
    # 211 rows in 320 leave 109: pasted at row 54, brought back from 54.5, as Darknet does.
    fit = fit_picture(773, 512, width=320, height=320)
    top_of_picture = np.array([[0.5, 54.5 / 320, 0, 0]], np.float32)

    assert abs(fit.to_picture(top_of_picture)[0, 1]) < 1e-6


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 40), st.integers(1, 40), st.integers(0, 2**32 - 1))
def test_darknets_interpolation_is_that_of_its_loops(width, height, target_width, target_height, seed):
    picture = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)

    ours = resample(picture, target_width, target_height, "darknet")

    np.testing.assert_allclose(ours, _darknet_loops(picture, target_width, target_height), atol=2e-6)


def _darknet_loops(picture, width, height):
    """image.c's resize_image, pixel by pixel, but without its nearly black last row."""
    source = picture.astype(np.float64) / 255
    rows, columns = picture.shape[:2]
    result = np.empty((height, width, 3))
    for y in range(height):
        for x in range(width):
            sy = np.float32(y) * np.float32((rows - 1) / max(height - 1, 1))
            sx = np.float32(x) * np.float32((columns - 1) / max(width - 1, 1))
            if y == height - 1:
                sy = np.float32(rows - 1)
            if x == width - 1:
                sx = np.float32(columns - 1)
            iy, ix = int(sy), int(sx)
            dy, dx = float(sy) - iy, float(sx) - ix
            iy2, ix2 = min(iy + 1, rows - 1), min(ix + 1, columns - 1)
            above = source[iy, ix] * (1 - dx) + source[iy, ix2] * dx
            below = source[iy2, ix] * (1 - dx) + source[iy2, ix2] * dx
            result[y, x] = above * (1 - dy) + below * dy
    return result


@pytest.mark.parametrize("interpolation", ["linear", "area", "darknet"])
def test_a_picture_of_the_right_size_is_only_scaled(interpolation):
    picture = np.random.default_rng(1).integers(0, 256, (32, 48, 3), np.uint8)

    np.testing.assert_allclose(resample(picture, 48, 32, interpolation), picture / 255, atol=1e-6)


def test_area_averages_where_linear_skips():
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::8] = 255

    # One column in eight is white: an average says so everywhere, a sample does not.
    assert np.allclose(resample(stripes, 8, 8, "area"), 1 / 8, atol=0.01)
    assert not np.allclose(resample(stripes, 8, 8, "linear"), 1 / 8, atol=0.01)
