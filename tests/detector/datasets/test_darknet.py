from pathlib import Path

import pytest
from PIL import Image

from detector.datasets.darknet import label_path
from detector.datasets.dataset import read_dataset
from detector.errors import DatasetError


@pytest.mark.parametrize(
    ("line", "words"),
    [
        pytest.param("2 0.5 0.5 0.2 0.2", "class 2 is not among the 2 names", id="class beyond the names"),
        pytest.param("-1 0.5 0.5 0.2 0.2", "class -1 is not among", id="negative class"),
        pytest.param("0 0.95 0.5 0.2 0.2", "leaves the picture", id="out at the right"),
        pytest.param("0 0.5 0.05 0.2 0.2", "leaves the picture", id="out at the top"),
        pytest.param("0 20 15 8 6", "leaves the picture", id="pixels instead of parts"),
        pytest.param("0 0.5 0.5 0 0.2", "above 0", id="no width"),
        pytest.param("0 0.5 0.5 nan 0.2", "not finite", id="no number"),
        pytest.param("0 0.5 0.5 0.2", "has 4 words", id="too few words"),
        pytest.param("car 0.5 0.5 0.2 0.2", "not a whole number", id="a name instead of an id"),
    ],
)
def test_an_invalid_label_is_reported_with_its_line(folder, line, words):
    (folder / "labels" / "a.txt").write_text(f"0 0.5 0.5 0.2 0.2\n\n{line}\n")

    with pytest.raises(DatasetError, match="one error") as caught:
        read_dataset(folder / "d.data")

    assert f"{folder / 'labels' / 'a.txt'}, line 3: " in str(caught.value)
    assert words in str(caught.value)


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
def test_an_invalid_data_file_is_reported(folder, content, words):
    (folder / "d.data").write_text(content)

    with pytest.raises(DatasetError) as caught:
        read_dataset(folder / "d.data")

    assert words in str(caught.value)


def test_labels_beside_the_picture_are_found(tmp_path):
    (tmp_path / "a.txt").write_text("")

    assert label_path(tmp_path / "a.jpg") == tmp_path / "a.txt"
    assert label_path(tmp_path / "images" / "b.jpg") == tmp_path / "labels" / "b.txt"


def test_a_list_that_begins_with_the_images_folder_finds_its_labels(folder, monkeypatch):
    monkeypatch.chdir(folder)

    dataset = read_dataset("d.data")

    assert label_path(Path("images/a.png")) == Path("labels/a.txt")
    assert len(dataset.train[0].boxes) == 1


@pytest.mark.parametrize(
    ("picture", "label"),
    [
        ("/d/images/train/b.jpg", "/d/labels/train/b.txt"),
        ("/images/x/JPEGImages/b.jpg", "/images/x/labels/b.txt"),
        ("/d/myimages/b.jpg", "/d/myimages/b.txt"),
    ],
)
def test_the_last_images_folder_of_a_path_becomes_labels(picture, label):
    assert label_path(Path(picture)) == Path(label)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "latin-1"])
def test_lists_and_labels_in_other_encodings_are_read(folder, encoding):
    (folder / "images" / "a.png").rename(folder / "images" / "ä.png")
    (folder / "labels" / "a.txt").unlink()
    (folder / "labels" / "ä.txt").write_text("0 0.5 0.5 0.2 0.2\n", encoding)
    for name, text in (("train.txt", "images/ä.png\n"), ("d.data", "classes=2\ntrain=train.txt\nnames=d.names\n")):
        (folder / name).write_text(text, encoding)

    assert len(read_dataset(folder / "d.data").train[0].boxes) == 1


def test_a_folder_may_stand_for_a_list(folder):
    (folder / "d.data").write_text("classes=2\ntrain=images\nnames=d.names\n")
    (folder / "images" / "deeper").mkdir()
    Image.new("RGB", (8, 8)).save(folder / "images" / "deeper" / "b.jpg")
    (folder / "images" / "notes.md").write_text("")

    dataset = read_dataset(folder / "d.data")

    assert [example.path.name for example in dataset.train] == ["a.png", "b.jpg"]
    assert [len(example.boxes) for example in dataset.train] == [1, 0]


@pytest.mark.parametrize("name", ["x" * 5000, "a\0b"])
def test_an_impossible_file_name_is_a_missing_picture(folder, name):
    (folder / "train.txt").write_text(name)

    with pytest.raises(DatasetError, match="no such picture"):
        read_dataset(folder / "d.data")


@pytest.mark.parametrize("classes", ["0", "999999999999", "²", "1" * 5000])
def test_an_impossible_number_of_classes_is_refused(folder, classes):
    (folder / "d.data").write_text(f"classes={classes}\ntrain=train.txt\n")

    with pytest.raises(DatasetError, match="expected a number, 1 to 100000"):
        read_dataset(folder / "d.data")
