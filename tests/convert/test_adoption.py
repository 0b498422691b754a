"""Adopting models of the old Keras ports, from files written here in the layout of Keras 2."""

import json

import h5py
import numpy as np
import pytest

from convert import convert
from convert.adopted import read_anchors
from convert.adoption import adopt
from convert.errors import InputError, ModelFileError
from convert.export import export_weights
from convert.inspection import inspect
from convert.model_file import check_layers, read_description

ANCHORS = "10,14, 23,27, 37,58, 81,82, 135,169, 344,319"


def layer(kind, name, *inputs, **config):
    nodes = [[[one, 0, 0, {}] for one in inputs]] if inputs else []
    return {"class_name": kind, "name": name, "config": {"name": name, **config}, "inbound_nodes": nodes}


def old_layers(classes=2, epsilon=0.001, extra=()):
    filters = 3 * (5 + classes)
    regularizer = {"class_name": "L1L2", "config": {"l1": 0.0, "l2": 0.0005}}
    conv = {"kernel_regularizer": regularizer, "data_format": "channels_last", "activation": "linear"}
    return [
        layer("InputLayer", "input_1", batch_input_shape=[None, None, None, 3], dtype="float32", sparse=False),
        layer("ZeroPadding2D", "pad", "input_1", padding=[[1, 0], [1, 0]]),
        layer(
            "Conv2D", "conv2d_1", "pad", filters=4, kernel_size=[3, 3], strides=[2, 2], padding="valid", use_bias=False,
            **conv,
        ),
        layer("BatchNormalization", "bn", "conv2d_1", axis=-1, momentum=0.99, epsilon=epsilon, center=True, scale=True),
        layer("LeakyReLU", "leaky", "bn", alpha=0.10000000149011612),
        layer("MaxPooling2D", "pool", "leaky", pool_size=[2, 2], strides=[2, 2], padding="same"),
        layer("Conv2D", "coarse", "pool", filters=filters, kernel_size=[1, 1], strides=[1, 1], use_bias=True, **conv),
        layer("UpSampling2D", "up", "pool", size=[2, 2], data_format="channels_last"),
        layer("Concatenate", "join", "up", "leaky", axis=-1),
        layer("Conv2D", "fine", "join", filters=filters, kernel_size=[1, 1], strides=[1, 1], use_bias=True, **conv),
        *extra,
    ]  # fmt: skip


def write_old(path, layers, seed=0):
    """A Keras 2 file: the list of layers as JSON, the weights by layer."""
    rng = np.random.default_rng(seed)
    filters = layers[6]["config"]["filters"]
    weights = {
        "conv2d_1": {"kernel": rng.normal(0, 0.3, (3, 3, 3, 4))},
        "bn": {
            "gamma": rng.uniform(0.5, 1, 4),
            "beta": rng.normal(0, 1, 4),
            "moving_mean": rng.normal(0, 0.1, 4),
            "moving_variance": rng.uniform(0.001, 0.01, 4),
        },
        "coarse": {"kernel": rng.normal(0, 0.3, (1, 1, 4, filters)), "bias": rng.normal(0, 1, filters)},
        "fine": {"kernel": rng.normal(0, 0.3, (1, 1, 8, filters)), "bias": rng.normal(0, 1, filters)},
    }
    outputs = [["coarse", 0, 0], ["fine", 0, 0]]
    config = {"name": "model_1", "layers": layers, "input_layers": [["input_1", 0, 0]], "output_layers": outputs}
    with h5py.File(path, "w") as file:
        file.attrs["keras_version"] = b"2.1.5"
        file.attrs["model_config"] = json.dumps({"class_name": "Model", "config": config}).encode()
        for name, arrays in weights.items():
            group = file.create_group(f"model_weights/{name}")
            group.attrs["weight_names"] = [f"{name}/{variable}:0".encode() for variable in arrays]
            for variable, value in arrays.items():
                group[f"{name}/{variable}:0"] = value.astype(np.float32)
    return weights


@pytest.fixture
def old(tmp_path):
    (tmp_path / "two.names").write_text("cat\ndog\n")
    weights = write_old(tmp_path / "old.h5", old_layers())
    return tmp_path / "old.h5", weights


def take(old, **options):
    options = {"anchors": ANCHORS, "names": old.with_name("two.names")} | options
    return adopt(old, old.with_name("new.h5"), **options)


def test_the_model_describes_itself(old):
    adoption = take(old[0])

    check_layers(adoption.model)
    heads = read_description(adoption.model).heads
    assert [head.stride for head in heads] == [4, 2]
    assert heads[0].anchors == ((81, 82), (135, 169), (344, 319))
    assert heads[1].anchors == ((23, 27), (37, 58), (81, 82))
    assert read_description(adoption.model).names == ("cat", "dog")
    assert "2 classes (cat, dog)" in inspect(adoption.model)
    assert "its weights were trained or adopted" in inspect(adoption.model)


@pytest.mark.parametrize(("repair", "epsilon"), [(False, 1e-3), (True, 1e-5)])
def test_it_computes_what_the_old_one_did(old, repair, epsilon):
    import keras

    path, weights = old
    adoption = take(path, repair_epsilon=repair)
    model = keras.models.load_model(adoption.model, compile=False)

    picture = np.random.default_rng(1).uniform(0, 1, (1, 8, 8, 3)).astype(np.float32)
    coarse, fine = model.predict_on_batch(picture)

    padded = np.pad(picture[0], ((1, 0), (1, 0), (0, 0)))
    patches = np.stack([padded[y : y + 3, x : x + 3].ravel() for y in (0, 2, 4, 6) for x in (0, 2, 4, 6)])
    values = patches @ weights["conv2d_1"]["kernel"].reshape(27, 4)
    norm = weights["bn"]
    values = (values - norm["moving_mean"]) / np.sqrt(norm["moving_variance"] + epsilon) * norm["gamma"] + norm["beta"]
    values = np.where(values > 0, values, 0.1 * values).reshape(4, 4, 4)
    pooled = values.reshape(2, 2, 2, 2, 4).max(axis=(1, 3))
    expected = pooled @ weights["coarse"]["kernel"][0, 0] + weights["coarse"]["bias"]
    np.testing.assert_allclose(coarse[0], expected, atol=1e-4)
    assert fine.shape == (1, 4, 4, 21)
    assert any("1e-05" in note and ("replaced" in note) == repair for note in adoption.notes)


def test_darknets_own_epsilon_gives_no_note(old):
    write_old(old[0], old_layers(epsilon=1e-5))
    assert take(old[0]).notes == ()


@pytest.mark.parametrize(
    ("layers", "words"),
    [
        pytest.param(old_layers(extra=[layer("Lambda", "yolo_loss", "fine")]), "kind Lambda", id="a training's loss"),
        pytest.param(old_layers(classes=3), "names it was trained with", id="another class count"),
        pytest.param(old_layers()[:9], "fine", id="an output that is not there"),
    ],
)
def test_other_networks_are_refused(old, layers, words):
    write_old(old[0], layers)
    with pytest.raises(ModelFileError, match=words):
        take(old[0])
    assert not old[0].with_name("new.h5").exists()


def test_weights_alone_are_refused(old):
    with h5py.File(old[0], "r+") as file:
        del file.attrs["model_config"]
    with pytest.raises(ModelFileError, match="save_weights"):
        take(old[0])


def test_it_is_exported_to_darknet_and_converted_back(old, tmp_path):
    import keras

    adoption = take(old[0])
    export_weights(adoption.model, tmp_path / "a.cfg", tmp_path / "a.weights")
    convert(tmp_path / "a.cfg", tmp_path / "a.weights", tmp_path / "again.h5", names=tmp_path / "two.names")

    picture = np.random.default_rng(2).uniform(0, 1, (1, 16, 16, 3)).astype(np.float32)
    first, again = (
        keras.models.load_model(path, compile=False).predict_on_batch(picture)
        for path in (adoption.model, tmp_path / "again.h5")
    )
    for one, other in zip(first, again, strict=True):
        np.testing.assert_array_equal(one, other)
    assert read_description(tmp_path / "again.h5").heads == adoption.description.heads


@pytest.mark.parametrize(
    ("number", "changes", "words"),
    [
        pytest.param(2, {"padding": "same", "strides": [2, 2]}, "pads otherwise", id="padding of TensorFlow"),
        pytest.param(4, {"alpha": 0.3}, "another activation", id="a slope"),
        pytest.param(7, {"interpolation": "bilinear"}, "enlarges otherwise", id="bilinear"),
        pytest.param(5, {"pool_size": [3, 3]}, "not what Darknet", id="a window"),
    ],
)
def test_layers_unknown_to_darknet_are_adopted_without_a_cfg(old, number, changes, words):
    layers = old_layers()
    if "strides" in changes:
        layers[1]["config"]["padding"] = [[0, 0], [0, 0]]
        layers[1] |= {"class_name": "Dropout", "config": {"name": "pad", "rate": 0.5}}
    layers[number]["config"] |= changes
    write_old(old[0], layers)

    adoption = take(old[0])

    assert any("cannot go back to Darknet" in note and words in note for note in adoption.notes)
    assert "adopted from a Keras model" in inspect(adoption.model)
    with pytest.raises(ModelFileError, match="adopted"):
        export_weights(adoption.model, old[0].with_name("a.cfg"), old[0].with_name("a.weights"))


def test_residuals_and_branches(tmp_path):
    """Two residual blocks and a fine branch from the first, as in keras-yolo3's darknet_body."""
    one = {"kernel_size": [1, 1], "strides": [1, 1], "padding": "same", "use_bias": True, "activation": "linear"}
    layers = [
        layer("InputLayer", "input_1", batch_input_shape=[None, None, None, 3]),
        layer("Conv2D", "conv2d_1", "input_1", filters=4, **one | {"kernel_size": [3, 3], "activation": "relu"}),
        layer("Conv2D", "conv2d_2", "conv2d_1", filters=4, **one),
        layer("Add", "add_1", "conv2d_1", "conv2d_2"),
        layer("Conv2D", "conv2d_3", "add_1", filters=4, **one),
        layer("Add", "add_2", "add_1", "conv2d_3"),
        layer("MaxPooling2D", "pool", "add_2", pool_size=[2, 2], strides=[2, 2], padding="same"),
        layer("Conv2D", "conv2d_4", "pool", filters=7, **one),
        layer("Conv2D", "conv2d_5", "add_1", filters=7, **one),
    ]
    rng = np.random.default_rng(3)
    with h5py.File(tmp_path / "old.h5", "w") as file:
        config = {"layers": layers, "output_layers": [["conv2d_4", 0, 0], ["conv2d_5", 0, 0]]}
        file.attrs["model_config"] = json.dumps({"class_name": "Model", "config": config})
        for item in layers[1:]:
            if item["class_name"] == "Conv2D":
                size, filters = item["config"]["kernel_size"][0], item["config"]["filters"]
                inputs = 3 if size == 3 else 4
                group = file.create_group(f"model_weights/{item['name']}")
                group.attrs["weight_names"] = [b"kernel:0", b"bias:0"]
                group["kernel:0"] = rng.normal(0, 0.3, (size, size, inputs, filters)).astype(np.float32)
                group["bias:0"] = rng.normal(0, 1, filters).astype(np.float32)
    (tmp_path / "two.names").write_text("cat\ndog\n")

    adoption = take(tmp_path / "old.h5", anchors="1,2, 3,4")

    text = adoption.description.cfg
    assert [line for line in text.split("\n") if line.startswith("[")] == [
        "[net]", "[convolutional]", "[convolutional]", "[shortcut]", "[convolutional]", "[shortcut]", "[maxpool]",
        "[convolutional]", "[yolo]", "[route]", "[convolutional]", "[yolo]",
    ]  # fmt: skip
    assert "from=0" in text and "from=2" in text and "layers=2" in text


@pytest.mark.parametrize("text", ["", "10,13,16", "10,x", "0,1", "no such file"])
def test_invalid_anchors(text):
    with pytest.raises(InputError):
        read_anchors(text)


def test_anchors_from_a_file(tmp_path):
    path = tmp_path / "yolo_anchors.txt"
    path.write_text("10,13,  16,30\n")
    assert read_anchors(path) == ((10, 13), (16, 30))
