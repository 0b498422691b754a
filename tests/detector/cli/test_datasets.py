import json

import pytest

from detector.datasets.dataset import read_dataset


def test_a_dataset_is_described_shown_and_split(yolo3, squares, tmp_path):
    out, sheet = tmp_path / "new", tmp_path / "sheet.jpg"
    options = ["--sheet", sheet, "--to", "ultralytics", "--out", out, "--split", 0.75]

    code, text, err = yolo3("dataset", squares, *options)

    assert code == 0, err
    assert "all validation pictures are training pictures too" in err
    assert text.splitlines()[1].split() == ["pictures", "24", "8"]
    assert f"Wrote {sheet}" in text
    assert f"Wrote {out / 'data.yaml'}" in text
    dataset = read_dataset(out)
    assert (len(dataset.train), len(dataset.valid), dataset.names) == (24, 8, ("red", "blue"))
    code, _, err = yolo3("dataset", squares, "--to", "coco", "--out", out)
    assert code == 2
    assert "name a new folder" in err


def test_errors_are_repaired_on_request_and_never_in_place(yolo3, squares, tmp_path):
    dataset = tmp_path / "copy"
    yolo3("dataset", squares, "--to", "coco", "--out", dataset)
    path = dataset / "instances_train.json"
    content = json.loads(path.read_text())
    content["annotations"][0]["bbox"][0] = -8
    content["annotations"][1]["category_id"] = 77
    path.write_text(json.dumps(content))
    before = path.read_bytes()

    code, _, err = yolo3("dataset", path)
    assert code == 2
    assert "2 errors" in err
    code, text, err = yolo3("dataset", path, "--clip", "--skip", "--to", "darknet", "--out", tmp_path / "mended")

    assert code == 0, err
    assert "1 boxes that left their picture were clipped" in err
    assert "skipped: " in err
    assert path.read_bytes() == before
    assert sum(len(one.boxes) for one in read_dataset(tmp_path / "mended").train) == 63
    assert "boxes" in text


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--to", "coco"], "--to and --out belong together"),
        (["--split", "0.8"], "--split writes a new dataset"),
        (["--pictures", "."], "--pictures belongs to"),
    ],
)
def test_options_that_do_not_fit_are_refused(yolo3, squares, options, words):
    code, _, err = yolo3("dataset", squares, *options)

    assert code == 2
    assert words in err
