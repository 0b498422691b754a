import dataclasses

import numpy as np
import pytest

from detector.datasets.dataset import read_dataset
from detector.training.data_loader import BATCHES_PER_SIZE, DataLoader, InputShape
from detector.training.settings import TrainSettings
from detector.training.targets import read_rules
from tests.detector.squares import squares_network


@pytest.fixture
def loader(squares):
    def make(settings=TrainSettings(batch=8)):  # noqa: B008 - frozen
        examples = read_dataset(squares).train
        return DataLoader(examples, read_rules(squares_network()), settings, InputShape(64, 64, "stretch"))

    return make


def test_an_epoch_has_every_picture_once(loader):
    plain = TrainSettings(batch=8, scale=0, flip=0, colour=0)

    batches = list(loader(plain).epoch(0))

    assert [batch.pictures.shape for batch in batches] == [(8, 64, 64, 3)] * 4
    assert len(np.unique(np.concatenate([batch.pictures for batch in batches]).reshape(32, -1), axis=0)) == 32
    assert batches[0].truths.shape == (8, 16, 4)
    assert batches[0].truth_classes[0].tolist() == [0, 1, *[-1] * 14]


def test_batches_depend_only_on_the_seed_and_the_epoch(loader):
    one, same, other = (np.concatenate([batch.pictures for batch in loader().epoch(number)]) for number in (3, 3, 4))

    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)


@pytest.mark.parametrize("count", [1, 4, 9])
def test_pictures_continue_into_the_next_epochs(loader, count):
    batches = list(loader().pictures(2, count))

    assert len(batches) == count


def test_a_multi_scale_training_changes_its_input_every_ten_batches(loader):
    several = loader(TrainSettings(batch=1, multi_scale=True))

    sizes = [batch.pictures.shape[1:3] for batch in several.epoch(0)]

    assert len(sizes) == 32
    assert len(set(sizes)) > 1
    assert all(height == width and height % 8 == 0 and 0.6 * 64 <= height <= 1.5 * 64 for height, width in sizes)
    assert len(set(sizes[:BATCHES_PER_SIZE])) == 1
    assert next(several.pictures(0, 1)).shape == (1, 64, 64, 3)


def test_crowds_are_not_trained_on(squares):
    example = read_dataset(squares).train[0]
    crowd = dataclasses.replace(example, crowd=np.array([True, False]))
    loader = DataLoader([crowd], read_rules(squares_network()), TrainSettings(scale=0), InputShape(64, 64, "stretch"))

    (batch,) = loader.epoch(0)

    assert batch.truth_classes[0, :2].tolist() == [1, -1]
