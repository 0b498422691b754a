import numpy as np
import pytest
from PIL import Image

from detector.datasets.dataset import read_dataset
from detector.errors import DatasetError


def test_darknet_data_are_read(squares):
    dataset = read_dataset(squares)

    assert dataset.names == ("red", "blue")
    assert (len(dataset.train), len(dataset.valid)) == (32, 16)
    assert dataset.notes == ("all validation pictures are training pictures too, which overstates the result",)
    first = dataset.train[0]
    assert first.class_id.tolist() == [0, 1]
    picture = np.array(Image.open(first.path))
    red = np.argwhere((picture == (230, 30, 30)).all(axis=2))
    top, left = red.min(axis=0)
    bottom, right = red.max(axis=0) + 1
    wanted = [(left + right) / 128, (top + bottom) / 128, (right - left) / 64, (bottom - top) / 64]
    assert first.boxes[0] == pytest.approx(wanted)


def test_all_errors_are_reported_together(folder):
    (folder / "labels" / "a.txt").write_text("7 0.5 0.5 0.2 0.2\n0 0.5 0.5 3 0.2\n")
    (folder / "images" / "b.jpg").write_bytes(b"no picture")
    (folder / "train.txt").write_text("images/a.png\nimages/missing.png\nimages/b.jpg\n")

    with pytest.raises(DatasetError, match="4 errors") as caught:
        read_dataset(folder / "d.data")

    message = str(caught.value)
    assert "a.txt, line 1" in message
    assert "a.txt, line 2" in message
    assert f"{folder / 'train.txt'}, line 2: images/missing.png: no such picture" in message
    assert f"{folder / 'images' / 'b.jpg'}: the picture does not open" in message


@pytest.mark.parametrize("content", [None, "", "\n\n"], ids=["missing", "empty", "blank"])
def test_a_picture_without_objects_is_legal(folder, content):
    Image.new("RGB", (8, 8)).save(folder / "images" / "b.png")
    (folder / "labels" / "b.txt").write_text("0 0.5 0.5 0.2 0.2")
    (folder / "train.txt").write_text("images/a.png\nimages/b.png\n")
    (folder / "labels" / "a.txt").unlink()
    if content is not None:
        (folder / "labels" / "a.txt").write_text(content)

    dataset = read_dataset(folder / "d.data")

    assert dataset.train[0].boxes.shape == (0, 4)
    assert "overstates" in dataset.notes[-1]


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(DatasetError, match="no such file"):
        read_dataset(tmp_path / "x.data")


def test_no_box_at_all_is_an_error(folder):
    (folder / "labels" / "a.txt").unlink()

    with pytest.raises(
        DatasetError, match=r"none of the 1 training pictures has a box; .*labels/a\.txt does not exist"
    ):
        read_dataset(folder / "d.data")


def test_pictures_without_a_label_file_are_counted(folder):
    for name in "bc":
        Image.new("RGB", (8, 8)).save(folder / "images" / f"{name}.png")
    (folder / "train.txt").write_text("images/a.png\nimages/b.png\nimages/c.png\n")

    notes = read_dataset(folder / "d.data").notes

    assert any(note.startswith("2 pictures have no label file") and "b.png" in note for note in notes)


@pytest.mark.parametrize(
    ("train", "valid", "words"),
    [
        ("aab", "c", "1 training pictures are listed more than once"),
        ("ab", "ab", "all validation pictures are training pictures too"),
        ("ab", "bc", "1 validation pictures are training pictures too"),
    ],
)
def test_pictures_in_two_splits_are_reported(folder, train, valid, words):
    for name in "bc":
        Image.new("RGB", (8, 8)).save(folder / "images" / f"{name}.png")
        (folder / "labels" / f"{name}.txt").write_text("1 0.5 0.5 0.2 0.2\n")
    for name, pictures in (("train.txt", train), ("valid.txt", valid)):
        (folder / name).write_text("\n".join(f"images/{picture}.png" for picture in pictures))
    (folder / "d.data").write_text("classes=2\ntrain=train.txt\nvalid=valid.txt\nnames=d.names\n")

    assert any(note.startswith(words) for note in read_dataset(folder / "d.data").notes)


def test_options_of_coco_are_refused_for_a_data_file(folder):
    with pytest.raises(DatasetError, match=r"--valid belongs to COCO's \.json"):
        read_dataset(folder / "d.data", valid=folder / "d.data")


def test_validation_pictures_alone_can_be_evaluated_on(folder):
    (folder / "d.data").write_text("classes=2\nvalid=train.txt\nnames=d.names\n")

    dataset = read_dataset(folder / "d.data")

    assert (len(dataset.train), len(dataset.valid)) == (0, 1)
