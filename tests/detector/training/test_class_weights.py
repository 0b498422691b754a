from pathlib import Path

import numpy as np
import pytest

from detector.datasets.examples import Dataset, Example
from detector.errors import SettingsError
from detector.training.class_weights import class_weights, read_class_weights, weights_note

NAMES = ("car", "traffic light", "bus")


def dataset(counts):
    rows = [(kind, 0.5, 0.5, 0.2, 0.2) for kind, count in enumerate(counts) for _ in range(count)]
    return Dataset(NAMES, (Example.from_rows(Path("a.jpg"), rows),), ())


@pytest.mark.parametrize("counts", [(90, 10, 0), (5, 5, 5), (10_000, 1, 7), (0, 0, 0)])
def test_rare_classes_weigh_more_and_the_mean_box_weighs_1(counts):
    weights = np.array(class_weights("auto", dataset(counts)))

    there = np.array(counts) > 0
    assert (weights[~there] == 1).all()
    order = np.argsort(np.array(counts)[there])
    assert (np.diff(weights[there][order]) <= 1e-12).all()
    if there.any():
        assert (weights * counts).sum() / sum(counts) == pytest.approx(1)


def test_without_weights_the_loss_has_none():
    assert class_weights("none", dataset((1, 2, 3))) == ()
    assert weights_note((), NAMES) == ""


def test_a_file_names_classes_in_any_order(tmp_path):
    path = tmp_path / "gewichte ü.txt"
    path.write_text("# twice as much\n\ntraffic light = 2\n bus=0.5 \n", encoding="utf-8")

    weights = class_weights(str(path), dataset((1, 1, 1)))

    assert weights == (1.0, 2.0, 0.5)
    assert weights_note(weights, NAMES) == "class weights from 0.50 (bus) to 2.00 (traffic light)"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("car 2", "line 1: 'car 2'; expected NAME = WEIGHT"),
        ("car = 1\ntruck = 2", "line 2: 'truck' is not a class of the dataset; expected car, traffic light, bus"),
        ("car = 1\ncar = 2", "line 2: car has a weight already, 1"),
        ("car = 0", "line 1: weight '0' is out of range"),
        ("car = nan", "line 1: weight 'nan' is out of range"),
        ("car = many", "line 1: weight 'many' is out of range"),
    ],
)
def test_mistakes_are_named_with_their_line(tmp_path, text, words):
    (tmp_path / "w.txt").write_text(text)

    with pytest.raises(SettingsError, match=r"w\.txt") as caught:
        read_class_weights(tmp_path / "w.txt", NAMES)

    assert words in str(caught.value)


def test_a_missing_file_names_the_choices(tmp_path):
    with pytest.raises(SettingsError, match="auto, none, or a file"):
        class_weights(str(tmp_path / "gone.txt"), dataset((1, 1, 1)))
