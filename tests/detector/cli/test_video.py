"""`yolo3 video` of several videos."""

import shutil

import pytest


@pytest.fixture
def videos(colour_clip, tmp_path):
    folder = tmp_path / "vid eos"
    folder.mkdir()
    shutil.move(colour_clip, folder / "ä 1.mp4")
    shutil.copy(folder / "ä 1.mp4", folder / "2.mp4")
    return folder


def test_several_videos_and_then_only_what_is_missing(yolo3, videos, colour_model, tmp_path):
    command = ["video", videos, "--out", tmp_path / "runs", "--model", colour_model, "--threads", 1]

    code, out, _ = yolo3(*command)

    assert code == 0 and out.count("Found 9 boxes in 9 frames") == 2
    names = sorted(path.name for path in (tmp_path / "runs").iterdir())
    assert names == ["2.jsonl", "2.mp4", "ä 1.jsonl", "ä 1.mp4"]
    before = (tmp_path / "runs/2.mp4").stat().st_mtime_ns
    (tmp_path / "runs/ä 1.mp4").unlink()
    code, out, err = yolo3(*command)
    assert code == 0 and out.count("Found 9 boxes in 9 frames") == 1
    assert "2.mp4: " in err and "complete" in err
    assert (tmp_path / "runs/2.mp4").stat().st_mtime_ns == before


def test_one_that_fails_does_not_stop_the_others(yolo3, videos, colour_model, tmp_path):
    (videos / "1.mp4").write_bytes(b"no video")
    code, out, err = yolo3("video", videos, "--out", tmp_path / "runs", "--model", colour_model)
    assert code == 1 and out.count("Found 9 boxes") == 2
    assert err.count("error:") == 1 and "1.mp4" in err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["a.mp4", "b.mp4", "c.mp4"], "--out DIR"),
        (["a.mp4", "--out", "runs", "--log", "x.jsonl"], "leave out --log"),
        (["a.mp4", "."], "--out"),
        (["0"], "yolo3 webcam 0"),
        (["a.mp4", "--out", "runs", "--model", "nothing.h5"], "nothing.h5: no such file"),
    ],
)
def test_a_wrong_command(arguments, words, yolo3, monkeypatch, colour_model, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("YOLO3_MODEL", str(colour_model))
    code, _, err = yolo3("video", *arguments)
    assert code == 2 and words in err
    assert not (tmp_path / "runs").exists()
