import numpy as np
import pytest

from convert.network import build
from detector.training.batch_norm import BatchStatistics, statistics_of
from tests.detector.squares import squares_network


@pytest.fixture
def model():
    return build(squares_network())


@pytest.fixture
def batches():
    rng = np.random.default_rng(0)
    return [rng.uniform(0, 1, (4, 64, 64, 3)).astype(np.float32) for _ in range(3)]


def first_layer(model, batches):
    """Mean and variance of what the first batch normalisation is given, over all batches."""
    kernel = np.asarray(model.get_layer("conv_0").kernel)
    pictures = np.concatenate(batches)
    padded = np.pad(pictures, ((0, 0), (1, 1), (1, 1), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(1, 2))[:, ::2, ::2]
    values = np.einsum("brcihw,hwio->brco", windows, kernel)
    return values.mean(axis=(0, 1, 2)), values.var(axis=(0, 1, 2))


def test_the_statistics_are_those_of_the_batches(model, batches):
    mean, variance = first_layer(model, batches)

    BatchStatistics(model, {}).estimate(batches, step=10)

    layer = model.get_layer("bn_0")
    assert np.asarray(layer.moving_mean) == pytest.approx(mean, abs=1e-4)
    assert np.asarray(layer.moving_variance) == pytest.approx(variance, rel=1e-3, abs=1e-5)


def test_inference_gives_the_same_outputs_as_training(model, batches):
    BatchStatistics(model, {}).estimate(batches[:1], step=10)

    trained, inferred = (np.asarray(model(batches[0], training=training)) for training in (True, False))

    assert inferred == pytest.approx(trained, abs=1e-3)


def test_initial_statistics_keep_the_weight_of_a_moving_average(model, batches):
    layer = model.get_layer("bn_0")
    mean, variance = first_layer(model, batches)
    statistics = BatchStatistics(model, statistics_of(model, ["bn_0"]))

    statistics.estimate(batches, step=8)

    kept = layer.momentum**8
    assert np.asarray(layer.moving_mean) == pytest.approx(mean * (1 - kept), abs=1e-4)
    assert np.asarray(layer.moving_variance) == pytest.approx(variance * (1 - kept) + kept, abs=1e-4)


def test_frozen_layers_keep_their_statistics(model, batches):
    model.get_layer("bn_0").trainable = False

    BatchStatistics(model, {}).estimate(batches, step=10)

    assert np.asarray(model.get_layer("bn_0").moving_variance).tolist() == [1] * 8
    assert np.asarray(model.get_layer("bn_1").moving_variance).max() != 1


def test_the_state_is_restored(model):
    statistics = BatchStatistics(model, statistics_of(model, ["bn_0", "conv_0"]))
    other = BatchStatistics(model, {})

    other.restore(statistics.state())

    assert {name: np.stack(pair).tolist() for name, pair in other.initial.items()} == {"bn_0": [[0] * 8, [1] * 8]}
