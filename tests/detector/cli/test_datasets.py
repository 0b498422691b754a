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


def test_a_model_reviews_labels_and_pictures_without_labels(yolo3, squares, tmp_path):
    found, table = tmp_path / "found.json", tmp_path / "review.csv"
    images = squares.parent / "images"
    box = {"class_id": 7, "name": "green", "confidence": 0.5, "box": [1.0, 1.0, 9.0, 9.0]}
    lines = [
        {"source": str(path), "width": 64, "height": 64, "detections": [box]} for path in sorted(images.glob("*.png"))
    ]
    found.write_text("".join(json.dumps(line) + "\n" for line in lines))

    code, text, err = yolo3("dataset", squares, "--review", found, "--sheet", tmp_path / "r.png", "--table", table)
    assert code == 0, err
    assert "32 of 32 pictures have boxes to look at" in text
    assert len(table.read_text().splitlines()) == 33
    with_labels = table.read_bytes()
    code, _, err = yolo3("dataset", squares, "--review", found, "--table", table)
    assert code == 2
    assert "--overwrite" in err
    assert table.read_bytes() == with_labels
    code, text, err = yolo3("dataset", images, "--review", found)
    assert code == 0, err
    assert "no labels; the pictures are ordered by how unsure the model is" in err


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--table", "r.csv"], "--table belongs to --review"),
        (["--review", "gone.json"], "gone.json: the log cannot be opened"),
        (["--review", "gone.json", "--table", "r.txt"], "written as .csv or .json"),
        (["--review", "gone.json", "--to", "coco", "--out", "new"], "--review only looks"),
        (["--to", "coco"], "--to and --out belong together"),
        (["--split", "0.8"], "--split writes a new dataset"),
        (["--pictures", "."], "--pictures belongs to"),
    ],
)
def test_options_that_do_not_fit_are_refused(yolo3, squares, options, words):
    code, _, err = yolo3("dataset", squares, *options)

    assert code == 2
    assert words in err
