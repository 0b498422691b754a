import av
import numpy as np
import pytest

from detector.video.colours import FromRgb, ToImage, ToRgb, colours_of, stored_as_yuv, tag
from detector.video.frames import RGB, Colours
from detector.video.hdr import HLG, PQ, tone_mapped

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


def light_by_the_book(y, u, v, matrix, full_range, bits=8):
    """RGB in 0..1 by ITU-R BT.601, BT.709 and BT.2020, section on quantisation and inverse matrix."""
    red, blue = WEIGHTS[matrix]
    step, most = 1 << (bits - 8), (1 << bits) - 1
    luma = y / most if full_range else (y / step - 16) / 219
    cb, cr = ((c - 128 * step) / most if full_range else (c / step - 128) / 224 for c in (u, v))
    r, b = luma + 2 * (1 - red) * cr, luma + 2 * (1 - blue) * cb
    g = (luma - red * r - blue * b) / (1 - red - blue)
    return np.clip(np.array([r, g, b]), 0, 1)


def rgb_by_the_book(y, u, v, matrix, full_range):
    return np.round(255 * light_by_the_book(y, u, v, matrix, full_range))


def filled(name, values, bits, shift, planes, colours):
    """A frame of one colour; `planes` says which component each word of a plane is."""
    frame = av.VideoFrame(64, 48, name)
    for plane, letters in zip(frame.planes, planes, strict=True):
        words = np.array([values[letter] << shift for letter in letters], np.uint8 if bits == 8 else np.uint16)
        plane.update(np.tile(words, plane.buffer_size // words.nbytes + 1).tobytes()[: plane.buffer_size])
    tag(frame, colours)
    return frame


YUV_LAYOUTS = [
    *((name, 8, 0, ["y", "u", "v"]) for name in ("yuv420p", "yuv422p", "yuv444p", "yuv411p", "yuv410p", "yuv440p")),
    *((f"yuv{chroma}p{bits}le", bits, 0, ["y", "u", "v"]) for chroma in (420, 422, 444) for bits in (9, 10, 12, 16)),
    ("yuva420p", 8, 0, ["y", "u", "v", "a"]),
    ("nv12", 8, 0, ["y", "uv"]),
    ("yuyv422", 8, 0, ["yuyv"]),
    ("uyvy422", 8, 0, ["uyvy"]),
    ("p010le", 10, 6, ["y", "uv"]),
]
RGB_LAYOUTS = [
    *((order, 8, [order.replace("0", "a").removesuffix("24")]) for order in ("rgb24", "bgr24", "rgba", "bgra", "bgr0")),
    ("gbrp", 8, ["g", "b", "r"]),
    ("gbrap", 8, ["g", "b", "r", "a"]),
    ("gbrp10le", 10, ["g", "b", "r"]),
    ("gbrp12le", 12, ["g", "b", "r"]),
    ("rgb48le", 16, ["rgb"]),
]


def shown(light, transfer):
    """What RGB in 0..1 looks like in 8 bits."""
    if transfer in (PQ, HLG):
        return tone_mapped(np.round(65535 * light).astype(np.uint16)[None, None], transfer)[0, 0].astype(float)
    return 255 * light


@pytest.mark.parametrize("transfer", [1, PQ, HLG], ids=["SDR", "PQ", "HLG"])
@pytest.mark.parametrize(("name", "bits", "shift", "planes"), YUV_LAYOUTS, ids=[layout[0] for layout in YUV_LAYOUTS])
def test_colours_of_every_yuv_layout(name, bits, shift, planes, transfer):
    for matrix in (1, 6, 9):
        for full_range in (False, True):
            for sample in SAMPLES:
                y, u, v = (part << (bits - 8) for part in sample)
                colours = Colours(matrix, full_range, 9, transfer)
                frame = filled(name, {"y": y, "u": u, "v": v, "a": (1 << bits) - 1}, bits, shift, planes, colours)
                picture = np.asarray(ToImage(frame)(frame)).astype(float)
                expected = shown(light_by_the_book(y, u, v, matrix, full_range, bits), transfer)
                assert np.abs(picture[20, 20] - expected).max() <= 2, (matrix, full_range, sample)


@pytest.mark.parametrize("transfer", [1, PQ, HLG], ids=["SDR", "PQ", "HLG"])
@pytest.mark.parametrize(("name", "bits", "planes"), RGB_LAYOUTS, ids=[layout[0] for layout in RGB_LAYOUTS])
def test_colours_of_every_rgb_layout(name, bits, planes, transfer):
    most = (1 << bits) - 1
    for sample in ((255, 0, 0), (10, 200, 90), (255, 255, 255), (128, 128, 128), (0, 0, 0)):
        values = {letter: round(part / 255 * most) for letter, part in zip("rgb", sample, strict=True)}
        frame = filled(name, {**values, "a": most}, bits, 0, planes, Colours(0, True, 9, transfer))
        picture = np.asarray(ToImage(frame)(frame)).astype(float)
        assert np.abs(picture[20, 20] - shown(np.array(sample) / 255, transfer)).max() <= 2, sample


@pytest.mark.parametrize("size", [(64, 48), (63, 47)])
@pytest.mark.parametrize("tagged", [0, 1, 2])
@pytest.mark.parametrize(("name", "bits"), [("gray", 8), ("gray10le", 10), ("gray16le", 16)])
def test_grey_has_no_tint(name, bits, tagged, size):
    for level in (0, 1, 100, 200, 255):
        frame = av.VideoFrame(*size, name)
        word = np.array([round(level / 255 * ((1 << bits) - 1))], np.uint8 if bits == 8 else np.uint16)
        frame.planes[0].update(np.tile(word, frame.planes[0].buffer_size // word.nbytes).tobytes())
        frame.color_range = tagged
        picture = np.asarray(ToImage(frame)(frame))
        assert picture.shape == (*size[::-1], 3)
        assert np.abs(picture[20, 20].astype(int) - level).max() <= 1
        assert np.ptp(picture[20, 20]) == 0


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
def test_a_round_trip_changes_little(matrix, full_range):
    colours = Colours(matrix=matrix, full_range=full_range)
    for y, u, v in SAMPLES:
        frame = FromRgb(colours, height=64)(ToRgb(width=64, height=64)(yuv_frame(y, u, v, colours)))
        planes = frame.to_ndarray()
        got = planes[10, 10], planes[64 + 4, 4], planes[80 + 4, 4]
        clipped = (rgb_by_the_book(y, u, v, matrix if matrix != 2 else 5, full_range) % 255 == 0).any()
        assert clipped or np.abs(np.subtract(got, (y, u, v), dtype=float)).max() <= 1, (y, u, v)
        assert colours_of(frame) == colours


@pytest.mark.parametrize(("height", "matrix"), [(480, 5), (576, 5), (720, 1), (1080, 1)])
def test_an_unnamed_matrix_is_the_one_that_players_assume(height, matrix):
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
