"""What version 0.1.0 wrote can still be read: frame logs, and the description in an .h5."""

import shutil
from pathlib import Path

import pytest

DATA = Path(__file__).parent / "data" / "version_0_1_0"


@pytest.fixture
def model(colour_model, tmp_path):
    """The network of conftest.py with the description that version 0.1.0 wrote for it."""
    import h5py

    path = tmp_path / "colours.h5"
    shutil.copy(colour_model, path)
    with h5py.File(path, "r+") as file:
        file.attrs["yolo3"] = (DATA / "description.json").read_text()
        del file.attrs["yolo3_content_sha256"]  # which came later
    return path


def test_model(model, flag):
    from convert.model_file import read_description
    from detector import Detector

    description = read_description(model)
    assert description.names == ("red", "green", "blue")
    assert description.heads[0].anchors == ((32, 32),)
    assert [name for *_, name in Detector.open(model).detect(flag)] == ["red", "blue"]


def test_log_with_boxes_that_were_carried():
    from detector.logs.frame_log import EndRecord, FrameRecord, RunRecord, read_log

    run, *frames, end = read_log(DATA / "still.jsonl")
    assert isinstance(run, RunRecord)
    assert run.settings["skip_still"] is True
    assert all(isinstance(frame, FrameRecord) for frame in frames)
    assert [frame.propagated for frame in frames] == [False, True, True, True, True]
    assert {tuple(box.name for box in frame.detections) for frame in frames} == {("red", "blue")}
    assert isinstance(end, EndRecord)


def test_log_of_a_camera_that_was_lost():
    from detector.logs.summary import summarize_log

    assert summarize_log(DATA / "camera.jsonl").gaps == 1


def test_export(tmp_path):
    """An export reads every line."""
    from detector.logs.exports import export_log

    assert export_log(DATA / "still.jsonl", "coco", tmp_path / "coco.json") == 10
