"""Weights alone, as the training of an old Keras port saved them."""

import h5py
import numpy as np
import pytest

from convert.errors import CfgError, ModelFileError
from convert.model_file import read_description
from convert.port_weights import adopt_weights

CFG = """
[net]
width=32
height=32
channels=3

[convolutional]
batch_normalize=1
filters=4
size=3
stride=2
pad=1
activation=leaky

[convolutional]
filters=14
size=1
stride=1
activation=linear

[yolo]
mask=0,1
anchors=4,5, 6,7, 8,9
num=3
classes=2
"""


def write_weights_only(path, *, filters=14, first="conv2d_9", second="conv2d_10", norm="batch_normalization_9"):
    """A file of `save_weights`; numbers count on where a session made other models before."""
    rng = np.random.default_rng(0)
    arrays = {
        first: {"kernel": rng.normal(0, 0.3, (3, 3, 3, 4))},
        norm: {
            "gamma": rng.uniform(0.5, 1, 4),
            "beta": rng.normal(0, 1, 4),
            "moving_mean": rng.normal(0, 0.1, 4),
            "moving_variance": rng.uniform(0.001, 0.01, 4),
        },
        second: {"kernel": rng.normal(0, 0.3, (1, 1, 4, filters)), "bias": rng.normal(0, 1, filters)},
    }
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = ["input_1", *arrays, "yolo_loss"]
        for name in ("input_1", *arrays, "yolo_loss"):
            group = file.create_group(name)
            variables = arrays.get(name, {})
            group.attrs["weight_names"] = [f"{name}/{variable}:0".encode() for variable in variables]
            for variable, value in variables.items():
                group[f"{name}/{variable}:0"] = value.astype(np.float32)
    return arrays


@pytest.fixture
def files(tmp_path):
    (tmp_path / "net.cfg").write_text(CFG)
    (tmp_path / "two.names").write_text("cat\ndog\n")
    return tmp_path


def take(files, **options):
    options = {"cfg": files / "net.cfg", "names": files / "two.names"} | options
    return adopt_weights(files / "w.h5", files / "out.h5", **options)


@pytest.mark.parametrize(("repair", "epsilon"), [(False, 1e-3), (True, 1e-5)])
def test_it_computes_what_the_port_did(repair, epsilon, files):
    import keras

    arrays = write_weights_only(files / "w.h5")

    adoption = take(files, repair_epsilon=repair)

    picture = np.random.default_rng(1).uniform(0, 1, (1, 32, 32, 3)).astype(np.float32)
    found = keras.models.load_model(adoption.model, compile=False).predict_on_batch(picture)
    padded = np.pad(picture[0], ((1, 0), (1, 0), (0, 0)))
    steps = range(0, 32, 2)
    patches = np.stack([padded[y : y + 3, x : x + 3].ravel() for y in steps for x in steps])
    norm = arrays["batch_normalization_9"]
    values = patches @ arrays["conv2d_9"]["kernel"].reshape(27, 4)
    values = (values - norm["moving_mean"]) / np.sqrt(norm["moving_variance"] + epsilon) * norm["gamma"] + norm["beta"]
    values = np.where(values > 0, values, 0.1 * values).reshape(16, 16, 4)
    expected = values @ arrays["conv2d_10"]["kernel"][0, 0] + arrays["conv2d_10"]["bias"]
    np.testing.assert_allclose(found[0], expected, atol=1e-4)
    assert read_description(adoption.model).heads[0].anchors == ((4, 5), (6, 7))


def test_classes_and_anchors_are_those_of_the_training(files):
    write_weights_only(files / "w.h5", filters=16)
    (files / "two.names").write_text("a\nb\nc\n")

    description = take(files, anchors="1,2, 3,4, 5,6").description

    assert description.heads[0].classes == 3 and description.heads[0].anchors == ((1, 2), (3, 4))
    assert "classes=3" in description.cfg and "filters=16" in description.cfg


@pytest.mark.parametrize(
    ("weights", "words"),
    [
        pytest.param({"filters": 16}, "are these the names", id="another class count"),
        pytest.param({"second": "predictions"}, "not named as in keras-yolo3", id="other names"),
        pytest.param({"norm": "batch_normalization_9", "second": "conv2d_1"}, "is another layer", id="another order"),
    ],
)
def test_weights_that_do_not_fit_are_refused(weights, words, files):
    write_weights_only(files / "w.h5", **weights)
    with pytest.raises(ModelFileError, match=words):
        take(files)
    assert not (files / "out.h5").exists()


def test_a_cfg_of_more_layers(files):
    write_weights_only(files / "w.h5")
    (files / "net.cfg").write_text(
        CFG.replace("[convolutional]\nfilters=14", "[convolutional]\n\n[convolutional]\nfilters=14")
    )
    with pytest.raises(ModelFileError, match=r"holds 2 convolutions; .* has 3 layers with weights"):
        take(files)


def test_another_count_of_anchors(files):
    write_weights_only(files / "w.h5")
    with pytest.raises(CfgError, match="has 3 anchors; 2 were given"):
        take(files, anchors="1,2, 3,4")


def test_whoever_uses_it_as_it_is_gets_the_command(files):
    write_weights_only(files / "w.h5")
    with pytest.raises(ModelFileError, match=r"type: yolo3 adopt .* OUT\.h5 --cfg NETWORK\.cfg --names NAMES\.txt"):
        read_description(files / "w.h5")
