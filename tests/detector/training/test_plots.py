from PIL import Image

from detector.training.history import Row
from detector.training.plots import plot_history


def test_the_curves_are_drawn(tmp_path):
    rows = [Row(1, 1.0, 0.001, 6.0, 1.0, 2.0, 3.0), Row(2, 2.0, 0.002, 3.0, 0.5, 1.0, 1.5, ap=0.25, ap50=0.5)]

    plot_history(tmp_path / "new" / "log.png", rows)

    with Image.open(tmp_path / "new" / "log.png") as image:
        assert image.width > 2 * image.height
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["log.png"]


def test_no_rows_are_not_an_error(tmp_path):
    plot_history(tmp_path / "log.png", [])

    assert (tmp_path / "log.png").is_file()
