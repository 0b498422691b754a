import dataclasses

import numpy as np
import pytest

from detector.datasets.examples import Dataset, Example
from detector.errors import OutputError
from detector.training.checkpoints import (
    BEST,
    LAST,
    STATE,
    Checkpoint,
    Identity,
    RunSource,
    check_new,
    read_checkpoint,
    read_identity,
    write_checkpoint,
)
from detector.training.settings import TrainSettings
from tests.detector.squares import squares_network

IDENTITY = Identity("[net]\n", "abc", TrainSettings(batch=4), RunSource("a.cfg", "b.data", names=("red", "blue")))
CHECKPOINT = Checkpoint(3, 120, 0.25, IDENTITY)


def test_a_checkpoint_is_read_back(tmp_path):
    write_checkpoint(tmp_path, CHECKPOINT, {"weights/0": np.arange(6, dtype=np.float32).reshape(2, 3)})

    checkpoint, state = read_checkpoint(tmp_path)

    assert checkpoint == CHECKPOINT
    assert state["weights/0"].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert [path.name for path in tmp_path.iterdir()] == [STATE]
    assert read_identity(tmp_path) == IDENTITY


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "no checkpoint.npz"),
        (b"", "start the training anew in another --out"),
        (b"PK\x03\x04 cut off", "damaged"),
    ],
)
def test_a_missing_checkpoint_is_reported(tmp_path, content, words):
    if content is not None:
        (tmp_path / STATE).write_bytes(content)

    with pytest.raises(OutputError, match=words):
        read_checkpoint(tmp_path)


def test_the_advice_for_a_damaged_checkpoint_names_the_last_model(tmp_path):
    (tmp_path / STATE).write_bytes(b"PK")
    (tmp_path / LAST).write_bytes(b"")

    with pytest.raises(OutputError, match=f"--start {tmp_path / LAST} --out ANOTHER"):
        read_checkpoint(tmp_path)


def test_a_folder_with_another_training_is_refused(tmp_path):
    check_new(tmp_path)
    (tmp_path / BEST).write_bytes(b"")
    with pytest.raises(OutputError, match=r"holds best\.h5 of another training; choose another --out"):
        check_new(tmp_path)
    (tmp_path / STATE).write_bytes(b"")
    with pytest.raises(OutputError, match="pass --resume"):
        check_new(tmp_path)


def identity(**changes):
    example = Example.from_rows("a.jpg", [(0, 0.5, 0.5, 0.1, 0.1)])
    example = dataclasses.replace(example, **{key: changes[key] for key in ("boxes", "class_id") if key in changes})
    dataset = Dataset(("red", "blue"), (example,), (example,))
    return Identity.of(squares_network().cfg, dataset, changes.get("settings", TrainSettings()), RunSource())


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, []),
        ({"class_id": np.array([1])}, ["pictures or labels"]),
        ({"boxes": np.full((1, 4), 0.2, np.float32)}, ["pictures or labels"]),
        ({"settings": TrainSettings(epochs=7, patience=3)}, []),
        ({"settings": TrainSettings(flip=0.1, seed=5)}, ["flip", "seed"]),
    ],
)
def test_changes_are_named(changes, words):
    assert identity().differences(identity(**changes)) == words
