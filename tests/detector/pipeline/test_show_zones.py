"""Zones drawn onto a frame, to see where they lie."""

import numpy as np
import pytest
from PIL import Image

from detector.errors import OutputError, SettingsError, VideoError, ZonesError
from detector.pipeline.show_zones import frame_at, show_zones

ZONES = '[[line]]\nname = "middle"\nfrom = [0.5, 1]\nto = [0.5, 0]\n'


@pytest.fixture
def zones(tmp_path):
    path = tmp_path / "zones ∞.toml"
    path.write_text(ZONES)
    return path


def test_on_the_frame_at_a_time(clips, zones, tmp_path):
    source = clips.make(tmp_path / "in.mp4", range(20))

    show_zones(str(source), zones, tmp_path / "new folder" / "out.png", at="0.4")

    picture = np.asarray(Image.open(tmp_path / "new folder" / "out.png"))
    assert clips.number(picture) == 10
    assert (picture[60:140, 112, 0] > 200).all()  # the line


def test_on_a_picture(zones, tmp_path):
    Image.fromarray(np.full((100, 200, 3), 90, np.uint8)).save(tmp_path / "in.jpg")

    show_zones(str(tmp_path / "in.jpg"), zones, tmp_path / "out.png")

    assert np.asarray(Image.open(tmp_path / "out.png")).shape == (100, 200, 3)


def test_a_time_after_the_end(clips, tmp_path):
    source = clips.make(tmp_path / "in.mp4", range(5))
    with pytest.raises(SettingsError, match="is after its last frame"):
        frame_at(str(source), "10")


def test_nothing_is_written_where_something_is_wrong(clips, zones, tmp_path):
    source = clips.make(tmp_path / "in.mp4", range(5))
    (tmp_path / "pixels.toml").write_text('units = "pixels"\nsize = [640, 480]\n' + ZONES)
    (tmp_path / "out.png").write_text("mine")
    with pytest.raises(ZonesError, match="for pictures of 640x480, not 224x160"):
        show_zones(str(source), tmp_path / "pixels.toml", tmp_path / "new.png")
    with pytest.raises(OutputError, match="exists already"):
        show_zones(str(source), zones, tmp_path / "out.png")
    with pytest.raises(OutputError, match="is the input"):
        show_zones(str(source), zones, zones, overwrite=True)
    with pytest.raises(VideoError):
        show_zones(str(tmp_path / "none.mp4"), zones, tmp_path / "new.png")
    assert (tmp_path / "out.png").read_text() == "mine"
    assert not (tmp_path / "new.png").exists()
