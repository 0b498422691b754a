import numpy as np
from PIL import Image

from detector.datasets.examples import Dataset, Example
from detector.evaluation.label_sheet import write_label_sheet


def test_a_sheet_shows_pictures_with_their_boxes(tmp_path):
    examples = []
    for number in range(7):
        Image.new("RGB", (100, 50 + 30 * number), (0, 0, 0)).save(tmp_path / f"{number}.png")
        examples.append(Example.from_rows(tmp_path / f"{number}.png", [(0, 0.5, 0.5, 0.5, 0.5)]))

    write_label_sheet(tmp_path / "sheet.png", Dataset(("cat",), tuple(examples), ()))

    with Image.open(tmp_path / "sheet.png") as image:
        assert image.size == (6 * 320, 2 * 240)
        cell = np.asarray(image.convert("RGB"))[:240, :320]
    assert (cell == 128).all(axis=2).any()
    assert (cell == 0).all(axis=2).any()
    assert ((cell != 0) & (cell != 128)).any(axis=2).sum() > 100
