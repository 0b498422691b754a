import av
import numpy as np
import pytest

from detector.video.colours import FromRgb, ToRgb, colours_of, stored_as_yuv, tag
from detector.video.frames import RGB, Colours

WEIGHTS = {1: (0.2126, 0.0722), 5: (0.299, 0.114), 6: (0.299, 0.114), 9: (0.2627, 0.0593)}
SAMPLES = [(100, 90, 200), (180, 140, 110), (60, 200, 100), (16, 128, 128), (235, 128, 128), (120, 128, 128)]


def yuv_frame(y, u, v, colours, size=(64, 64)):
    width, height = size
    planes = np.empty((height * 3 // 2, width), np.uint8)
    planes[:height] = y
    planes[height : height * 5 // 4] = u
    planes[height * 5 // 4 :] = v
    frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
    tag(frame, colours)
    return frame


def rgb_by_the_book(y, u, v, matrix, full_range):
    """ITU-R BT.601, BT.709 and BT.2020, section on quantisation and inverse matrix."""
    red, blue = WEIGHTS[matrix]
    luma = y / 255 if full_range else (y - 16) / 219
    cb, cr = ((c - 128) / (255 if full_range else 224) for c in (u, v))
    r, b = luma + 2 * (1 - red) * cr, luma + 2 * (1 - blue) * cb
    g = (luma - red * r - blue * b) / (1 - red - blue)
    return np.clip(np.round(255 * np.array([r, g, b])), 0, 255)


@pytest.mark.parametrize("matrix", WEIGHTS)
@pytest.mark.parametrize("full_range", [False, True])
@pytest.mark.parametrize("sample", SAMPLES)
def test_rgb_is_that_of_the_named_matrix_and_range(matrix, full_range, sample):
    frame = yuv_frame(*sample, Colours(matrix=matrix, full_range=full_range))
    picture = ToRgb(width=64, height=64)(frame)
    assert picture.flags.c_contiguous and picture.flags.writeable
    assert np.abs(picture[20, 20] - rgb_by_the_book(*sample, matrix, full_range)).max() <= 1


@pytest.mark.parametrize("matrix", [*WEIGHTS, 2])
@pytest.mark.parametrize("full_range", [False, True])
def test_there_and_back_is_where_it_started(matrix, full_range):
    colours = Colours(matrix=matrix, full_range=full_range)
    for y, u, v in SAMPLES:
        frame = FromRgb(colours, height=64)(ToRgb(width=64, height=64)(yuv_frame(y, u, v, colours)))
        planes = frame.to_ndarray()
        got = planes[10, 10], planes[64 + 4, 4], planes[80 + 4, 4]
        clipped = (rgb_by_the_book(y, u, v, matrix if matrix != 2 else 5, full_range) % 255 == 0).any()
        assert clipped or np.abs(np.subtract(got, (y, u, v), dtype=float)).max() <= 1, (y, u, v)
        assert colours_of(frame) == colours


@pytest.mark.parametrize(("height", "matrix"), [(480, 5), (576, 5), (720, 1), (1080, 1)])
def test_unnamed_matrix_is_the_one_players_take(height, matrix):
    sample = (100, 90, 200)
    frame = yuv_frame(*sample, Colours(), size=(64, height))
    picture = ToRgb(width=64, height=height)(frame)
    assert np.abs(picture[20, 20] - rgb_by_the_book(*sample, matrix, False)).max() <= 1


def test_rgb_frames_pass_unchanged_and_are_stored_as_bt709():
    pixels = np.random.default_rng(1).integers(0, 255, (32, 48, 3), np.uint8)
    frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
    assert colours_of(frame).matrix == RGB.matrix
    np.testing.assert_array_equal(ToRgb(width=48, height=32)(frame), pixels)
    assert stored_as_yuv(RGB) == Colours(matrix=1)
    assert stored_as_yuv(Colours(matrix=6)) == Colours(matrix=6)
