"""Detections in pictures, read back by the tools that the exports are for."""

import csv
import json
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO

from detector.datasets.dataset import ReadOptions, read_with
from detector.errors import LogError, OutputError, SettingsError
from detector.logs.box_filter import BoxFilter
from detector.logs.picture_exports import LabelledPictures, export_pictures, is_picture_lines

RED = {"class_id": 0, "name": "red", "confidence": 0.9, "box": [10.0, 20.0, 50.0, 60.0]}
BLUE = {"class_id": 2, "name": "blue & <b>", "confidence": 0.4, "box": [0.0, 0.0, 200.0, 100.0]}


@pytest.fixture
def photos(tmp_path):
    """Three pictures in two folders, one with two boxes, one with one, one with none."""
    for name in ("a b/1.jpg", "a b/é.jpg", "c/1.jpg"):
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((100, 200, 3), len(name), np.uint8)).save(path)
    return tmp_path / "photos"


@pytest.fixture
def lines(photos):
    def write(*found, name="p.json", **more):
        path = photos.parent / name
        found = found or (("a b/1.jpg", [RED, BLUE]), ("a b/é.jpg", []), ("c/1.jpg", [RED]))
        records = [
            {"source": file if "://" in file else str(photos / file), "width": 200, "height": 100, **more}
            | {"detections": boxes}
            for file, boxes in found
        ]
        path.write_text("".join(json.dumps(record) + "\n" for record in records))
        return path

    return write


@pytest.fixture
def names(tmp_path):
    path = tmp_path / "colours.names"
    path.write_text("red\ngreen\nblue & <b>\n")
    return path


@pytest.mark.parametrize("to", ["coco", "csv", "cvat", "labelstudio"])
def test_an_export_is_a_dataset(to, lines, names, photos):
    out = photos.parent / {"csv": "out.csv", "cvat": "out.xml"}.get(to, "out.json")

    assert export_pictures(LabelledPictures.read(lines(), names), to, out) == 3

    dataset = read_with(out, ReadOptions(pictures=photos))
    found = {example.path.relative_to(photos).as_posix(): len(example.boxes) for example in dataset.train}
    assert found == {"a b/1.jpg": 2, "a b/é.jpg": 0, "c/1.jpg": 1}
    assert set(dataset.names) <= {"red", "green", "blue & <b>"}


def test_labels_beside_their_pictures_are_a_dataset(lines, names, photos):
    photos.rename(photos.with_name("images"))
    out = photos.with_name("labels")

    assert export_pictures(LabelledPictures.read(lines(), names), "yolo", out) == 3

    assert (out / "a b/1.txt").read_text().splitlines()[0] == "0 0.150000 0.400000 0.200000 0.400000"
    dataset = read_with(photos.parent, ReadOptions())
    assert dataset.names == ("red", "green", "blue & <b>")
    assert sorted(len(example.boxes) for example in dataset.train) == [0, 1, 2]
    assert export_pictures(LabelledPictures.read(lines(), names), "yolo", out, overwrite=True) == 3
    (out / "c/notes.md").write_text("mine")
    with pytest.raises(OutputError, match="contains c, which no export wrote"):
        export_pictures(LabelledPictures.read(lines(), names), "yolo", out, overwrite=True)


def test_coco_and_cvat_keep_scores_and_words(lines, names, photos):
    pictures = LabelledPictures.read(lines(), names)
    export_pictures(pictures, "coco", photos.parent / "o.json")
    export_pictures(pictures, "cvat", photos.parent / "o.xml")

    coco = COCO(photos.parent / "o.json")
    assert [item["score"] for item in coco.loadAnns(coco.getAnnIds(imgIds=[1]))] == [0.9, 0.4]
    root = ElementTree.parse(photos.parent / "o.xml").getroot()
    assert [box.get("label") for box in root.iter("box")] == ["red", "blue & <b>", "red"]


def test_boxes_are_chosen(lines, names, photos):
    pictures = LabelledPictures.read(lines(), names)
    out = photos.parent / "o.csv"

    assert export_pictures(pictures, "csv", out, boxes=BoxFilter(0.5, ("0",))) == 2
    rows = list(csv.DictReader(out.read_text().splitlines()))
    assert [row["class"] for row in rows] == ["red", "", "red"]
    with pytest.raises(SettingsError, match="class 'gren' is not one of"):
        export_pictures(pictures, "csv", out, boxes=BoxFilter(classes=("gren",)), overwrite=True)


def test_classes_come_from_the_network_that_the_lines_name(lines, colour_model):
    blue = BLUE | {"name": "blue"}
    assert LabelledPictures.read(lines(("1.jpg", [blue]), model=str(colour_model))).names == ("red", "green", "blue")


def test_classes_without_names(lines):
    pictures = LabelledPictures.read(lines())
    assert pictures.names == ("red", "class 1", "blue & <b>") and "--names MODEL.h5" in pictures.note


def test_nothing_was_found(lines, photos):
    pictures = LabelledPictures.read(lines(("1.jpg", [])))
    assert pictures.names == () and pictures.note == ""
    assert export_pictures(pictures, "yolo", photos.parent / "labels") == 0
    assert (photos.parent / "labels/1.txt").read_text() == ""


def test_names_of_another_network(lines, names):
    names.write_text("cat\ndog\nbird\n")
    with pytest.raises(SettingsError, match="class 0 is 'cat' there, but 'red'"):
        LabelledPictures.read(lines(), names)


def test_two_pictures_with_one_label_file(lines, names, photos):
    pictures = LabelledPictures.read(lines(("1.jpg", []), ("1.png", [])), names)
    with pytest.raises(SettingsError, match=r"1\.jpg and 1\.png would have one label file, 1\.txt"):
        export_pictures(pictures, "yolo", photos.parent / "labels")


def test_an_address_is_unchanged(lines, names, photos):
    pictures = LabelledPictures.read(lines(("http://host/x/dog.jpg", [RED])), names)
    export_pictures(pictures, "labelstudio", photos.parent / "o.json")
    export_pictures(pictures, "yolo", photos.parent / "labels")
    assert json.loads((photos.parent / "o.json").read_text())[0]["data"] == {"image": "http://host/x/dog.jpg"}
    assert (photos.parent / "labels/dog.txt").exists()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("[]", "line 4 is not a line of yolo3 image --json"),
        ('{"source": "\\u0000", "width": 1, "height": 1, "detections": []}', "expected the name of a picture"),
        ('{"source": "a", "width": 1, "height": 1, "detections": [{}]}', "'box' is missing"),
    ],
)
def test_an_invalid_line(line, message, lines, names):
    path = lines()
    path.write_text(path.read_text() + line + "\n")
    with pytest.raises(LogError, match=message):
        LabelledPictures.read(path, names)


def test_a_frame_log_is_not_a_file_of_pictures(tmp_path, lines):
    log = tmp_path / "log.jsonl"
    log.write_text('{"type":"run","schema":1,"source":"a.mp4"}\n')
    assert is_picture_lines(lines()) and not is_picture_lines(log) and not is_picture_lines(tmp_path)
