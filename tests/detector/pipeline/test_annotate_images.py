import io
import json

import numpy as np
import pytest
from PIL import Image

from detector.detections import Detections
from detector.errors import OutputError, PictureError, WriteError
from detector.pipeline.annotate_images import json_file, run_batch
from detector.pipeline.picture_outputs import Copies, Hidden, JsonLines, ObjectCrops, Style, YoloLabels

NAMES = ("dog", "Vögelchen")


def found(*rows):
    values = np.array(rows, np.float32).reshape(-1, 6)
    return Detections(values[:, :4], values[:, 4], values[:, 5].astype(np.int64), NAMES)


def two_boxes(picture):
    return found((131.4, 219.2, 310.5, 541.0, 0.97, 0), (0, 0, 10, 10, 0.5, 1))


def blank(source):
    if "bad" in source:
        raise PictureError(f"{source}: no such file; check the name")
    return np.zeros((600, 400, 3), np.uint8)


def test_lines_for_people():
    lines = []

    failed = run_batch(["dog.jpg"], two_boxes, read=blank, say=lines.append)

    assert failed == 0
    assert lines == [
        "Found 2 boxes for dog.jpg",
        "dog 0.97 (131, 219) (310, 541)",
        "Vögelchen 0.50 (0, 0) (10, 10)",
    ]


def test_a_bad_picture_does_not_stop_the_others():
    lines, complaints = [], []

    failed = run_batch(
        ["a.jpg", "bad.jpg", "b.jpg"], lambda picture: found(), read=blank, say=lines.append, complain=complaints.append
    )

    assert failed == 1
    assert lines == ["Found 0 boxes for a.jpg", "Found 0 boxes for b.jpg"]
    assert complaints == ["bad.jpg: no such file; check the name"]


def test_one_json_object_per_picture_and_line():
    written = io.StringIO()

    run_batch(["dog.jpg", "bad.jpg", "b.jpg"], two_boxes, [JsonLines(written)], read=blank, complain=lambda line: None)

    records = [json.loads(line) for line in written.getvalue().splitlines()]
    assert [record["source"] for record in records] == ["dog.jpg", "b.jpg"]
    assert records[0] == {
        "source": "dog.jpg",
        "width": 400,
        "height": 600,
        "detections": [
            {"class_id": 0, "name": "dog", "confidence": 0.97, "box": [131.4, 219.2, 310.5, 541.0]},
            {"class_id": 1, "name": "Vögelchen", "confidence": 0.5, "box": [0.0, 0.0, 10.0, 10.0]},
        ],
    }
    assert "Vögelchen" in written.getvalue()


def test_an_address_never_shows_its_password():
    lines = []

    run_batch(["http://me:secret@host/dog.jpg"], two_boxes, read=blank, say=lines.append)

    assert lines[0] == "Found 2 boxes for http://host/dog.jpg"


def test_copies_are_drawn_and_the_picture_itself_is_not(tmp_path):
    picture = np.full((600, 400, 3), 90, np.uint8)
    copies = Copies.plan(["photos/dog.png"], tmp_path / "out")

    run_batch(["photos/dog.png"], two_boxes, [copies], read=lambda source: picture, say=lambda line: None)

    drawn = np.asarray(Image.open(tmp_path / "out" / "dog.png"))
    assert (drawn != 90).any()
    assert (picture == 90).all()


def test_two_pictures_with_one_name_get_two_copies(tmp_path):
    copies = Copies.plan(["a/dog.jpg", "b/dog.jpg", "b/cat.jpg"], tmp_path)

    assert [path.name for path in copies.paths.values()] == ["dog.jpg", "dog-2.jpg", "cat.jpg"]


def test_a_copy_never_replaces_a_picture_that_is_read(tmp_path):
    (tmp_path / "dog.jpg").write_bytes(b"the only photo of the dog")

    with pytest.raises(OutputError, match="one of the pictures to read"):
        Copies.plan([str(tmp_path / "dog.jpg")], tmp_path, overwrite=True)


def test_an_earlier_copy_is_replaced_only_with_overwrite(tmp_path):
    (tmp_path / "dog.jpg").write_bytes(b"earlier")

    with pytest.raises(OutputError, match="--overwrite"):
        Copies.plan(["photos/dog.jpg"], tmp_path)
    assert Copies.plan(["photos/dog.jpg"], tmp_path, overwrite=True).paths


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")

    with pytest.raises(OutputError, match="cannot be made"):
        Copies.plan(["dog.jpg"], tmp_path / "file" / "out")


def test_a_json_file_gets_its_name_when_it_is_complete(tmp_path):
    path = tmp_path / "new" / "boxes.json"

    with json_file(path) as file:
        file.write("{}\n")
        assert not path.exists()
    assert path.read_text() == "{}\n"

    with pytest.raises(OutputError, match="--overwrite"), json_file(path):
        pass
    with json_file(path, overwrite=True) as file:
        file.write("[]\n")
    assert path.read_text() == "[]\n"


def test_an_interrupted_run_leaves_only_the_part(tmp_path):
    path = tmp_path / "boxes.json"

    with pytest.raises(KeyboardInterrupt), json_file(path) as file:
        file.write("{}\n")
        raise KeyboardInterrupt

    assert not path.exists()
    assert (tmp_path / "boxes.json.part").read_text() == "{}\n"


def test_a_full_disk_names_the_file(tmp_path):
    with pytest.raises(WriteError, match=r"boxes\.json"), json_file(tmp_path / "boxes.json"):
        raise OSError(28, "No space left on device")


def test_a_part_of_another_name_is_never_replaced(tmp_path):
    (tmp_path / "boxes.json.part").write_text("mine")

    with pytest.raises(KeyboardInterrupt), json_file(tmp_path / "boxes.json") as file:
        file.write("{}\n")
        raise KeyboardInterrupt

    assert [path.name for path in tmp_path.iterdir()] == ["boxes.json.part"]
    assert (tmp_path / "boxes.json.part").read_text() == "mine"


def test_nothing_written_leaves_no_file(tmp_path):
    with json_file(tmp_path / "boxes.json"):
        pass

    assert list(tmp_path.iterdir()) == []


def test_json_names_the_copy_it_belongs_to(tmp_path):
    written, copies = io.StringIO(), Copies.plan(["http://me:secret@host/dog.jpg"], tmp_path)

    JsonLines(written, copies).write("http://me:secret@host/dog.jpg", blank(""), found())

    record = json.loads(written.getvalue())
    assert (record["source"], record["copy"]) == ("http://host/dog.jpg", str(tmp_path / "dog.jpg"))


def test_yolo_labels(tmp_path):
    labels = YoloLabels.plan(["a/dog.jpg", "b/dog.png", "empty.jpg"], tmp_path / "labels")

    for source in ("a/dog.jpg", "b/dog.png"):
        labels.write(source, blank(source), found((100, 150, 300, 450, 0.97, 1)))
    labels.write("empty.jpg", blank(""), found())

    assert sorted(path.name for path in (tmp_path / "labels").iterdir()) == [
        "classes.txt",
        "dog-2.txt",
        "dog.txt",
        "empty.txt",
    ]
    assert (tmp_path / "labels" / "dog.txt").read_text() == "1 0.500000 0.500000 0.500000 0.500000\n"
    assert (tmp_path / "labels" / "empty.txt").read_text() == ""
    assert (tmp_path / "labels" / "classes.txt").read_text("utf-8") == "dog\nVögelchen\n"
    with pytest.raises(OutputError, match="--overwrite"):
        YoloLabels.plan(["a/dog.jpg"], tmp_path / "labels")
    with pytest.raises(OutputError, match="--overwrite"):
        YoloLabels.plan(["other.jpg"], tmp_path / "labels")


def test_objects_are_cut_out(tmp_path):
    picture = np.zeros((60, 80, 3), np.uint8)
    picture[10:30, 20:50] = (0, 0, 255)
    crops = ObjectCrops(["a/dog.jpg", "b/dog.png"], tmp_path / "crops")

    for source in ("a/dog.jpg", "b/dog.png"):
        crops.write(source, picture, found((20, 10, 50, 30, 0.9, 0)))

    assert sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.jpg")) == [
        "crops/dog/dog-2_0.jpg",
        "crops/dog/dog_0.jpg",
    ]
    with Image.open(tmp_path / "crops" / "dog" / "dog_0.jpg") as crop:
        assert crop.size == (30, 20)
        assert np.asarray(crop)[..., 2].min() > 200
    with pytest.raises(OutputError, match="not empty"):
        ObjectCrops(["a.jpg"], tmp_path / "crops")
    assert ObjectCrops(["a.jpg"], tmp_path / "crops", overwrite=True)


def test_a_class_name_cannot_escape_the_folder(tmp_path):
    detections = Detections(
        np.array([[0, 0, 9, 9]], np.float32), np.ones(1, np.float32), np.zeros(1, np.int64), ("../../etc",)
    )

    ObjectCrops(["a.jpg"], tmp_path / "in" / "crops").write("a.jpg", blank(""), detections)

    assert [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.jpg")] == ["in/crops/______etc/a_0.jpg"]


def test_hidden_objects_are_hidden_in_all_outputs(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (90, 120, 3), np.uint8)
    seen = []

    class Output:
        def write(self, source, picture, detections):
            seen.append(picture)

    Hidden(frozenset({1}), [Output()]).write("a.png", noise, found((30, 30, 60, 60, 0.9, 1), (70, 0, 100, 25, 0.8, 0)))

    (picture,) = seen
    assert len(np.unique(picture[30:60, 30:60].reshape(-1, 3), axis=0)) < 60
    assert (picture[:25, 70:100] == noise[:25, 70:100]).all()


def test_the_style_of_boxes(tmp_path):
    def drawn(**options):
        copies = Copies.plan(["a.png"], tmp_path, overwrite=True, style=Style(**options))
        copies.write("a.png", blank(""), two_boxes(None))
        return np.asarray(Image.open(tmp_path / "a.png"))

    plain, no_labels, thick = drawn(), drawn(labels=False), drawn(labels=False, line_width=9)
    no_number = drawn(confidence=False)
    assert (plain > 0).sum() > (no_number > 0).sum() > (no_labels > 0).sum()
    assert (thick > 0).sum() > 2 * (no_labels > 0).sum()


def test_a_class_name_cannot_fake_a_line(tmp_path):
    names = ("dog\nFound 0 boxes for b.jpg\x1b[2J", "cat")
    lines = []

    def one(picture):
        return Detections(np.array([[0, 0, 9, 9]], np.float32), np.ones(1, np.float32), np.ones(1, np.int64) * 0, names)

    run_batch(["a.jpg"], one, [YoloLabels.plan(["a.jpg"], tmp_path)], read=blank, say=lines.append)

    assert len(lines) == 2
    assert not any("\n" in line or "\x1b" in line for line in lines)
    assert len((tmp_path / "classes.txt").read_text().splitlines()) == 2
