"""The same labels written in every format and read back; each format's own tools are tested if installed."""

import json

import numpy as np
import pytest
from PIL import Image

from detector.datasets.dataset import ReadOptions, read_with
from detector.datasets.examples import Dataset, Example
from detector.datasets.writing import write_dataset
from detector.errors import OutputError

FORMS = ("darknet", "ultralytics", "coco", "voc", "cvat", "label-studio", "csv")
NAMES = ("zebra", "bus & car", "ämter")


@pytest.fixture
def dataset(tmp_path):
    """28 boxes on eight pictures of several sizes; one picture has none, two have one name."""
    rng = np.random.default_rng(0)
    examples = []
    for number in range(8):
        folder = tmp_path / "source" / str(number % 2)
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{number // 2} ö.jpg"
        Image.new("RGB", (64 + 8 * number, 48), (number, 0, 0)).save(path)
        rows = [
            (place % 3, *rng.uniform(0.2, 0.8, 2).tolist(), *rng.uniform(0.1, 0.4, 2).tolist())
            for place in range(0 if number == 6 else 4)
        ]
        examples.append(Example.from_rows(path, rows))
    return Dataset(NAMES, tuple(examples[:5]), tuple(examples[5:7]), tuple(examples[7:]))


def boxes_of(examples, names):
    """Picture size and boxes of each example, sorted."""
    rows = []
    for example in examples:
        with Image.open(example.path) as image:
            size, red = image.size, image.getpixel((0, 0))[0]
        named = zip(example.class_id.tolist(), example.boxes.tolist(), strict=True)
        found = sorted((names[kind], *(round(part, 3) for part in box)) for kind, box in named)
        rows.append((red, size, found))
    return sorted(rows, key=lambda row: row[1])


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_data(dataset, tmp_path, form):
    path = write_dataset(dataset, tmp_path / "new place", form)

    if form == "coco":
        files = [path.with_name(f"instances_{split}.json") for split in ("train", "valid", "test")]
        parts = [read_with(file, ReadOptions(skip=True)) for file in files]
        names, splits = parts[0].names, [part.train for part in parts]
    else:
        found = read_with(path, ReadOptions())
        names, splits = found.names, [found.train, found.valid, found.test]
        if form == "label-studio":  # has no splits
            splits = [splits[0], (), ()]
    assert sorted(names) == sorted(NAMES)
    wanted = [dataset.train, dataset.valid, dataset.test]
    if form == "label-studio":
        wanted = [(*dataset.train, *dataset.valid, *dataset.test), (), ()]
    for own, expected in zip(splits, wanted, strict=True):
        for (red, size, rows), (other_red, other_size, others) in zip(
            boxes_of(own, names), boxes_of(expected, NAMES), strict=True
        ):
            assert (size, abs(red - other_red) < 4) == (other_size, True)
            assert [row[0] for row in rows] == [row[0] for row in others]
            assert np.array([row[1:] for row in rows]) == pytest.approx(np.array([row[1:] for row in others]), abs=2e-3)


@pytest.mark.parametrize("form", FORMS)
def test_nothing_is_changed_in_place(dataset, tmp_path, form):
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "mine.txt").write_text("mine")

    with pytest.raises(OutputError, match="name a new folder"):
        write_dataset(dataset, tmp_path / "taken", form)

    assert [path.name for path in (tmp_path / "taken").iterdir()] == ["mine.txt"]


def test_pycocotools_reads_cocos_form(dataset, tmp_path):
    coco = pytest.importorskip("pycocotools.coco").COCO

    found = coco(str(write_dataset(dataset, tmp_path / "new", "coco")))

    assert len(found.getImgIds()) == 5
    assert len(found.getAnnIds()) == 20
    assert [category["name"] for category in found.loadCats(found.getCatIds())] == list(NAMES)


def test_label_studios_converter_reads_its_form(dataset, tmp_path):
    converter = pytest.importorskip("label_studio_sdk.converter")
    config = '<View><Image name="image" value="$image"/><RectangleLabels name="label" toName="image">' + "".join(
        f'<Label value="{name.replace("&", "&amp;")}"/>' for name in NAMES
    )
    config += "</RectangleLabels></View>"
    path = write_dataset(dataset, tmp_path / "new", "label-studio")

    converter.Converter(config, str(tmp_path / "new"), download_resources=False).convert_to_coco(
        str(path), str(tmp_path / "converted"), output_image_dir=str(tmp_path / "images"), is_dir=False
    )

    (result,) = (tmp_path / "converted").glob("*.json")
    assert len(json.loads(result.read_text())["annotations"]) == 28


def test_yaml_of_ultralytics_form_is_read_by_yaml(dataset, tmp_path):
    yaml = pytest.importorskip("yaml")

    content = yaml.safe_load(write_dataset(dataset, tmp_path / "new", "ultralytics").read_text())

    assert content == {
        "train": "images/train",
        "val": "images/valid",
        "test": "images/test",
        "names": dict(enumerate(NAMES)),
    }


def test_ultralytics_own_check_reads_its_form(dataset, tmp_path, monkeypatch):
    utils = pytest.importorskip("ultralytics.data.utils")
    from ultralytics.data.dataset import YOLODataset

    path = write_dataset(dataset, tmp_path / "new ö", "ultralytics")
    monkeypatch.chdir(tmp_path)

    found = utils.check_det_dataset(str(path), autodownload=False)

    assert found["names"] == dict(enumerate(NAMES))
    counts = {}
    for split in ("train", "val", "test"):
        labels = YOLODataset(img_path=found[split], data=found, task="detect", augment=False).labels
        counts[split] = len(labels), sum(len(label["bboxes"]) for label in labels)
    assert counts == {"train": (5, 20), "val": (2, 4), "test": (1, 4)}


@pytest.mark.parametrize("form", ["voc", "cvat"])
def test_datumaro_reads_vocs_and_cvats_forms(dataset, tmp_path, form):
    reader = pytest.importorskip("datumaro.components.dataset").Dataset
    together = Dataset(NAMES, (*dataset.train, *dataset.valid, *dataset.test), ())
    path = write_dataset(together, tmp_path / "new", form)

    found = reader.import_from(str(path if form == "voc" else path.parent), form)

    assert len(found) == 8
    assert sum(len([one for one in item.annotations if one.type.name == "bbox"]) for item in found) == 28


def test_vocs_classes_keep_their_order_also_those_without_boxes(dataset, tmp_path):
    names = ("unused", *NAMES)
    moved = [Example(one.path, one.boxes, one.class_id + 1, one.crowd) for one in dataset.train]

    found = read_with(write_dataset(Dataset(names, tuple(moved), ()), tmp_path / "new", "voc"), ReadOptions())

    assert found.names == names


def test_cvat_names_subsets_only_where_there_are_several(dataset, tmp_path):
    one = write_dataset(Dataset(NAMES, dataset.train, ()), tmp_path / "one", "cvat")
    several = write_dataset(dataset, tmp_path / "several", "cvat")

    assert "subset=" not in one.read_text("utf-8")
    assert 'name="train/0 ö.jpg" subset="Train"' in several.read_text("utf-8")
