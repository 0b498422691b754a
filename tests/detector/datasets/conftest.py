import json

import pytest
from PIL import Image


@pytest.fixture
def folder(tmp_path):
    """A Darknet dataset of one picture without errors, to which tests add errors."""
    (tmp_path / "images").mkdir()
    (tmp_path / "labels").mkdir()
    Image.new("RGB", (40, 30)).save(tmp_path / "images" / "a.png")
    (tmp_path / "labels" / "a.txt").write_text("0 0.5 0.5 0.2 0.2\n")
    (tmp_path / "train.txt").write_text("images/a.png\n")
    (tmp_path / "d.names").write_text("red\nblue\n")
    (tmp_path / "d.data").write_text("classes=2\ntrain=train.txt\nnames=d.names\n")
    return tmp_path


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
