"""The networks of keras.applications beside Keras's own way of using them, with random weights."""

import hashlib
import importlib
import threading
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from PIL import Image

from convert.errors import DownloadError, ModelFileError
from convert.published import PublishedFile
from detector.recognition.classifier import Classifier
from detector.recognition.imagenet import keras_names, keras_synsets
from detector.recognition.keras_applications import APPLICATIONS, keras_models_folder, open_application


@pytest.fixture
def photo(tmp_path):
    """Colours that change slowly, with noise: 120 rows, 200 columns."""
    rows, columns = np.mgrid[:120, :200]
    colours = np.stack([rows * 2, columns, (rows + columns) / 2], axis=-1)
    noise = np.random.default_rng(1).normal(0, 20, colours.shape)
    path = tmp_path / "photo.png"
    Image.fromarray(np.clip(colours + noise, 0, 255).astype(np.uint8)).save(path)
    return path


def random_weights(name, path):
    """Build a network with seeded random weights, save them, and return the `keras.Model`."""
    import keras

    application = APPLICATIONS[name]
    keras.utils.set_random_seed(3)
    model = getattr(importlib.import_module(f"keras.applications.{application.module}"), application.builder)(
        weights=None
    )
    model.save_weights(path)
    return model


@pytest.mark.slow
@pytest.mark.parametrize("name", APPLICATIONS)
def test_the_same_five_best_as_keras(name, photo, tmp_path, monkeypatch):
    import keras
    from keras.src.applications import imagenet_utils

    application = APPLICATIONS[name]
    model = random_weights(name, tmp_path / "random.weights.h5")
    module = importlib.import_module(f"keras.applications.{application.module}")
    picture = keras.utils.load_img(photo, target_size=(application.side, application.side))
    batch = module.preprocess_input(keras.utils.img_to_array(picture)[None])
    expected = model.predict_on_batch(batch)
    # What Keras would fetch; that it is the same to the byte is a test of its own.
    pairs = zip(keras_synsets(), keras_names(), strict=True)
    index = {str(number): [synset, label.replace(" ", "_")] for number, (synset, label) in enumerate(pairs)}
    monkeypatch.setattr(imagenet_utils, "CLASS_INDEX", index)

    found = Classifier.open(name, weights=tmp_path / "random.weights.h5").classify(photo)

    np.testing.assert_allclose(found.probabilities, expected[0], rtol=1e-4, atol=1e-7)
    labels = [label for _, label, _ in module.decode_predictions(expected, top=5)[0]]
    assert [one.name.replace(" ", "_") for one in found.top(5)] == labels


@pytest.fixture
def server(tmp_path, monkeypatch):
    """Serves the files of a folder on 127.0.0.1; gives the folder and the address."""
    folder = tmp_path / "served"
    folder.mkdir()
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras home"))

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *args):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=folder)) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield folder, f"http://127.0.0.1:{running.server_port}"
        running.shutdown()
        thread.join()


def published_at(address, name, data):
    digest = hashlib.md5(data).hexdigest()
    weights = PublishedFile("some.weights.h5", len(data), "", (f"{address}/some.weights.h5",), md5=digest)
    return replace(APPLICATIONS[name], weights=weights)


@pytest.mark.slow
def test_weights_are_fetched_once(server, photo):
    folder, address = server
    model = random_weights("densenet121", folder / "some.weights.h5")
    application = published_at(address, "densenet121", (folder / "some.weights.h5").read_bytes())
    notes = []

    opened = open_application(application, on_note=notes.append)
    (folder / "some.weights.h5").unlink()
    again = open_application(application, on_note=notes.append)

    assert (keras_models_folder() / "some.weights.h5").exists()
    assert notes == ["fetching some.weights.h5 (33 MB), once"]
    batch = opened.network_input(np.array(Image.open(photo)))[None]
    np.testing.assert_allclose(opened.run(batch)[0], model.predict_on_batch(batch), atol=1e-6)
    np.testing.assert_allclose(again.run(batch)[0], opened.run(batch)[0], atol=1e-6)


def test_weights_that_are_not_there(server):
    _, address = server

    with pytest.raises(DownloadError, match="404"):
        open_application(published_at(address, "resnet50", b"nothing"))

    assert not (keras_models_folder() / "some.weights.h5").exists()


def test_weights_that_are_others(server):
    folder, address = server
    (folder / "some.weights.h5").write_bytes(b"something else")

    with pytest.raises(DownloadError, match="MD5"):
        open_application(published_at(address, "resnet50", b"something good"))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "no such file"),
        (b"", "an empty file"),
        (b"<!DOCTYPE html><html>", "an HTML page"),
        (b"\x89HDF\r\n\x1a\n" + bytes(100), "not weights of DenseNet121"),
    ],
)
def test_files_that_hold_no_weights(content, words, tmp_path):
    path = tmp_path / "random.weights.h5"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(ModelFileError, match=words):
        Classifier.open("densenet121", weights=path)


def test_weights_of_another_network(colour_classifier):
    with pytest.raises(ModelFileError, match="not weights of DenseNet121"):
        Classifier.open("densenet121", weights=colour_classifier)
