import contextlib
from fractions import Fraction

import numpy as np
import pytest
from PIL import Image

from detector.cli_log import redraw_verb
from detector.errors import InputError, OutputError, SettingsError
from detector.redrawing import Redrawn, redraw_video
from detector.video.frames import VideoInfo
from detector.video.log import FrameLog, RunRecord
from detector.video.redraw import Chosen, eventful_frames, hide

ALL = Chosen()
NAMES = ("car", "person")


@pytest.fixture
def logged(clips, tmp_path, boxes_of):
    """A video of 30 frames and its log: a car always, a person (confidence 0.9 too) from frame 12 to 17."""
    source = clips.make(tmp_path / "in.mp4", range(30), sound="aac")
    info = VideoInfo(str(source), clips.width, clips.height, Fraction(1, 25))
    log = tmp_path / "in.jsonl"
    with FrameLog(log, RunRecord.of(info, model="m", model_sha256="0", settings={}, classes=NAMES)) as sink:
        for frame in clips.frames(30):
            found = boxes_of((10, 60, 60, 100), (120, 50, 180, 150), names=NAMES)
            found.class_id[1] = 1
            sink.write(frame, found if 12 <= frame.index < 18 else found[:1])
    return source, log


def redrawn(logged, chosen=ALL, **outputs):
    return redraw_video(*logged, chosen, Redrawn(**outputs), bar=lambda total: contextlib.nullcontext(None))


def test_boxes_are_those_chosen(clips, logged, tmp_path):
    redrawn(logged, Chosen(classes=("person",)), video=tmp_path / "out.mp4")
    result = clips.decoded(tmp_path / "out.mp4")
    assert [time for time, _ in result] == clips.times(logged[0])
    assert clips.sound_packets(tmp_path / "out.mp4") == clips.sound_packets(logged[0])
    source = clips.decoded(logged[0])
    for number, ((_, picture), (_, plain)) in enumerate(zip(result, source, strict=True)):
        change = np.abs(picture.astype(int) - plain).mean(axis=2)
        assert (change[50:150, 120:122].mean() > 30) == (12 <= number < 18), number
        assert change[65:95, 8:62].mean() < 8  # the car is not drawn


def test_confidence(clips, logged, tmp_path):
    redrawn(logged, Chosen(confidence=0.95), video=tmp_path / "out.mp4")
    pairs = zip(clips.decoded(tmp_path / "out.mp4"), clips.decoded(logged[0]), strict=True)
    assert all(np.abs(picture.astype(int) - plain).mean() < 4 for (_, picture), (_, plain) in pairs)


def test_what_is_hidden_is_gone(boxes_of):
    picture = np.random.default_rng(1).integers(0, 255, (100, 100, 3)).astype(np.uint8)
    before = picture.copy()
    hide(picture, boxes_of((20, 30, 80, 90)))
    inside = picture[30:90, 20:80]
    assert len(np.unique(inside.reshape(-1, 3), axis=0)) <= 49
    picture[30:90, 20:80] = before[30:90, 20:80]
    np.testing.assert_array_equal(picture, before)


def test_crops_are_the_objects_without_boxes(clips, logged, tmp_path):
    redrawn(logged, Chosen(classes=("person",)), crops=tmp_path / "crops")
    files = sorted(path.relative_to(tmp_path / "crops").as_posix() for path in (tmp_path / "crops").rglob("*.jpg"))
    assert files == [f"person/frame_{number:06d}_0.jpg" for number in range(12, 18)]
    with Image.open(tmp_path / "crops" / files[0]) as crop:
        assert crop.size == (60, 100)
        assert np.abs(np.asarray(crop).astype(int) - clips.picture(12)[50:150, 120:180]).mean() < 8
    with pytest.raises(OutputError, match="is not empty"):
        redrawn(logged, crops=tmp_path / "crops")


def test_sheet(logged, tmp_path):
    pytest.importorskip("matplotlib")
    redrawn(logged, sheet=tmp_path / "sheet.png")
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.size == (1200, 1200)
        assert len(sheet.convert("RGB").getcolors(1 << 24)) > 100
    assert {0, 12, 18} <= set(eventful_frames(logged[1], Chosen(), count=9))  # something comes, or goes


def test_what_it_refuses(clips, logged, tmp_path):
    with pytest.raises(SettingsError, match="nothing to make"):
        redrawn(logged)
    with pytest.raises(SettingsError, match="'cat' is not one of"):
        redrawn(logged, Chosen(blur=("cat",)), video=tmp_path / "out.mp4")
    other = clips.make(tmp_path / "other.mp4", range(3), size=(320, 240))
    with pytest.raises(InputError, match="is of a video of 224x160"):
        redrawn((other, logged[1]), video=tmp_path / "out.mp4")
    assert not (tmp_path / "out.mp4").exists()


def test_verb(logged, tmp_path, capsys):
    redraw_verb(*logged, tmp_path / "out.mp4", blur="person", quiet=True)
    assert capsys.readouterr() == (f"Wrote {tmp_path / 'out.mp4'}\n", "")
