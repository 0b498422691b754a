import numpy as np
import pytest
from PIL import Image

from detector.datasets.examples import Example
from detector.evaluation.ground_truth import example_truth, picture_reader


def test_boxes_are_in_pixels_of_the_picture_as_displayed(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (40, 30)).save(tmp_path / "turned.jpg", exif=exif)
    example = Example.from_rows(tmp_path / "turned.jpg", [(1, 0.5, 0.5, 0.2, 0.5)])

    truth = example_truth(example)

    assert truth.xyxy[0] == pytest.approx([12, 10, 18, 30])
    assert truth.class_id.tolist() == [1]
    assert np.asarray(picture_reader(example)()).shape == (40, 30, 3)
