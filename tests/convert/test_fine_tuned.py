"""Networks that Keras trained further and saved, taken back."""

import shutil
import zipfile

import keras
import numpy as np
import pytest

from convert.errors import ModelFileError, OutputError
from convert.export import export_weights
from convert.fine_tuned import adopt_like
from convert.model_file import check_layers, read_description


@pytest.fixture
def tuned(colour_model, tmp_path):
    """The model after a step of training, and as the functions that save it do."""
    model = keras.models.load_model(colour_model, compile=False)
    model.compile(optimizer="adam", loss="mse")
    picture = np.random.default_rng(0).uniform(0, 1, (1, 96, 96, 3)).astype(np.float32)
    model.fit(picture, model.predict(picture, verbose=0) + 1, epochs=1, verbose=0)

    def save(name):
        path = tmp_path / name
        model.save_weights(path) if name.endswith(".weights.h5") else model.save(path)
        return path, model.predict(picture, verbose=0), picture

    return save


@pytest.mark.filterwarnings("ignore:.*HDF5.*")
@pytest.mark.parametrize("name", ["ä b.keras", "tuned.h5", "tuned.weights.h5"])
def test_it_computes_what_keras_trained(name, tuned, colour_model, tmp_path):
    path, expected, picture = tuned(name)

    adoption = adopt_like(path, tmp_path / "out.h5", like=colour_model)

    check_layers(adoption.model)
    loaded = keras.models.load_model(adoption.model, compile=False)
    np.testing.assert_array_equal(loaded.predict(picture, verbose=0), expected)
    found, original = read_description(adoption.model), read_description(colour_model)
    assert (found.names, found.heads, found.cfg) == (original.names, original.heads, original.cfg)
    assert not found.is_converted
    assert bool(adoption.notes) == name.endswith(".weights.h5")
    export_weights(adoption.model, tmp_path / "o.cfg", tmp_path / "o.weights")
    assert (tmp_path / "o.cfg").read_bytes() == colour_model.with_suffix(".cfg").read_bytes()
    assert (tmp_path / "o.weights").read_bytes() != colour_model.with_suffix(".weights").read_bytes()


def test_it_is_not_replaced_as_it_cannot_be_made_again(tuned, colour_model, tmp_path):
    path, *_ = tuned("tuned.keras")
    adopt_like(path, tmp_path / "out.h5", like=colour_model)
    with pytest.raises(OutputError, match="cannot be made again"):
        adopt_like(path, tmp_path / "out.h5", like=colour_model)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        pytest.param(lambda model: keras.layers.ReLU(name="more")(model.output), "a layer more", id="a layer more"),
        pytest.param(
            lambda model: keras.layers.Conv2D(8, 32, strides=16, name=model.layers[1].name)(model.input),
            "strides",
            id="another stride",
        ),
        pytest.param(lambda model: keras.layers.ReLU(name="other")(model.input), "has no layer conv_0", id="another"),
    ],
)
def test_another_network_is_refused(change, words, colour_model, tmp_path):
    model = keras.models.load_model(colour_model, compile=False)
    keras.Model(model.input, change(model)).save(tmp_path / "tuned.keras")
    with pytest.raises(ModelFileError, match=words) as raised:
        adopt_like(tmp_path / "tuned.keras", tmp_path / "out.h5", like=colour_model)
    assert "trained further" in str(raised.value)
    assert not (tmp_path / "out.h5").exists()


def test_a_model_in_a_model_is_refused(colour_model, tmp_path):
    model = keras.models.load_model(colour_model, compile=False)
    source = keras.Input((96, 96, 3))
    keras.Model(source, model(source)).save(tmp_path / "tuned.keras")
    with pytest.raises(ModelFileError, match="a model inside the model"):
        adopt_like(tmp_path / "tuned.keras", tmp_path / "out.h5", like=colour_model)


def test_a_training_that_came_to_nothing_is_refused(colour_model, tmp_path):
    model = keras.models.load_model(colour_model, compile=False)
    kernel, bias = model.layers[1].get_weights()
    model.layers[1].set_weights([kernel * np.nan, bias])
    model.save(tmp_path / "tuned.keras")
    with pytest.raises(ModelFileError, match="not finite"):
        adopt_like(tmp_path / "tuned.keras", tmp_path / "out.h5", like=colour_model)


@pytest.mark.parametrize("share", [0.2, 0.6, 0.99])
def test_a_file_cut_short_is_refused(share, tuned, colour_model, tmp_path):
    path, *_ = tuned("tuned.keras")
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(ModelFileError, match=r"tuned\.keras: "):
        adopt_like(path, tmp_path / "out.h5", like=colour_model)


def test_an_archive_that_would_grow_is_refused(tuned, colour_model, tmp_path):
    path, *_ = tuned("tuned.keras")
    with zipfile.ZipFile(path) as archive:
        config = archive.read("config.json")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("config.json", config)
        archive.writestr("model.weights.h5", bytes(1 << 26))
    with pytest.raises(ModelFileError, match="claims 67108864 bytes"):
        adopt_like(path, tmp_path / "out.h5", like=colour_model)


@pytest.mark.filterwarnings("ignore:.*HDF5.*")
@pytest.mark.parametrize("name", ["tuned.keras", "tuned.h5", "tuned.weights.h5"])
def test_whoever_uses_it_as_it_is_gets_the_command(name, tuned):
    path, *_ = tuned(name)
    with pytest.raises(ModelFileError, match=rf"type: yolo3 adopt .*{name} OUT\.h5 --like ORIGINAL\.h5"):
        read_description(path)


def test_the_original_is_left_alone(tuned, colour_model, tmp_path):
    path, *_ = tuned("tuned.keras")
    copy = shutil.copy(colour_model, tmp_path / "original.h5")
    with pytest.raises(OutputError):
        adopt_like(path, copy, like=copy)
    assert (tmp_path / "original.h5").read_bytes() == colour_model.read_bytes()
