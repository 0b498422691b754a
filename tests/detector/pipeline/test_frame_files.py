import contextlib
from fractions import Fraction

import numpy as np
import pytest
from PIL import Image

from detector.datasets.dataset import ReadOptions, read_with
from detector.errors import LogError, OutputError
from detector.logs.exports import ExportChoice, export_log
from detector.logs.frame_log import FrameLog, RunRecord
from detector.pipeline.frame_files import write_frames
from detector.video.frames import VideoInfo


@pytest.fixture
def logged(clips, tmp_path, boxes_of):
    """A video of 12 frames and its log, with a car in each."""
    source = clips.make(tmp_path / "in.mp4", range(12))
    with_log(clips, source, tmp_path / "in.jsonl", boxes_of)
    return source, tmp_path / "in.jsonl"


def with_log(clips, source, log, boxes_of):
    info = VideoInfo(str(source), clips.width, clips.height, Fraction(1, 25))
    with FrameLog(log, RunRecord.of(info, model="m", model_sha256="0", settings={}, classes=("car",))) as sink:
        for frame in clips.frames(12):
            sink.write(frame, boxes_of((10, 60, 60, 100), names=("car",)))


def written(logged, folder, **options):
    return write_frames(*logged, folder, bar=lambda total: contextlib.nullcontext(None), **options)


@pytest.mark.parametrize("to", ["coco", "cvat", "labelstudio", "yolo"])
def test_pictures_and_an_export_are_a_dataset(to, clips, logged, tmp_path):
    _, count = written(logged, tmp_path / "images", every=5)
    out = tmp_path / {"yolo": "labels", "cvat": "o.xml"}.get(to, "o.json")
    export_log(logged[1], to, out, choice=ExportChoice(every=5))

    data, pictures = (tmp_path, None) if to == "yolo" else (out, tmp_path / "images")
    dataset = read_with(data, ReadOptions(pictures=pictures))

    assert count == 3
    names = [f"frame_{number:06d}.jpg" for number in (0, 5, 10)]
    assert sorted(example.path.name for example in dataset.train) == names
    assert all(len(example.boxes) == 1 for example in dataset.train)
    plain = clips.decoded(logged[0])[5][1]
    assert np.abs(np.asarray(Image.open(tmp_path / "images" / names[1])).astype(int) - plain).mean() < 3


def test_a_folder_is_replaced_only_when_asked_and_only_if_it_holds_frames(logged, tmp_path):
    written(logged, tmp_path / "images")
    with pytest.raises(OutputError, match="is not empty"):
        written(logged, tmp_path / "images")
    assert written(logged, tmp_path / "images", every=6, overwrite=True)[1] == 2
    (tmp_path / "images/mine.txt").write_text("")
    with pytest.raises(OutputError, match=r"contains mine\.txt"):
        written(logged, tmp_path / "images", overwrite=True)


def test_another_video(clips, logged, tmp_path):
    other = clips.make(tmp_path / "other.mp4", range(40))
    with pytest.raises(LogError, match="is not the log of"):
        written((other, logged[1]), tmp_path / "images")
    assert not (tmp_path / "images").exists()
