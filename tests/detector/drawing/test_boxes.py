from dataclasses import replace

import numpy as np
import pytest

from detector.detections import Detections
from detector.drawing.boxes import class_colour, draw, draw_caption, luminance, text_colour

NAMES = (
    "person",
    "собака",
    "狗",
    "😀",
    "a class whose name is far longer than the picture is wide",
    "",
    "\x1b[0m\n\ud800",
)
GREY = 119


def blank(height: int = 300, width: int = 400) -> np.ndarray:
    return np.full((height, width, 3), GREY, np.uint8)


def boxes(*rows: tuple[float, ...], confidence: list[float] | None = None, class_id: int = 0) -> Detections:
    return Detections(
        np.array(rows, np.float32).reshape(-1, 4),
        np.array(confidence or np.linspace(0.9, 0.5, len(rows)), np.float32),
        np.full(len(rows), class_id),
        NAMES,
    )


def drawn(detections: Detections, height: int = 300, width: int = 400, **options: object) -> np.ndarray:
    picture = blank(height, width)
    draw(picture, detections, **options)
    return picture


def changed(picture: np.ndarray) -> np.ndarray:
    return (picture != GREY).any(axis=2)


def extent(mask: np.ndarray) -> tuple[int, int, int, int]:
    rows, columns = np.nonzero(mask)
    return columns.min(), rows.min(), columns.max() + 1, rows.max() + 1


@pytest.mark.parametrize(
    ("box", "line_width", "pixels"),
    [
        pytest.param((50, 60, 90, 100), 1, (50, 60, 90, 100), id="whole numbers"),
        pytest.param((50, 60, 90, 100), 3, (50, 60, 90, 100), id="thick"),
        pytest.param((50.4, 60.6, 89.6, 100.4), 2, (50, 61, 90, 100), id="rounded"),
        pytest.param((0, 0, 400, 300), 2, (0, 0, 400, 300), id="the whole picture"),
        pytest.param((-50, -60, 90, 100), 2, (0, 0, 90, 100), id="over the left and the top edge"),
        pytest.param((350, 250, 900, 9e9), 2, (350, 250, 400, 300), id="over the right and the bottom edge"),
        pytest.param((50, 60, 53, 100), 2, (50, 60, 53, 100), id="narrower than two lines"),
        pytest.param((50, 60, 51, 61), 5, (50, 60, 51, 61), id="one pixel"),
    ],
)
def test_outline(box: tuple[float, ...], line_width: int, pixels: tuple[int, ...]) -> None:
    picture = drawn(boxes(box), line_width=line_width, labels=False)
    left, top, right, bottom = pixels
    expected = blank()
    expected[top:bottom, left:right] = class_colour(0)
    expected[top + line_width : bottom - line_width, left + line_width : right - line_width] = GREY
    assert (picture == expected).all()


@pytest.mark.parametrize(
    "box",
    [
        (50, 60, 50, 100),
        (50.2, 60, 50.3, 100),
        (90, 60, 50, 100),
        (500, 60, 600, 100),
        (50, -90, 80, -10),
        (np.inf, 0, np.inf, 10),
    ],
)
def test_a_box_without_a_visible_pixel_is_not_drawn(box: tuple[float, ...]) -> None:
    assert not changed(drawn(boxes(box))).any()


def test_no_boxes() -> None:
    assert not changed(drawn(Detections.empty())).any()


@pytest.mark.parametrize(
    ("size", "line_width"), [((96, 96), 1), ((300, 400), 2), ((1080, 1920), 5), ((2160, 3840), 11)]
)
def test_lines_follow_the_size_of_the_picture(size: tuple[int, int], line_width: int) -> None:
    height, width = size
    picture = drawn(boxes((0, 0, width, height)), height, width, labels=False)
    assert changed(picture)[height // 2, : width // 2].sum() == line_width


@pytest.mark.parametrize(
    ("box", "place"),
    [
        pytest.param((50, 60, 200, 100), "above", id="room above"),
        pytest.param((50, 0, 200, 100), "inside", id="no room above"),
        pytest.param((50, 5, 200, 100), "inside", id="too little room above"),
        pytest.param((350, 60, 400, 100), "above, shifted", id="runs off to the right"),
        pytest.param((380, 3, 400, 100), "inside, shifted", id="runs off to the right and the top"),
        pytest.param((395, 295, 400, 300), "above, shifted", id="in the last corner"),
    ],
)
def test_label_place(box: tuple[float, ...], place: str) -> None:
    with_label = changed(drawn(boxes(box), text_size=20))
    outline = changed(drawn(boxes(box), labels=False))
    left, top, right, bottom = extent(with_label & ~outline)
    if place.startswith("above"):
        assert bottom == box[1]
        assert bottom - top == 26
    else:
        assert top >= box[1]
        assert bottom == box[1] + 26
    if "shifted" in place:
        assert right in (400, 398)  # the outline's own two columns do not count as label
        assert left < box[0]
    else:
        assert left - box[0] in (0, 2)
    assert right - left > 80


def test_other_pixels_are_unchanged() -> None:
    picture = drawn(boxes((100, 100, 200, 200)), text_size=20)
    expected = np.zeros((300, 400), bool)
    expected[100:200, 100:200] = True
    expected[102:198, 102:198] = False
    label = changed(picture)[74:100]
    expected[74:100, 100 : extent(label)[2]] = True
    assert (changed(picture) == expected).all()


@pytest.mark.parametrize(
    ("height", "width"), [(1, 1), (5, 400), (400, 5), (13, 40), (20, 30), (96, 96), (90, 160), (2160, 3840)]
)
@pytest.mark.parametrize("class_id", [*range(len(NAMES)), 99])
def test_any_name_on_any_picture(height: int, width: int, class_id: int) -> None:
    # The picture is a window in a larger one: what is drawn over its edge would be seen around it.
    around = blank(height + 40, width + 40)
    picture = around[20:-20, 20:-20]
    low, high = 0.3 * np.array([width, height]), 0.9 * np.array([width, height])
    draw(picture, boxes((*low, *high), (0, 0, width, height), class_id=class_id))
    assert changed(picture).any()
    around[20:-20, 20:-20] = GREY
    assert not changed(around).any()


def test_a_name_too_long_is_shortened_and_its_number_is_kept() -> None:
    found = boxes((0, 100, 400, 200))
    long = drawn(replace(found, names=(NAMES[4],)), text_size=20)
    number = drawn(replace(found, names=("",)), text_size=20)
    left, _, right, _ = extent(changed(long)[74:100])
    assert left == 0
    assert 370 < right <= 400
    width = extent(changed(number)[74:100])[2]
    assert (long[74:100, right - width : right] == number[74:100, :width]).all()


def test_confidence_can_be_left_out() -> None:
    with_number = extent(changed(drawn(boxes((50, 60, 70, 100)))))[2]
    without = extent(changed(drawn(boxes((50, 60, 70, 100)), confidence=False)))[2]
    assert without < with_number


def test_the_best_box_lies_on_top_whatever_the_order() -> None:
    picture = blank()
    both = Detections(
        np.array([[50, 60, 90, 100], [50, 60, 90, 100]], np.float32),
        np.array([0.3, 0.8], np.float32),
        np.array([0, 1]),
        NAMES,
    )
    draw(picture, both, labels=False)
    assert picture[60, 50].tolist() == list(class_colour(1))
    draw(picture, both[::-1], labels=False)
    assert picture[60, 50].tolist() == list(class_colour(1))


@pytest.mark.parametrize(
    ("first", "second"),
    [
        pytest.param((100, 100, 250, 200), (100, 100, 250, 200), id="the same box"),
        pytest.param((100, 100, 250, 200), (110, 105, 260, 205), id="nearly the same box"),
        pytest.param((100, 100, 250, 200), (180, 100, 330, 200), id="side by side"),
        pytest.param((0, 0, 400, 300), (0, 2, 390, 300), id="the whole picture"),
    ],
)
def test_labels_of_neighbours_do_not_hide_each_other(first: tuple[float, ...], second: tuple[float, ...]) -> None:
    def label_pixels(*rows: tuple[float, ...]) -> int:
        # Outlines of no extent to speak of, so that what is left is labels.
        return int((drawn(boxes(*rows), text_size=14, line_width=1) == text_colour(class_colour(0))).all(axis=2).sum())

    assert label_pixels(first, second) > 1.8 * label_pixels(first)


def test_drawing_twice_gives_the_same() -> None:
    found = boxes((50, 60, 200, 100), (20, 20, 300, 290), (55, 62, 210, 100))
    assert (drawn(found) == drawn(found)).all()


@pytest.mark.parametrize(
    "view",
    [
        pytest.param(lambda p: p[:, ::-1], id="mirrored"),
        pytest.param(lambda p: p[..., ::-1], id="BGR seen as RGB"),
        pytest.param(lambda p: p[::2, ::2], id="every second pixel"),
        pytest.param(lambda p: p.transpose(1, 0, 2), id="transposed"),
    ],
)
def test_views_are_drawn_on_in_place(view) -> None:  # type: ignore[no-untyped-def]
    found = boxes((10, 20, 100, 120))
    picture = view(blank(600, 600))
    draw(picture, found)
    copy = view(blank(600, 600)).copy()
    draw(copy, found)
    assert changed(copy).any()
    assert (picture == copy).all()


def read_only() -> np.ndarray:
    picture = blank()
    picture.setflags(write=False)
    return picture


@pytest.mark.parametrize(
    ("picture", "words"),
    [
        (read_only(), "read-only"),
        (np.zeros((9, 9), np.uint8), r"not uint8 of shape \(9, 9\)"),
        (np.zeros((9, 9, 4), np.uint8), r"shape \(9, 9, 4\)"),
        (np.zeros((9, 9, 3), np.float32), "not float32"),
    ],
)
def test_arrays_that_cannot_be_drawn_on(picture: np.ndarray, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        draw(picture, Detections.empty())
    with pytest.raises(ValueError, match=words):
        draw_caption(picture, "12 frames/s")


@pytest.mark.parametrize(
    ("class_id", "colour"),
    [(0, (6, 132, 249)), (1, (222, 251, 96)), (2, (161, 5, 179)), (79, (96, 251, 162)), (8999, (73, 179, 5))],
)
def test_class_colours_are_stable(class_id: int, colour: tuple[int, int, int]) -> None:
    assert class_colour(class_id) == colour


def test_neighbouring_classes_look_different() -> None:
    colours = np.array([class_colour(class_id) for class_id in range(9000)])
    for step in (1, 2, 3, 4, 5):
        assert np.abs(colours[step:] - colours[:-step]).max(axis=1).min() > 60
    assert len(np.unique(colours[:200], axis=0)) == 200


def test_text_has_contrast() -> None:
    for class_id in range(9000):
        background = class_colour(class_id)
        light, dark = sorted((luminance(background), luminance(text_colour(background))), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 4.5, (class_id, background)


@pytest.mark.parametrize(
    ("colour", "expected"), [((0, 0, 0), 0), ((255, 255, 255), 1), ((255, 0, 0), 0.2126), ((119, 119, 119), 0.1845)]
)
def test_luminance(colour: tuple[int, int, int], expected: float) -> None:
    assert luminance(colour) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize(("height", "width"), [(1, 1), (30, 20), (300, 400)])
@pytest.mark.parametrize(
    "text", ["23.4 frames/s", "", "\n", "\ud800", "много кадров в секунду, очень много кадров " * 9]
)
def test_caption_stays_in_its_corner(height: int, width: int, text: str) -> None:
    picture = blank(height, width)
    draw_caption(picture, text)
    if text.startswith("23") and height == 300:
        left, top, right, bottom = extent(changed(picture))
        assert (left, top, bottom) == (0, 0, 14)
        assert 60 < right < 110
        assert picture[0, 0].tolist() == [0, 0, 0]
        assert picture.max() == 255
    elif not text.strip() or text == "\ud800":
        assert not changed(picture).any()
