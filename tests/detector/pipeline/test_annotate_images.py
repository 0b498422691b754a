import io
import json

import numpy as np
import pytest
from PIL import Image

from detector.detections import Detections
from detector.errors import OutputError, PictureError, WriteError
from detector.pipeline.annotate_images import Copies, json_file, run_batch

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

    run_batch(["dog.jpg", "bad.jpg", "b.jpg"], two_boxes, read=blank, json_lines=written, complain=lambda line: None)

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

    run_batch(["photos/dog.png"], two_boxes, read=lambda source: picture, copies=copies, say=lambda line: None)

    drawn = np.asarray(Image.open(tmp_path / "out" / "dog.png"))
    assert (drawn != 90).any()
    assert (picture == 90).all()


def test_two_pictures_of_one_name_get_two_copies(tmp_path):
    copies = Copies.plan(["a/dog.jpg", "b/dog.jpg", "b/cat.jpg"], tmp_path)

    assert [path.name for path in copies.paths.values()] == ["dog.jpg", "dog-2.jpg", "cat.jpg"]


def test_a_copy_never_replaces_a_picture_that_is_read(tmp_path):
    (tmp_path / "dog.jpg").write_bytes(b"the only photo of the dog")

    with pytest.raises(OutputError, match="one of the pictures to read"):
        Copies.plan([str(tmp_path / "dog.jpg")], tmp_path, overwrite=True)


def test_an_earlier_copy_is_replaced_only_when_told(tmp_path):
    (tmp_path / "dog.jpg").write_bytes(b"earlier")

    with pytest.raises(OutputError, match="--overwrite"):
        Copies.plan(["photos/dog.jpg"], tmp_path)
    assert Copies.plan(["photos/dog.jpg"], tmp_path, overwrite=True).paths


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")

    with pytest.raises(OutputError, match="cannot be made"):
        Copies.plan(["dog.jpg"], tmp_path / "file" / "out")


def test_a_json_file_takes_its_name_when_it_is_whole(tmp_path):
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


def test_a_run_that_breaks_off_leaves_the_part_only(tmp_path):
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
