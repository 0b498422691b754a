import numpy as np
import pytest
from PIL import Image

from detector.evaluation.average_precision import score
from detector.evaluation.plots import plain_text, plot_confusion, plot_precision
from tests.detector.evaluation.boxes import BOX, NAMES, found, truth


def size(path):
    with Image.open(path) as image:
        return image.size


def test_a_dollar_does_not_begin_a_formula(tmp_path):
    names = ("$\\frac$", "dog")
    result = score([truth((0, BOX))], [found((0, BOX, 0.9))], names)

    plot_precision(tmp_path / "p.png", {"$m$": result})
    plot_confusion(tmp_path / "c.png", np.eye(3, dtype=np.int64), names)

    assert plain_text("a$b") == r"a\$b"
    assert size(tmp_path / "p.png")[0] > 300
    assert size(tmp_path / "c.png")[0] > 300


@pytest.mark.parametrize(("classes", "wider"), [(4, False), (20, True)])
def test_a_long_legend_is_beside_the_curves(tmp_path, classes, wider):
    names = tuple(f"class {number}" for number in range(classes))
    rows = [(number, BOX) for number in range(classes)]
    result = score([truth(*rows)], [found(*((*row, 0.9) for row in rows), names=names)], names)

    plot_precision(tmp_path / "p.png", {"m": result})

    width, height = size(tmp_path / "p.png")
    assert (width > 1.4 * height) == wider


def test_no_classes_are_not_an_error(tmp_path):
    plot_precision(tmp_path / "p.png", {"m": score([truth()], [found()], NAMES), "n": score([truth()], [], NAMES)})

    assert (tmp_path / "p.png").is_file()
