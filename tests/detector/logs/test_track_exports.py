"""Exports of a log with tracks, read by the tools that they are for if these are installed."""

import csv
import json
import xml.etree.ElementTree as ElementTree

import pytest

from detector.errors import SettingsError
from detector.logs.exports import export_log

LABELS = """<View><Labels name="labels" toName="video"><Label value="car"/><Label value="a &quot;van&quot;"/></Labels>
<Video name="video" value="$video"/><VideoRectangle name="box" toName="video"/></View>"""


def write_log(path, frames, *, settings=None):
    """Frames, each a list of (track, left edge)."""
    run = {"type": "run", "schema": 1, "source": "a & b.mp4", "width": 200, "height": 100, "frame_rate": "25"}
    given = {"track": "offline"} if settings is None else settings
    lines = [{**run, "model": "m/net.h5", "model_sha256": "0", "settings": given, "classes": ["car", 'a "van"']}]
    for index, boxes in enumerate(frames):
        found = [
            {"class_id": 1, "name": 'a "van"', "confidence": 0.5, "box": [left, 10, left + 20, 30.5]}
            | ({} if track is None else {"track": track})
            | ({"interpolated": True} if index == 3 else {})
            for track, left in boxes
        ]
        lines.append({"type": "frame", "frame": index, "time": index / 25, "detections": found})
    path.write_text(
        "".join(
            json.dumps(line) + "\n" for line in [*lines, {"type": "end", "frames": len(frames), "status": "complete"}]
        )
    )
    return path


@pytest.fixture
def log(tmp_path):
    """Track 7 in frames 0 to 2 and 4; track 9 from 3 to the end; a box without a track."""
    return write_log(
        tmp_path / "log.jsonl", [[(7, 0)], [(7, 1.25)], [(7, 2), (None, 60)], [(9, 50)], [(7, 4), (9, 51)], [(9, 52)]]
    )


def exported(log, to):
    target = log.with_name(f"out.{to}")
    export_log(log, to, target)
    return target


def test_cvat_video_has_a_track_per_object(log):
    root = ElementTree.parse(exported(log, "cvat-video")).getroot()

    assert [label.findtext("name") for label in root.iter("label")] == ["car", 'a "van"']
    assert (root.findtext("meta/task/size"), root.findtext("meta/task/original_size/width")) == ("6", "200")
    tracks = {track.get("id"): track for track in root.iter("track")}
    assert [track.get("label") for track in tracks.values()] == ['a "van"'] * 2
    seven = [(int(box.get("frame")), int(box.get("outside"))) for box in tracks["7"]]
    assert seven == [(0, 0), (1, 0), (2, 0), (3, 1), (4, 0), (5, 1)]
    assert [(int(box.get("frame")), int(box.get("outside"))) for box in tracks["9"]] == [(3, 0), (4, 0), (5, 0)]
    second = tracks["7"][1]
    assert [float(second.get(key)) for key in ("xtl", "ytl", "xbr", "ybr")] == [1.25, 10, 21.25, 30.5]


def test_label_studio_accepts_the_tracks(log):
    (task,) = json.loads(exported(log, "labelstudio-video").read_text())

    assert task["data"] == {"video": "a & b.mp4"}
    seven, nine = task["predictions"][0]["result"]
    assert (seven["type"], seven["value"]["labels"], seven["score"]) == ("videorectangle", ['a "van"'], 0.5)
    assert seven["value"]["framesCount"] == 6
    keys = [(key["frame"], key["enabled"]) for key in seven["value"]["sequence"]]
    assert keys == [(1, True), (2, True), (3, False), (5, False)]
    second = seven["value"]["sequence"][1]
    assert [second[key] for key in ("x", "y", "width", "height", "time")] == [0.625, 10, 10, 20.5, 0.04]
    assert [key["frame"] for key in nine["value"]["sequence"]] == [4, 5, 6]


def test_label_studios_own_check_accepts_the_task(log):
    interface = pytest.importorskip("label_studio_sdk.label_interface").LabelInterface(LABELS)
    (task,) = json.loads(exported(log, "labelstudio-video").read_text())
    (prediction,) = task["predictions"]
    assert interface.validate_prediction(prediction, return_errors=True) == []


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of motmetrics
def test_mot_is_read_with_its_tracks_by_motmetrics(log):
    motmetrics = pytest.importorskip("motmetrics")

    table = motmetrics.io.loadtxt(exported(log, "mot"), fmt="mot15-2D")

    assert sorted(table.index.tolist()) == [(1, 7), (2, 7), (3, -1), (3, 7), (4, 9), (5, 7), (5, 9), (6, 9)]
    assert table.loc[(2, 7), ["X", "Y", "Width", "Height"]].tolist() == [1.25, 10, 20, 20.5]


def test_tables_contain_the_tracks(log):
    rows = list(csv.DictReader(exported(log, "csv").read_text().splitlines()))
    assert [row["track"] for row in rows] == ["7", "7", "7", "", "9", "7", "9", "9"]
    assert [row["interpolated"] for row in rows] == ["0", "0", "0", "0", "1", "0", "0", "0"]

    table = pytest.importorskip("pyarrow.parquet").read_table(exported(log, "parquet"))
    assert table.column("track").to_pylist() == [7, 7, 7, None, 9, 7, 9, 9]
    assert table.column("interpolated").to_pylist() == [row["interpolated"] == "1" for row in rows]


def test_tables_of_a_log_without_tracks_are_as_before(tmp_path):
    log = write_log(tmp_path / "log.jsonl", [[(None, 0)]], settings={})
    assert exported(log, "csv").read_text().startswith("frame,time,class_id,name,confidence,left,top,right,bottom\n")


@pytest.mark.parametrize("to", ["cvat-video", "labelstudio-video"])
def test_a_log_without_tracks_or_frames(tmp_path, to):
    log = write_log(tmp_path / "log.jsonl", [[(None, 0)]], settings={})
    with pytest.raises(SettingsError, match=r"make them with yolo3 track"):
        exported(log, to)
    assert not (tmp_path / f"out.{to}").exists()
    exported(write_log(tmp_path / "empty.jsonl", []), to)
