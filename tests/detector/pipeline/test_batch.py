from pathlib import Path

import pytest

from detector.errors import OutputError
from detector.pipeline.batch import plan_batch


@pytest.fixture
def folder(tmp_path):
    for name in ("clips/2.mp4", "clips/10.MKV", "clips/notes.txt", "clips/.hidden.mp4", "more/2.avi", "frames/1.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    return tmp_path


def planned(folder, *sources):
    return [
        (Path(item.source).name, item.video.name, item.log.name)
        for item in plan_batch([str(folder / source) for source in sources], folder / "runs")
    ]


def test_folders_stand_for_their_videos(folder):
    assert planned(folder, "clips", "more", "frames") == [
        ("2.mp4", "2.mp4", "2.jsonl"),
        ("10.MKV", "10.mp4", "10.jsonl"),
        ("2.avi", "2-2.mp4", "2-2.jsonl"),
        ("frames", "frames.mp4", "frames.jsonl"),
    ]


def test_a_video_named_twice_is_one(folder):
    assert len(planned(folder, "clips", "clips/2.mp4", "clips/../clips/2.mp4")) == 2


def test_an_address():
    items = plan_batch(["rtsp://user:word@host/a/cam%201?x=1", "http://host/b.mp4"], Path("runs"))
    assert [item.video for item in items] == [Path("runs/cam 1.mp4"), Path("runs/b.mp4")]


def test_results_do_not_go_among_the_videos(folder):
    with pytest.raises(OutputError, match="one of the videos to read"):
        plan_batch([str(folder / "clips")], folder / "clips")
    with pytest.raises(OutputError, match="is a file"):
        plan_batch([str(folder / "clips")], folder / "more/2.avi")
