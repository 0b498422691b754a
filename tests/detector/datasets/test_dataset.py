import json

import numpy as np
import pytest
from PIL import Image

from detector.datasets.darknet import label_path
from detector.datasets.dataset import displayed_size, read_dataset
from detector.errors import DatasetError


def test_darknet_data_are_read(squares):
    dataset = read_dataset(squares)

    assert dataset.names == ("red", "blue")
    assert (len(dataset.train), len(dataset.valid)) == (32, 16)
    assert dataset.notes == ()
    first = dataset.train[0]
    assert first.class_id.tolist() == [0, 1]
    picture = np.array(Image.open(first.path))
    red = np.argwhere((picture == (230, 30, 30)).all(axis=2))
    top, left = red.min(axis=0)
    bottom, right = red.max(axis=0) + 1
    wanted = [(left + right) / 128, (top + bottom) / 128, (right - left) / 64, (bottom - top) / 64]
    assert first.boxes[0] == pytest.approx(wanted)


@pytest.fixture
def folder(tmp_path):
    """A dataset of one sound picture; a test spoils it."""
    (tmp_path / "images").mkdir()
    (tmp_path / "labels").mkdir()
    Image.new("RGB", (40, 30)).save(tmp_path / "images" / "a.png")
    (tmp_path / "labels" / "a.txt").write_text("0 0.5 0.5 0.2 0.2\n")
    (tmp_path / "train.txt").write_text("images/a.png\n")
    (tmp_path / "d.names").write_text("red\nblue\n")
    (tmp_path / "d.data").write_text("classes=2\ntrain=train.txt\nnames=d.names\n")
    return tmp_path


@pytest.mark.parametrize(
    ("line", "words"),
    [
        pytest.param("2 0.5 0.5 0.2 0.2", "class 2 is beyond the 2 names", id="class beyond the names"),
        pytest.param("-1 0.5 0.5 0.2 0.2", "class -1 is beyond", id="negative class"),
        pytest.param("0 0.95 0.5 0.2 0.2", "leaves the picture", id="out at the right"),
        pytest.param("0 0.5 0.05 0.2 0.2", "leaves the picture", id="out at the top"),
        pytest.param("0 20 15 8 6", "leaves the picture", id="pixels instead of parts"),
        pytest.param("0 0.5 0.5 0 0.2", "above 0", id="no width"),
        pytest.param("0 0.5 0.5 nan 0.2", "above 0", id="no number"),
        pytest.param("0 0.5 0.5 0.2", "has 4 words", id="too few words"),
        pytest.param("car 0.5 0.5 0.2 0.2", "not a whole number", id="a name instead of an id"),
    ],
)
def test_a_bad_label_is_named_with_its_line(folder, line, words):
    (folder / "labels" / "a.txt").write_text(f"0 0.5 0.5 0.2 0.2\n\n{line}\n")

    with pytest.raises(DatasetError, match="one mistake") as caught:
        read_dataset(folder / "d.data")

    assert f"{folder / 'labels' / 'a.txt'}, line 3: " in str(caught.value)
    assert words in str(caught.value)


def test_all_mistakes_are_told_at_once(folder):
    (folder / "labels" / "a.txt").write_text("7 0.5 0.5 0.2 0.2\n0 0.5 0.5 3 0.2\n")
    (folder / "images" / "b.jpg").write_bytes(b"no picture")
    (folder / "train.txt").write_text("images/a.png\nimages/missing.png\nimages/b.jpg\n")

    with pytest.raises(DatasetError, match="4 mistakes") as caught:
        read_dataset(folder / "d.data")

    message = str(caught.value)
    assert "a.txt, line 1" in message
    assert "a.txt, line 2" in message
    assert f"{folder / 'train.txt'}, line 2: images/missing.png: no such picture" in message
    assert f"{folder / 'images' / 'b.jpg'}: the picture does not open" in message


@pytest.mark.parametrize(
    ("content", "words"),
    [
        pytest.param("names=d.names\n", "has no train=", id="no list"),
        pytest.param("train=gone.txt\nnames=d.names\n", "line 1: train=gone.txt: no such list", id="list missing"),
        pytest.param("train=train.txt\nclasses=3\nnames=d.names\n", "2 names", id="names do not fit classes"),
        pytest.param("train=train.txt\nclasses=many\n", "line 2: classes=many", id="no number of classes"),
        pytest.param("train=train.txt\n", "neither names= nor classes=", id="no classes"),
        pytest.param("train=train.txt\nnames=d.names\nnonsense\n", "line 3: 'nonsense'", id="no key"),
    ],
)
def test_a_bad_data_file_is_named(folder, content, words):
    (folder / "d.data").write_text(content)

    with pytest.raises(DatasetError) as caught:
        read_dataset(folder / "d.data")

    assert words in str(caught.value)


def test_a_truncated_picture_is_found(folder, shared):
    (folder / "images" / "a.png").unlink()
    (folder / "images" / "t.jpg").write_bytes((shared / "assets/images/dog.jpg").read_bytes()[:60_000])
    (folder / "train.txt").write_text("images/t.jpg\n")

    with pytest.raises(DatasetError, match=r"t\.jpg: the picture does not open"):
        read_dataset(folder / "d.data")


@pytest.mark.parametrize("content", [None, "", "\n\n"], ids=["missing", "empty", "blank"])
def test_a_picture_without_objects_is_legal(folder, content):
    (folder / "labels" / "a.txt").unlink()
    if content is not None:
        (folder / "labels" / "a.txt").write_text(content)

    dataset = read_dataset(folder / "d.data")

    assert dataset.train[0].boxes.shape == (0, 4)
    assert "flatters" in dataset.notes[0]


def test_labels_beside_the_picture_are_found(tmp_path):
    (tmp_path / "a.txt").write_text("")

    assert label_path(tmp_path / "a.jpg") == tmp_path / "a.txt"
    assert label_path(tmp_path / "images" / "b.jpg") == tmp_path / "labels" / "b.txt"


@pytest.fixture
def coco(tmp_path):
    """An instances file of one picture of 40x30 with two boxes, one of them a crowd; returns path and content."""
    (tmp_path / "images").mkdir()
    Image.new("RGB", (40, 30)).save(tmp_path / "images" / "a.png")
    content = {
        "images": [{"id": 7, "file_name": "a.png", "width": 40, "height": 30}],
        "categories": [{"id": 9, "name": "blue"}, {"id": 4, "name": "red"}],
        "annotations": [
            {"id": 1, "image_id": 7, "category_id": 9, "bbox": [10, 6, 20, 12], "area": 99, "iscrowd": 0},
            {"id": 2, "image_id": 7, "category_id": 4, "bbox": [0, 0, 40, 30], "area": 1, "iscrowd": 1},
        ],
    }
    path = tmp_path / "instances.json"
    path.write_text(json.dumps(content))
    return path, content


def test_coco_data_are_read(coco):
    dataset = read_dataset(coco[0])

    assert dataset.names == ("red", "blue")
    (example,) = dataset.train
    assert example.boxes[0] == pytest.approx([0.5, 0.4, 0.5, 0.4])
    assert example.class_id.tolist() == [1, 0]
    assert example.crowd.tolist() == [False, True]
    assert example.area is not None
    assert example.area[0] == 99


def test_coco_categories_take_the_networks_order(coco):
    dataset = read_dataset(coco[0], names=("blue", "green", "red"))

    assert dataset.names == ("blue", "green", "red")
    assert dataset.train[0].class_id.tolist() == [0, 2]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"image_id": 8}, "image 8 is not in the file"),
        ({"category_id": 1}, "category 1 is not in the file"),
        ({"bbox": [10, 6, 0, 12]}, "is empty"),
        ({"bbox": [30, 6, 20, 12]}, "leaves its picture a.png of 40x30"),
        ({"bbox": [30, 6, 20]}, "four numbers"),
    ],
)
def test_a_bad_annotation_is_named(coco, change, words):
    path, content = coco
    content["annotations"][0].update(change)
    path.write_text(json.dumps(content))

    with pytest.raises(DatasetError) as caught:
        read_dataset(path)

    assert f"{path}, annotation 1" in str(caught.value)
    assert words in str(caught.value)


@pytest.mark.parametrize("content", ["{", "[]", '{"images": []}'])
def test_a_file_that_is_not_cocos_is_refused(tmp_path, content):
    (tmp_path / "x.json").write_text(content)

    with pytest.raises(DatasetError, match="not COCO's"):
        read_dataset(tmp_path / "x.json")


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(DatasetError, match="no such file"):
        read_dataset(tmp_path / "x.data")


def test_sizes_are_those_of_pictures_as_displayed(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (40, 30)).save(tmp_path / "turned.jpg", exif=exif)
    Image.new("RGB", (40, 30)).save(tmp_path / "upright.jpg")

    assert displayed_size(tmp_path / "turned.jpg") == (30, 40)
    assert displayed_size(tmp_path / "upright.jpg") == (40, 30)
