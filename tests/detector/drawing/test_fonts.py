from pathlib import Path

import cv2
import pytest
from PIL import Image

from detector.drawing.fonts import PILLOWS_OWN, SystemFonts, font, runs

OPENCVS = Path(cv2.__file__).parent / "qt" / "fonts"
needs_dejavu = pytest.mark.skipif(not OPENCVS.is_dir(), reason="this build of OpenCV brings no fonts along")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "deep").mkdir()
    for name in ("DejaVuSans.ttf", "DejaVuSans-Bold.ttf"):
        (tmp_path / "deep" / name).write_bytes((OPENCVS / name).read_bytes())
    (tmp_path / "NotoSansCJK.ttc").write_bytes(b"not a font, though it is asked first")
    (tmp_path / "empty.ttf").touch()
    (tmp_path / "README").touch()
    return tmp_path


@needs_dejavu
def test_the_regular_font_is_found_among_broken_ones(folder: Path) -> None:
    fonts = SystemFonts([str(folder / "none"), str(folder)], seconds=60)
    assert fonts.font_for("ж") == str(folder / "deep" / "DejaVuSans.ttf")
    assert fonts.font_for("λ") == str(folder / "deep" / "DejaVuSans.ttf")


@needs_dejavu
@pytest.mark.parametrize("char", ["\U0001f9a5", "狗", "\uffff", "\u0378"])
def test_a_character_that_no_font_holds(folder: Path, char: str) -> None:
    assert SystemFonts([str(folder)], seconds=60).font_for(char) is None


@needs_dejavu
def test_no_time_is_left_to_search(folder: Path) -> None:
    assert SystemFonts([str(folder)], seconds=-1).font_for("ж") is None


@needs_dejavu
def test_a_font_found_in_time_serves_on(folder: Path) -> None:
    fonts = SystemFonts([str(folder)], seconds=60)
    fonts.font_for("ж")
    fonts.seconds_left = -1.0
    assert fonts.font_for("я") is not None
    assert fonts.font_for("狗") is None


@pytest.mark.parametrize("text", ["traffic light", "0.97", "class 12", "a b…"])
def test_plain_english_is_set_in_pillows_own_font(text: str) -> None:
    assert runs(text) == ((PILLOWS_OWN, text),)


@needs_dejavu
@pytest.mark.parametrize("text", ["café", "собака и dog", "Ελληνικά", "שלום"])
def test_one_font_for_the_whole_text(text: str) -> None:
    ((path, piece),) = runs(text)
    assert path == str(OPENCVS / "DejaVuSans.ttf")
    assert piece == text


def test_a_question_mark_for_what_no_font_holds() -> None:
    assert "".join(piece for _, piece in runs("\u0378 dog \u0378\u0378")) == "? dog ??"
    assert runs("") == ((PILLOWS_OWN, ""),)


@needs_dejavu
def test_an_accent_stays_on_its_letter() -> None:
    for path, piece in runs("\u0378 q\u0302 dog"):
        if "\u0302" in piece:
            assert "q\u0302" in piece
            assert path != PILLOWS_OWN


def test_no_font(tmp_path: Path) -> None:
    Image.new("L", (1, 1)).save(tmp_path / "font.png")
    with pytest.raises(OSError, match="unknown file format"):
        font(str(tmp_path / "font.png"), 12)
