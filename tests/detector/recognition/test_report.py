import numpy as np
import pytest
from PIL import Image

from detector.errors import SettingsError
from detector.recognition.classification import Classification, with_average
from detector.recognition.report import MOST_PLOTTED, check_plot, horizontal_bar, plot, table

DOG = Classification(np.array([0.75, 0.25, 0], np.float32), ("dog", "cat", "$\\frac{1}$"))
CAT = Classification(np.array([0.25, 0.75, 0], np.float32), ("dog", "cat", "$\\frac{1}$"))


@pytest.mark.parametrize(
    ("part", "width", "bar"), [(0, 8, ""), (1, 3, "███"), (0.5, 3, "█▌"), (1 / 64, 8, "▏"), (2, 2, "██"), (-1, 2, "")]
)
def test_bar(part, width, bar):
    assert horizontal_bar(part, width) == bar


def test_bar_where_the_terminal_has_no_blocks():
    assert horizontal_bar(0.5, 8, "ascii") == "####"


def test_table_of_one_model():
    assert table({"m": DOG}, 2, bar_width=4) == ["dog  0.7500  ███", "cat  0.2500  █"]


def test_table_of_several_has_a_header_and_their_average():
    assert table(with_average({"one": DOG, "other": CAT}), 1, bar_width=4) == [
        "     average     one   other",
        "dog   0.5000  0.7500  0.2500  ██",
    ]


def test_plot(tmp_path):
    path = tmp_path / "new" / "bars.png"

    plot(path, [("a $picture", {"m": DOG}), ("b", with_average({"one": DOG, "other": CAT}))], 3)

    with Image.open(path) as picture:
        assert picture.format == "PNG"
        assert picture.height > 300


@pytest.mark.parametrize(("name", "pictures"), [("bars.gif", 1), ("bars", 1), ("bars.png", MOST_PLOTTED + 1)])
def test_plots_that_cannot_be_made(tmp_path, name, pictures):
    with pytest.raises(SettingsError):
        check_plot(tmp_path / name, pictures)
