import numpy as np
import pytest

from convert.keras_import import import_keras
from detector.engines.folding import fold


@pytest.fixture(scope="module")
def keras():
    return import_keras()


def shake(model):
    random = np.random.default_rng(5)
    for variable in model.variables:
        variable.assign(random.uniform(0.5, 1.5, variable.shape))
    return model


def kinds(model):
    return [type(layer).__name__ for layer in model.layers]


def agree(model, folded, shape):
    picture = np.random.default_rng(6).uniform(-1, 1, shape).astype(np.float32)
    np.testing.assert_allclose(folded(picture), model(picture, training=False), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    "convolution",
    [
        pytest.param(lambda k: k.Conv2D(6, 3, use_bias=False), id="plain"),
        pytest.param(lambda k: k.Conv2D(6, 3, use_bias=True), id="with a bias of its own"),
        pytest.param(lambda k: k.DepthwiseConv2D(3, use_bias=False), id="depthwise"),
        pytest.param(lambda k: k.DepthwiseConv2D(3, depth_multiplier=2, use_bias=False), id="depthwise, two each"),
    ],
)
def test_batch_normalisation_is_merged_into_the_convolution(keras, convolution):
    source = keras.Input((None, None, 3))
    middle = keras.layers.BatchNormalization(epsilon=1e-5)(convolution(keras.layers)(source))
    model = shake(keras.Model(source, keras.layers.LeakyReLU(negative_slope=0.1)(middle)))

    folded = fold(model)

    assert "BatchNormalization" not in kinds(folded)
    agree(model, folded, (2, 7, 9, 3))


def test_a_convolution_with_another_reader_is_unchanged(keras):
    source = keras.Input((None, None, 3))
    shared = keras.layers.Conv2D(4, 1)(source)
    normalised = keras.layers.BatchNormalization()(shared)
    model = shake(keras.Model(source, keras.layers.Add()([shared, normalised])))

    folded = fold(model)

    assert "BatchNormalization" in kinds(folded)
    agree(model, folded, (1, 4, 4, 3))


@pytest.mark.parametrize(("activation", "options"), [("relu", {}), (None, {"scale": False}), (None, {"center": False})])
def test_layers_that_cannot_be_folded_are_unchanged(keras, activation, options):
    source = keras.Input((None, None, 3))
    middle = keras.layers.Conv2D(4, 3, activation=activation)(source)
    model = shake(keras.Model(source, keras.layers.BatchNormalization(**options)(middle)))

    folded = fold(model)

    assert "BatchNormalization" in kinds(folded)
    agree(model, folded, (1, 4, 4, 3))


@pytest.mark.parametrize("times", [2, 3])
def test_up_sampling_contains_no_shape(keras, times):
    source = keras.Input((None, None, 5))
    model = keras.Model(source, keras.layers.UpSampling2D(times, interpolation="nearest")(source))

    folded = fold(model)

    assert "UpSampling2D" not in kinds(folded)
    agree(model, folded, (1, 4, 6, 5))
    agree(model, folded, (1, 3, 2, 5))
