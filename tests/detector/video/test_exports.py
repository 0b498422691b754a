import csv
import json
from fractions import Fraction

import numpy as np
import pytest
from pycocotools.coco import COCO

from detector.cli_export import export_verb
from detector.cli_log import summary_verb
from detector.errors import InputError, OutputError, SettingsError
from detector.video.exports import COCO_IDS, category_ids, export_log
from detector.video.frames import Frame, VideoInfo
from detector.video.log import FrameLog, RunRecord

INFO = VideoInfo(source="a, b.mp4", width=200, height=100, time_base=Fraction(1, 25), frame_rate=Fraction(25))


@pytest.fixture
def log(tmp_path, boxes_of):
    """Three frames with two, no and one box."""
    path = tmp_path / "run.jsonl"
    run = RunRecord.of(INFO, model="m/net.h5", model_sha256="0", settings={}, classes=["car", "a, b"])
    picture = np.zeros((2, 2, 3), np.uint8)
    with FrameLog(path, run) as sink:
        for index, boxes in enumerate([[(10, 20, 50, 60), (0, 0, 200, 100)], [], [(100.5, 20, 110, 30)]]):
            sink.write(Frame(index, index * 10, INFO.time_base, picture), boxes_of(*boxes, names=("car", "a, b")))
    return path


def exported(log, to, name="out"):
    target = log.with_name(name)
    assert export_log(log, to, target) == 3
    assert not target.with_name(f"{name}.part").exists()
    return target


def test_csv_is_read_by_pythons_own_reader(log):
    rows = list(csv.DictReader(exported(log, "csv").read_text().splitlines()))
    assert [int(row["frame"]) for row in rows] == [0, 0, 2]
    assert [float(row["time"]) for row in rows] == [0, 0, 0.8]
    assert float(rows[2]["left"]) == 100.5 and rows[0]["name"] == "car"


def test_coco_is_read_by_pycocotools(log, capsys):
    coco = COCO(exported(log, "coco"))
    assert sorted(coco.getImgIds()) == [1, 2, 3]
    assert [item["bbox"] for item in coco.loadAnns(coco.getAnnIds(imgIds=[1]))] == [[10, 20, 40, 40], [0, 0, 200, 100]]
    assert coco.loadCats(coco.getCatIds()) == [{"id": 1, "name": "car"}, {"id": 2, "name": "a, b"}]
    found = coco.loadRes([{**item, "score": 1.0} for item in coco.dataset["annotations"]])
    assert len(found.anns) == 3


def test_coco_ids_are_cocos_own(shared):
    names = tuple((shared / "assets/names/coco.names").read_text().splitlines())
    ids = dict(zip(names, category_ids(names), strict=True))
    truth = json.loads(next((shared / "assets/coco_val2017_128").glob("**/*instances*.json")).read_text())
    official = {category["id"]: category["name"] for category in truth["categories"]}
    assert [official[number] for number in ids.values()] == list(names)
    assert len(COCO_IDS) == 80 and COCO_IDS[-1] == 90


def test_mot_counts_from_one(log):
    rows = np.loadtxt(exported(log, "mot"), delimiter=",")
    assert rows[:, 0].tolist() == [1, 1, 3]
    assert rows[0].tolist() == [1, -1, 11, 21, 40, 40, 0.9, -1, -1, -1]


def test_yolo_has_a_file_for_each_frame(log):
    folder = exported(log, "yolo")
    names = sorted(path.name for path in folder.iterdir())
    assert names == ["classes.txt", "frame_000000.txt", "frame_000001.txt", "frame_000002.txt"]
    assert (folder / "frame_000000.txt").read_text().splitlines()[0] == "0 0.150000 0.400000 0.200000 0.400000 0.9"
    assert (folder / "frame_000001.txt").read_text() == ""
    with pytest.raises(OutputError, match="is not empty"):
        export_log(log, "yolo", folder)


def test_darknet_and_label_studio(log):
    frames = json.loads(exported(log, "darknet").read_text())
    assert [len(frame["objects"]) for frame in frames] == [2, 0, 1]
    assert frames[0]["objects"][1]["relative_coordinates"] == {
        "center_x": 0.5,
        "center_y": 0.5,
        "width": 1.0,
        "height": 1.0,
    }
    tasks = json.loads(exported(log, "labelstudio", "ls").read_text())
    (prediction,) = tasks[0]["predictions"]
    assert prediction["model_version"] == "net.h5"
    value = prediction["result"][0]["value"]
    assert {name: value[name] for name in ("x", "y", "width", "height")} == {"x": 5, "y": 20, "width": 20, "height": 40}


def test_parquet(log):
    try:
        from pyarrow import parquet
    except ImportError:
        with pytest.raises(SettingsError, match="pip install pyarrow"):
            export_log(log, "parquet", log.with_name("out"))
        assert not log.with_name("out").exists()
        return
    table = parquet.read_table(exported(log, "parquet"))
    assert table.column("frame").to_pylist() == [0, 0, 2]


def test_what_it_refuses(log, tmp_path):
    with pytest.raises(OutputError, match="is the input"):
        export_log(log, "csv", log, overwrite=True)
    (tmp_path / "old").write_text("old")
    with pytest.raises(OutputError, match="exists already"):
        export_log(log, "csv", tmp_path / "old")
    (tmp_path / "old").write_text("old\n")
    with pytest.raises(InputError, match="line 1"):
        export_log(tmp_path / "old", "csv", tmp_path / "new")
    assert not (tmp_path / "new").exists()
    with pytest.raises(SettingsError, match="expected one of csv"):
        export_log(log, "xml", tmp_path / "new")


def test_verbs(log, capsys):
    export_verb(log, to="mot")
    assert capsys.readouterr().out == f"Wrote 3 boxes to {log.with_name('run.mot.txt')}\n"
    summary_verb(log)
    assert capsys.readouterr().out.splitlines() == [
        "a, b.mp4: 3 boxes in 3 frames, 0.80 s",
        "car: 3 boxes in 2 frames, seen 0.00 s to 0.80 s, at most 2 at once (at 0.00 s)",
        "busiest second: 0 s to 1 s, 3 boxes",
    ]
