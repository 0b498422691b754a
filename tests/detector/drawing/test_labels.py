import numpy as np
import pytest

from detector.drawing import fonts
from detector.drawing.labels import line_height, printable, shortened, text_patch

WHITE, BLUE = (255, 255, 255), (0, 0, 200)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("traffic light", "traffic light"),
        ("  traffic \t light\r\n", "traffic light"),
        ("two\nlines\u2028three", "two lines three"),
        ("bell\x07 and \x1b[31mred", "bell and [31mred"),
        ("left\u202eright", "leftright"),
        ("zero\u200bwidth\ufeff", "zerowidth"),
        ("lone \ud800 surrogate", "lone surrogate"),
        ("not yet assigned: \u0378", "not yet assigned: \u0378"),
        ("cafe\u0301", "café"),
        ("heart \u2764\ufe0f", "heart \u2764"),
        ("собака 狗 😀", "собака 狗 😀"),
        ("", ""),
        ("x" * 5000, "x" * 200),
    ],
)
def test_printable(text: str, expected: str) -> None:
    assert printable(text) == expected


@pytest.mark.parametrize("text", ["dog", "собака", "café", "狗", "\U0001f9a5", "שלום", "سلام", "ｱ\u0301x", "中 dog 狗"])
@pytest.mark.parametrize("size", [8, 11, 20, 60])
def test_a_patch_shows_its_text_between_its_edges(text: str, size: int) -> None:
    patch = text_patch(f" {text} ", size, WHITE, BLUE)
    assert patch.dtype == np.uint8
    assert patch.shape[0] == line_height(size)
    written = (patch != BLUE).any(axis=2)
    assert written.sum() > size * len(text) / 4
    margin = round(0.3 * size) - 1
    assert not written[:, :margin].any()
    assert not written[:, -margin:].any()
    assert patch[..., 2].min() >= 200  # nothing but blends of the two colours


@pytest.mark.parametrize("size", [11, 20, 60])
@pytest.mark.parametrize("text", ["Ágjpqy", "Äqpj", "Gypsy", "Йцщ"])
def test_accents_and_descenders_are_not_cut(text: str, size: int) -> None:
    ((path, _),) = fonts.runs(text)
    _, top, _, bottom = fonts.font(path, size).getbbox(text, anchor="ls")
    written = (text_patch(text, size, WHITE, BLUE) != BLUE).any(axis=(1, 2))
    first, *_, last = np.flatnonzero(written)
    assert (first, last) == (size + top, size + bottom - 1)


def test_a_text_is_rendered_once_and_is_read_only() -> None:
    patch = text_patch("dog", 20, WHITE, BLUE)
    assert text_patch("dog", 20, WHITE, BLUE) is patch
    with pytest.raises(ValueError, match="read-only"):
        patch[0, 0] = 0


def test_an_empty_text_has_a_patch() -> None:
    assert text_patch("", 20, WHITE, BLUE).shape == (26, 1, 3)


@pytest.mark.parametrize("width", [0, 1, 10, 25, 60, 100, 101, 150, 400, 10_000])
@pytest.mark.parametrize("text", ["traffic light or something like it", "собака бежит", "狗狗狗狗狗狗", "i"])
def test_shortened(text: str, width: int) -> None:
    short = shortened(text, 20, width)
    fits = text_patch(text, 20, WHITE, BLUE).shape[1] <= width
    if fits:
        assert short == text
    elif short:
        assert short[-1] == "…"
        assert text.startswith(short[:-1].rstrip())
        assert text_patch(short, 20, WHITE, BLUE).shape[1] <= width
        longer = text[: len(short)].rstrip() + "…"  # one more character would not have fitted
        assert longer == short or text_patch(longer, 20, WHITE, BLUE).shape[1] > width
    else:
        assert text_patch(text[:1] + "…", 20, WHITE, BLUE).shape[1] > width
