import json

import pytest

from detector.datasets.dataset import read_dataset
from detector.errors import DatasetError


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
        ({"bbox": [10, 6, float("nan"), 12]}, "four numbers"),
        ({"bbox": [10, 6, 10**400, 12]}, "four numbers"),
        ({"image_id": [7]}, "needs an image_id"),
        ({"category_id": None}, "a category_id"),
        ({"area": "big"}, "area 'big'"),
    ],
)
def test_an_invalid_annotation_is_reported(coco, change, words):
    path, content = coco
    content["annotations"][0].update(change)
    path.write_text(json.dumps(content))

    with pytest.raises(DatasetError) as caught:
        read_dataset(path)

    assert f"{path}, annotation 1" in str(caught.value)
    assert words in str(caught.value)


@pytest.mark.parametrize("content", ["{", "5", '{"images": []}'])
def test_a_file_that_is_not_cocos_is_refused(tmp_path, content):
    (tmp_path / "x.json").write_text(content)

    with pytest.raises(DatasetError, match="not COCO's"):
        read_dataset(tmp_path / "x.json")


def test_a_missing_area_is_that_of_the_box(coco):
    path, content = coco
    del content["annotations"][0]["area"]
    content["annotations"][1]["area"] = None
    path.write_text(json.dumps(content))

    (example,) = read_dataset(path).train

    assert example.area is not None
    assert example.area.tolist() == [240, 1200]


@pytest.mark.parametrize(
    ("key", "entry", "words"),
    [
        ("annotations", 5, "annotation number 1: is not an object"),
        ("images", {"id": [7], "file_name": "a.png", "width": 40, "height": 30}, "image number 1: needs an id"),
        ("images", {"id": 7, "file_name": "a.png", "width": 0, "height": 30}, "image 7: needs an id"),
        ("images", {"id": 7, "file_name": None, "width": 40, "height": 30}, "image 7: needs an id"),
        ("images", {"id": 7, "file_name": "a.png", "width": 1e999, "height": 30}, "image 7: needs an id"),
        ("categories", {"id": {}, "name": "x"}, "category number 1: needs an id"),
    ],
)
def test_an_entry_of_another_form_is_named(coco, key, entry, words):
    path, content = coco
    content[key][0] = entry
    path.write_text(json.dumps(content))

    with pytest.raises(DatasetError) as caught:
        read_dataset(path)

    assert words in str(caught.value)


def test_a_size_other_than_the_pictures_is_named(coco):
    path, content = coco
    content["images"][0].update(width=80, height=60)
    path.write_text(json.dumps(content))

    with pytest.raises(DatasetError, match="the picture is 40x30 as displayed; its labels are for 80x60"):
        read_dataset(path)


def test_validation_categories_are_matched_by_name(coco):
    path, content = coco
    content["categories"] = [{"id": 1, "name": "blue"}, {"id": 2, "name": "unused"}]
    content["annotations"] = [{"image_id": 7, "category_id": 1, "bbox": [10, 6, 20, 12]}]
    other = path.with_name("valid.json")
    other.write_text(json.dumps(content))

    dataset = read_dataset(path, valid=other)

    assert dataset.names == ("red", "blue")
    assert dataset.valid[0].class_id.tolist() == [1]


def test_a_validation_category_that_training_lacks_is_an_error(coco):
    path, content = coco
    content["categories"].append({"id": 1, "name": "amber"})
    content["annotations"][0]["category_id"] = 1
    other = path.with_name("valid.json")
    other.write_text(json.dumps(content))

    with pytest.raises(DatasetError, match="category 'amber' is not among the training data's 2 classes"):
        read_dataset(path, valid=other)


def test_deeply_nested_json_is_refused(tmp_path):
    (tmp_path / "x.json").write_text("[" * 200_000)

    with pytest.raises(DatasetError, match="not COCO's"):
        read_dataset(tmp_path / "x.json")
