import os

import numpy as np
import pytest
from PIL import Image

from detector.errors import PictureError
from detector.images.planes import Planes
from detector.precision import calibration
from detector.precision.calibration import PICTURES, Calibration


@pytest.fixture
def folder(tmp_path):
    """A hundred pictures, each of one grey: its number."""
    for number in range(100):
        Image.new("RGB", (4, 4), (number,) * 3).save(tmp_path / f"{number}.png")
    return tmp_path


def greys(found):
    return [int(picture[0, 0, 0]) for picture, _ in found.read()]


def test_pictures_are_spread_evenly_over_a_folder(folder):
    found = Calibration.of(folder)

    assert found.expected() == 100
    assert greys(found) == list(range(0, 96, 2))
    assert len(greys(found)) == PICTURES


def test_unreadable_pictures_are_left_out(folder):
    for number in range(0, 30, 2):
        (folder / f"{number}.png").write_bytes(b"no picture")

    assert greys(Calibration.of(folder)) == list(range(30, 96, 2))


def test_a_list_of_pictures(folder):
    paths = [folder / "7.png", folder / "missing.png", folder / "9.png"]

    assert greys(Calibration.of(paths)) == [7, 9]


def test_frames_of_a_video_are_spread_evenly(colour_clip, monkeypatch):
    through = [picture for picture, _ in Calibration.of(colour_clip).read()]
    monkeypatch.setattr(calibration, "_READ_THROUGH", 2)
    sought = [picture for picture, _ in Calibration.of(colour_clip).read()]

    assert len(through) >= 8
    assert len(sought) > PICTURES * 0.8  # no frame begins after the last one
    assert all(isinstance(picture, Planes) for picture in (*through, *sought))
    np.testing.assert_array_equal(through[0].rgb, sought[0].rgb)


@pytest.mark.parametrize("source", [None, [], "-", "rtsp://127.0.0.1/cam", "http://127.0.0.1/a.jpg", "missing.mp4"])
def test_what_cannot_be_read_twice_gives_none(source):
    assert Calibration.of(source) is None


def test_a_pipe_gives_none(tmp_path):
    os.mkfifo(tmp_path / "pipe")

    assert Calibration.of(tmp_path / "pipe") is None


def test_a_folder_without_pictures_is_an_error(tmp_path):
    with pytest.raises(PictureError, match="no pictures"):
        Calibration.of(tmp_path)


def test_the_digest_is_of_the_files_as_they_are(folder):
    before = Calibration.of(folder).digest

    assert Calibration.of(folder).digest == before
    os.utime(folder / "5.png", (1, 1))
    assert Calibration.of(folder).digest != before
