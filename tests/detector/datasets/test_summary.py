import pytest
from PIL import Image

from detector.datasets.examples import Dataset, Example
from detector.datasets.summary import summarise


@pytest.fixture
def dataset(tmp_path):
    """Two training pictures with the same bytes, one of which is a validation picture too, and one without boxes."""
    for name, size, colour in (("a", (40, 30), "red"), ("b", (40, 30), "red"), ("c", (80, 60), "blue")):
        Image.new("RGB", size, colour).save(tmp_path / f"{name}.png")
    rows = [(0, 0.5, 0.5, 0.2, 0.2), (1, 0.5, 0.5, 0.5, 0.5)]
    train = [Example.from_rows(tmp_path / f"{name}.png", rows) for name in "ab"]
    train.append(Example.from_rows(tmp_path / "c.png", [], labelled=False))
    (tmp_path / "v.png").write_bytes((tmp_path / "c.png").read_bytes())
    return Dataset(("cat", "dog"), tuple(train), (Example.from_rows(tmp_path / "v.png", rows[:1]),))


def test_pictures_boxes_and_sizes_are_counted(dataset):
    summary = summarise(dataset)

    assert summary.splits["train"].pictures == 3
    assert (summary.splits["train"].without_boxes, summary.splits["train"].without_labels) == (1, 1)
    assert summary.splits["train"].boxes == (2, 2)
    assert summary.splits["valid"].boxes == (1, 0)
    assert summary.sizes == ((40, 30), (80, 60), (80, 60))
    assert summary.box_sides == pytest.approx((0.2, 0.2, 0.5))


def test_the_same_bytes_are_found_within_and_across_splits(dataset):
    summary = summarise(dataset)

    assert [[path.name for path in group] for group in summary.duplicates] == [["a.png", "b.png"]]
    assert [[path.name for path in group] for group in summary.leaks] == [["c.png", "v.png"]]


def test_the_summary_is_a_table(dataset):
    lines = summarise(dataset).lines()

    assert lines[0].split() == ["train", "valid"]
    assert lines[1].split() == ["pictures", "3", "1"]
    assert lines[5].split() == ["cat", "2", "1"]
    assert "sizes: 40x30, 80x60, 80x60 (smallest, median, largest)" in lines
    assert "pictures that are the same in several splits: 2" in lines
