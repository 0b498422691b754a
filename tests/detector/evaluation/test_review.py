"""Labels with known mistakes, and boxes that find them."""

import csv
import json

import numpy as np
import pytest
from PIL import Image

from detector.datasets.examples import Dataset, Example
from detector.errors import LogError, SettingsError
from detector.evaluation.predictions import Predictions
from detector.evaluation.review import review, review_sheet, write_review

NAMES = ("cat", "dog")
RIGHT, LOWER = (0.75, 0.25, 0.3, 0.3), (0.25, 0.75, 0.3, 0.3)


def found(name, box, confidence):
    """A line's entry for a box in parts of a picture of 80x60."""
    x, y, width, height = box
    edges = [(x - width / 2) * 80.0, (y - height / 2) * 60.0, (x + width / 2) * 80.0, (y + height / 2) * 60.0]
    return {"class_id": NAMES.index(name), "name": name, "confidence": confidence, "box": edges}


@pytest.fixture
def make(tmp_path):
    """Pictures with labels, and what a model found in each: name -> (label rows or None, detections)."""

    def make(pictures, *, keyed=str):
        examples, lines = [], []
        for name, (rows, boxes) in pictures.items():
            path = tmp_path / f"{name}.png"
            Image.new("RGB", (80, 60), "grey").save(path)
            examples.append(Example.from_rows(path, rows or [], labelled=rows is not None))
            if boxes is not None:
                lines.append({"source": keyed(path), "width": 80, "height": 60, "detections": boxes})
        (tmp_path / "found.json").write_text("".join(json.dumps(line) + "\n" for line in lines))
        return Dataset(NAMES, tuple(examples), ()), Predictions(tmp_path / "found.json")

    return make


def reviewed(dataset, predictions, confidence=0.25):
    result = review(dataset, predictions, confidence=confidence)
    return {picture.example.path.stem: [str(doubt) for doubt in picture.doubts] for picture in result.pictures}


def test_pictures_whose_labels_are_probably_wrong_come_first(make):
    agreed = [found("cat", RIGHT, 0.9)]
    dataset, predictions = make(
        {
            "right": ([(0, *RIGHT)], agreed),
            "not found": ([(0, *RIGHT), (1, *LOWER)], agreed),
            "found weakly": ([(0, *RIGHT), (1, *LOWER)], [*agreed, found("dog", LOWER, 0.2)]),
            "no label": ([(0, *RIGHT)], [*agreed, found("dog", LOWER, 0.95)]),
            "other class": ([(1, *RIGHT)], [found("cat", RIGHT, 0.8)]),
        }
    )

    assert list(reviewed(dataset, predictions).items()) == [
        ("no label", ["dog: no label"]),
        ("other class", ["cat: labelled dog"]),
        ("not found", ["dog: not found"]),
        ("found weakly", ["dog: not found"]),
        ("right", []),
    ]


def test_pictures_without_labels_are_ordered_by_uncertainty(make):
    dataset, predictions = make(
        {
            "sure": (None, [found("cat", RIGHT, 0.99)]),
            "unsure": (None, [found("cat", RIGHT, 0.55)]),
            "two unsure": (None, [found("cat", RIGHT, 0.55), found("dog", LOWER, 0.4)]),
            "nothing": (None, []),
        }
    )

    assert list(reviewed(dataset, predictions)) == ["two unsure", "unsure", "sure", "nothing"]


def test_a_picture_of_many_missed_objects_does_not_come_before_a_sure_mistake(make):
    small = [(0, x, y, 0.05, 0.05) for x in np.linspace(0.1, 0.9, 8) for y in np.linspace(0.1, 0.9, 8)]
    dataset, predictions = make(
        {"crowded": (small, []), "mistakes": ([], [found("cat", RIGHT, 0.9), found("dog", LOWER, 0.9)])}
    )

    assert list(reviewed(dataset, predictions)) == ["mistakes", "crowded"]


def test_boxes_within_a_crowd_are_no_mistakes(make):
    dataset, predictions = make({"crowd": ([(0, 0.5, 0.5, 1.0, 1.0)], [found("cat", RIGHT, 0.9)])})
    (example,) = dataset.train
    crowd = Example(example.path, example.boxes, example.class_id, np.array([True]))

    assert reviewed(Dataset(NAMES, (crowd,), ()), predictions) == {"crowd": []}


def test_boxes_are_found_by_name_where_pictures_were_moved(make):
    dataset, predictions = make(
        {"a": ([(0, *RIGHT)], []), "b ö": ([(0, *RIGHT)], [])}, keyed=lambda path: f"/elsewhere/{path.name}"
    )

    assert len(reviewed(dataset, predictions)) == 2


def test_pictures_that_no_model_looked_at_are_counted(make):
    dataset, predictions = make({"a": ([(0, *RIGHT)], []), "b": ([(0, *RIGHT)], None)})

    assert review(dataset, predictions, confidence=0.5).without_boxes == 1


def test_boxes_of_other_pictures_are_refused_with_the_command_to_type(make):
    dataset, predictions = make({"a": ([(0, *RIGHT)], [])}, keyed=lambda path: "/elsewhere/b.png")

    with pytest.raises(SettingsError, match=r"found\.json: none of its pictures .* yolo3 image FOLDER"):
        review(dataset, predictions, confidence=0.5)


@pytest.mark.parametrize("content", ["", "[]", "{}", "cat,0.5", '{"source": "a.png"}'])
def test_what_is_neither_lines_of_pictures_nor_a_log_is_refused(tmp_path, content):
    (tmp_path / "f.json").write_text(content)

    with pytest.raises(LogError, match=r"f\.json"):
        Predictions(tmp_path / "f.json")


def test_frames_of_a_video_have_the_boxes_of_its_log(tmp_path):
    run = {"type": "run", "schema": 1, "source": "v.mp4", "width": 80, "height": 60, "frame_rate": "25"}
    run |= {"model": "m.h5", "model_sha256": "0", "settings": {}, "classes": list(NAMES)}
    frames = [
        {"type": "frame", "frame": n, "time": n / 25, "detections": [found("dog", RIGHT, 0.5)] * (n % 2)}
        for n in range(4)
    ]
    (tmp_path / "v.jsonl").write_text("".join(json.dumps(line) + "\n" for line in (run, *frames)))
    examples = []
    for number in range(4):
        path = tmp_path / f"frame_{number:06d}.jpg"
        Image.new("RGB", (80, 60)).save(path)
        examples.append(Example.from_rows(path, [], labelled=False))

    result = review(Dataset(NAMES, tuple(examples), ()), Predictions(tmp_path / "v.jsonl"), confidence=0.25)

    assert [len(picture.doubts) for picture in result.pictures] == [1, 1, 0, 0]


def test_the_order_is_written_as_csv_and_json_and_shown(make, tmp_path):
    dataset, predictions = make(
        {"right": ([], []), "ein Bild ö": ([], [found("cat", RIGHT, 0.75)]), "x": ([(1, *LOWER)], [])}
    )
    result = review(dataset, predictions, confidence=0.25)
    for name in ("r.csv", "r.json"):
        write_review(tmp_path / name, result)

    with (tmp_path / "r.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [(row["score"], row["not_labelled"], row["not_found"]) for row in rows] == [
        ("0.7500", "1", "0"),
        ("0.5000", "0", "1"),
        ("0.0000", "0", "0"),
    ]
    first = json.loads((tmp_path / "r.json").read_text("utf-8"))[0]
    assert first["filename"].endswith("ein Bild ö.png")
    assert first["boxes"][0]["box"] == pytest.approx([48, 6, 72, 24], abs=0.02)
    assert result.lines()[0] == "2 of 3 pictures have boxes to look at"
    assert review_sheet(result).shape == (315, 840, 3)
    with pytest.raises(SettingsError, match=r"written as \.csv or \.json"):
        write_review(tmp_path / "r.txt", result)
