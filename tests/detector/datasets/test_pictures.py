import pytest
from PIL import Image

from detector.datasets.dataset import read_dataset
from detector.datasets.pictures import displayed_size
from detector.errors import DatasetError


def test_a_truncated_picture_is_found(folder, shared):
    (folder / "images" / "a.png").unlink()
    (folder / "images" / "t.jpg").write_bytes((shared / "assets/images/dog.jpg").read_bytes()[:60_000])
    (folder / "train.txt").write_text("images/t.jpg\n")

    with pytest.raises(DatasetError, match=r"t\.jpg: the picture does not open"):
        read_dataset(folder / "d.data")


def test_sizes_are_those_of_pictures_as_displayed(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (40, 30)).save(tmp_path / "turned.jpg", exif=exif)
    Image.new("RGB", (40, 30)).save(tmp_path / "upright.jpg")

    assert displayed_size(tmp_path / "turned.jpg") == (30, 40)
    assert displayed_size(tmp_path / "upright.jpg") == (40, 30)


def test_a_format_that_starts_other_programs_is_not_opened(folder):
    (folder / "images" / "a.png").unlink()
    (folder / "images" / "e.jpg").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n")
    (folder / "train.txt").write_text("images/e.jpg\n")

    with pytest.raises(DatasetError, match=r"e\.jpg: the picture does not open"):
        read_dataset(folder / "d.data")
