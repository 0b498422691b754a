import csv
import json
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from detector.cli.export import export_verb
from detector.cli.logs import summary_verb
from detector.errors import LogError, OutputError, SettingsError
from detector.logs.box_formats import COCO_IDS, category_ids
from detector.logs.exports import export_log
from detector.logs.frame_log import FrameLog, RunRecord
from detector.video.frames import Frame, VideoInfo

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
    assert (folder / "frame_000000.txt").read_text().splitlines()[0] == "0 0.150000 0.400000 0.200000 0.400000"
    assert (folder / "frame_000001.txt").read_text() == ""
    with pytest.raises(OutputError, match="is not empty"):
        export_log(log, "yolo", folder)


def test_yolo_with_confidence(log, tmp_path):
    export_log(log, "yolo", tmp_path / "labels", with_confidence=True)
    first = (tmp_path / "labels" / "frame_000000.txt").read_text().splitlines()[0]
    assert first == "0 0.150000 0.400000 0.200000 0.400000 0.9"


def test_only_a_folder_of_labels_is_replaced_as_a_whole(log, tmp_path):
    folder = tmp_path / "labels"
    export_log(log, "yolo", folder)
    (folder / "frame_000009.txt").write_text("of another run")
    export_log(log, "yolo", folder, overwrite=True)
    assert not (folder / "frame_000009.txt").exists()
    (folder / "thesis.txt").write_text("precious")
    with pytest.raises(OutputError, match=r"contains thesis\.txt, which no export wrote"):
        export_log(log, "yolo", folder, overwrite=True)
    assert (folder / "thesis.txt").read_text() == "precious" and (folder / "classes.txt").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["labels", "run.jsonl"]


@pytest.mark.parametrize("name", ["out.csv.part", ".out.csv.part"])
def test_no_file_beside_the_output_is_changed(log, tmp_path, name):
    (tmp_path / name).write_text("precious")
    export_log(log, "csv", tmp_path / "out.csv")
    assert (tmp_path / name).read_text() == "precious"


def test_the_log_itself_is_never_replaced(log):
    before = log.read_bytes()
    with pytest.raises(OutputError, match="is the input"):
        export_log(log, "csv", log, overwrite=True)
    assert log.read_bytes() == before


def test_a_text_is_written_to_an_open_stream(log, capsys):
    export_verb(log, Path("-"), to="csv")
    assert capsys.readouterr().out == exported(log, "csv").read_text()
    with pytest.raises(SettingsError, match="yolo is not a text format"):
        export_verb(log, Path("-"), to="yolo")


def test_no_cell_of_a_csv_is_a_formula(tmp_path, boxes_of):
    names = ("=cmd|' /C calc'!A0", "+1", "@SUM(A1)", "-2", "car")
    path = tmp_path / "run.jsonl"
    found = boxes_of(*[(10, 20, 50, 60)] * 5, names=names)
    found.class_id[:] = range(5)
    with FrameLog(path, RunRecord.of(INFO, model="m", model_sha256="0", settings={}, classes=names)) as sink:
        sink.write(Frame(0, 0, INFO.time_base, np.zeros((2, 2, 3), np.uint8)), found)
    export_log(path, "csv", tmp_path / "out.csv")
    rows = list(csv.DictReader((tmp_path / "out.csv").read_text().splitlines()))
    assert [row["name"] for row in rows] == [*(f"'{name}" for name in names[:4]), "car"]


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
    parquet = pytest.importorskip("pyarrow.parquet")
    table = parquet.read_table(exported(log, "parquet"))
    assert table.column("frame").to_pylist() == [0, 0, 2]
    assert table.column("name").to_pylist() == ["car"] * 3


def test_parquet_of_a_log_without_boxes(tmp_path):
    pytest.importorskip("pyarrow")
    pandas = pytest.importorskip("pandas")
    path = tmp_path / "run.jsonl"
    with FrameLog(path, RunRecord.of(INFO, model="m", model_sha256="0", settings={}, classes=["car"])):
        pass
    export_log(path, "parquet", tmp_path / "out.parquet")
    frame = pandas.read_parquet(tmp_path / "out.parquet")
    assert len(frame) == 0 and list(frame.columns) == COLUMNS


def test_parquet_without_its_package(log, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(SettingsError, match=r"pip install -e '.\[parquet\]'"):
        export_log(log, "parquet", log.with_name("out"))
    assert not log.with_name("out").exists()


COLUMNS = ["frame", "time", "class_id", "name", "confidence", "left", "top", "right", "bottom"]


@pytest.mark.parametrize("to", ["csv", "parquet"])
def test_pandas_reads_the_tables(log, to):
    pandas = pytest.importorskip("pandas")
    if to == "parquet":
        pytest.importorskip("pyarrow")
    path = exported(log, to)
    frame = pandas.read_csv(path) if to == "csv" else pandas.read_parquet(path)
    assert list(frame.columns) == COLUMNS
    assert [frame[name].dtype.kind for name in ("frame", "time", "class_id", "confidence", "left")] == list("ififf")
    assert frame.loc[2].to_dict() == {
        **{"frame": 2, "time": 0.8, "class_id": 0, "name": "car", "confidence": 0.9},
        **{"left": 100.5, "top": 20.0, "right": 110.0, "bottom": 30.0},
    }


def test_unusual_names_in_tables(tmp_path, boxes_of):
    pandas = pytest.importorskip("pandas")
    names = ('a, "b"', "two\nlines", "人")
    path = tmp_path / "run.jsonl"
    with FrameLog(path, RunRecord.of(INFO, model="m", model_sha256="0", settings={}, classes=names)) as sink:
        found = boxes_of(*[(0, 0, 9, 9)] * 3, names=names)
        found.class_id[:] = range(3)
        sink.write(Frame(0, 0, INFO.time_base, np.zeros((2, 2, 3), np.uint8)), found)
    assert tuple(pandas.read_csv(exported(path, "csv"))["name"]) == names


@pytest.mark.filterwarnings("ignore")  # its own, of newer pandas
def test_motmetrics_reads_mot(log):
    motmetrics = pytest.importorskip("motmetrics")
    frame = motmetrics.io.loadtxt(exported(log, "mot"), fmt="mot15-2D", min_confidence=0.5).reset_index()
    assert frame["FrameId"].tolist() == [1, 1, 3] and set(frame["Id"]) == {-1}
    # It counts pixels from 0 and takes the 1 away.
    assert frame.loc[0, ["X", "Y", "Width", "Height", "Confidence"]].tolist() == [10, 20, 40, 40, 0.9]


def test_pycocotools_evaluates_coco(shared, tmp_path, boxes_of, capsys):
    """The boxes of a log as truth and as results, of which one is missing and one is wrong."""
    names = tuple((shared / "assets/names/coco.names").read_text().splitlines())
    path = tmp_path / "run.jsonl"
    with FrameLog(path, RunRecord.of(INFO, model="m", model_sha256="0", settings={}, classes=names)) as sink:
        for index in range(20):
            found = boxes_of((10 + index, 20, 50 + index, 60), (100, 10, 180, 90), names=names)
            found.class_id[:] = 79, 0
            sink.write(Frame(index, index, INFO.time_base, np.zeros((2, 2, 3), np.uint8)), found)
    export_log(path, "coco", tmp_path / "coco.json")
    truth = COCO(tmp_path / "coco.json")
    assert {item["category_id"] for item in truth.dataset["annotations"]} == {1, 90}
    results = [
        {key: item[key] for key in ("image_id", "category_id", "bbox", "score")}
        for item in truth.dataset["annotations"]
    ]
    (tmp_path / "results.json").write_text(json.dumps(results))

    def precision(found):
        evaluation = COCOeval(truth, truth.loadRes(found), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
        return evaluation.stats[0]

    assert precision(str(tmp_path / "results.json")) == pytest.approx(1)
    assert 0.9 < precision([result for result in results if result["image_id"] > 1 or result["category_id"] > 1]) < 1


LABELS = """<View><Image name="image" value="$image"/><RectangleLabels name="label" toName="image">
<Label value="car"/><Label value="a, b"/></RectangleLabels></View>"""


def test_label_studios_own_check_accepts_the_tasks(log):
    interface = pytest.importorskip("label_studio_sdk.label_interface").LabelInterface(LABELS)
    for task in json.loads(exported(log, "labelstudio").read_text()):
        for prediction in task["predictions"]:
            assert interface.validate_prediction(prediction, return_errors=True) == []


def test_label_studio_tasks_are_as_it_documents_them(log):
    """labelstud.io/guide/predictions and labelstud.io/tags/rectanglelabels."""
    tasks = json.loads(exported(log, "labelstudio").read_text())
    assert isinstance(tasks, list) and len(tasks) == 3
    for task in tasks:
        assert set(task) == {"data", "predictions"} and isinstance(task["data"]["image"], str)
        (prediction,) = task["predictions"]
        assert set(prediction) == {"model_version", "result"} and isinstance(prediction["model_version"], str)
        identities = [region["id"] for region in prediction["result"]]
        assert len(set(identities)) == len(identities)
        for region in prediction["result"]:
            assert set(region) == REGION
            assert (region["type"], region["from_name"], region["to_name"]) == ("rectanglelabels", "label", "image")
            assert (region["original_width"], region["original_height"]) == (200, 100)
            assert 0 <= region["score"] <= 1 and region["image_rotation"] == 0
            value = region["value"]
            assert set(value) == {"x", "y", "width", "height", "rotation", "rectanglelabels"}
            assert value["rectanglelabels"] == ["car"] and value["rotation"] == 0
            for start, size in (("x", "width"), ("y", "height")):
                assert 0 <= value[start] < 100 and value[size] > 0 and value[start] + value[size] <= 100


REGION = {
    *("id", "type", "from_name", "to_name", "score", "value"),
    *("original_width", "original_height", "image_rotation"),
}


def test_refused_exports(log, tmp_path):
    with pytest.raises(OutputError, match="is the input"):
        export_log(log, "csv", log, overwrite=True)
    (tmp_path / "old").write_text("old")
    with pytest.raises(OutputError, match="exists already"):
        export_log(log, "csv", tmp_path / "old")
    (tmp_path / "old").write_text("old\n")
    with pytest.raises(LogError, match="line 1"):
        export_log(tmp_path / "old", "csv", tmp_path / "new")
    assert not (tmp_path / "new").exists()
    with pytest.raises(SettingsError, match="expected one of csv"):
        export_log(log, "xml", tmp_path / "new")


def test_verbs(log, capsys):
    export_verb(log, to="mot")
    assert capsys.readouterr().out == f"Wrote 3 boxes to {log.with_name('run.mot.txt')} (mot)\n"
    summary_verb(log)
    assert capsys.readouterr().out.splitlines() == [
        "a, b.mp4: 3 boxes in 3 frames, 0.84 s",
        "car: 3 boxes in 2 frames, seen 0.00 s to 0.80 s, at most 2 at once (at 0.00 s)",
        "busiest second: 0 s to 1 s, 3 boxes",
    ]
