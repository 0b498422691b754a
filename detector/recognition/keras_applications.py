"""Networks of `keras.applications`, trained on ImageNet: built, given their weights, and run."""

from __future__ import annotations

import importlib
import os
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from convert.download import fetch
from convert.keras_import import import_keras
from convert.published import PublishedFile
from convert.recognise import recognise
from detector.engines.base import Engine
from detector.errors import ModelFileError

_FOLDER = "https://storage.googleapis.com/tensorflow/keras-applications"


@dataclass(frozen=True)
class Application:
    """One network of `keras.applications`."""

    module: str
    """Its module, which holds its `preprocess_input` too."""

    builder: str
    """The function that builds it."""

    side: int
    """Width and height of its input in pixels."""

    weights: PublishedFile
    """Its ImageNet weights, as Keras publishes them."""


def _weights(folder: str, name: str, size_bytes: int, md5: str) -> PublishedFile:
    file = f"{name}_weights_tf_dim_ordering_tf_kernels.h5"
    return PublishedFile(file, size_bytes, "", (f"{_FOLDER}/{folder}/{file}",), md5=md5)


# Keras's own table of digests (keras/src/applications); it gives MD5 only.
APPLICATIONS = {
    "resnet50": Application(
        "resnet", "ResNet50", 224, _weights("resnet", "resnet50", 102_967_424, "2cb95161c43110f7111970584f804107")
    ),
    "vgg16": Application(
        "vgg16", "VGG16", 224, _weights("vgg16", "vgg16", 553_467_096, "64373286793e3c8b2b4e3219cbf3544b")
    ),
    "vgg19": Application(
        "vgg19", "VGG19", 224, _weights("vgg19", "vgg19", 574_710_816, "cbe5617147190e668d6c5d5026f83318")
    ),
    "inceptionv3": Application(
        "inception_v3",
        "InceptionV3",
        299,
        _weights("inception_v3", "inception_v3", 96_112_376, "9a0d58056eeedaa3f26cb7ebd46da564"),
    ),
    "xception": Application(
        "xception", "Xception", 299, _weights("xception", "xception", 91_884_032, "0a58e3b7378bc2990ea3b43d5981f1f6")
    ),
    "densenet121": Application(
        "densenet",
        "DenseNet121",
        224,
        _weights("densenet", "densenet121", 33_188_688, "9d60b8095a5708f2dcce2bca79d332c7"),
    ),
}
"""By the name that the command takes."""


class KerasApplication(Engine):
    """A network of `keras.applications` with its weights."""

    name = "keras"

    def __init__(self, application: Application, model: Any) -> None:
        self.application = application
        self.model = model
        """The `keras.Model`."""

    def run(self, batch: NDArray[np.float32]) -> Sequence[NDArray[np.float32]]:
        """The probabilities, (batch, 1000), of preprocessed pictures."""
        return [np.asarray(self.model.predict_on_batch(batch))]

    def network_input(self, picture: NDArray[np.uint8]) -> NDArray[np.float32]:
        """An RGB picture as the network takes it, (side, side, 3).

        Stretched by nearest neighbour, as `keras.utils.load_img(path, target_size=…)` does by default, then through
        the network's own `preprocess_input`.
        """
        side = self.application.side
        stretched = Image.fromarray(picture).resize((side, side), Image.Resampling.NEAREST)
        pixels: NDArray[np.float32] = _module(self.application).preprocess_input(np.array(stretched, np.float32))
        return pixels


def open_application(
    application: Application, *, weights: Path | None = None, on_note: Callable[[str], None] = lambda note: None
) -> KerasApplication:
    """Build a network and load its weights: `weights`, or those that Keras publishes, fetched on first use.

    Published weights are kept where Keras itself keeps them (`~/.keras/models`, or below `$KERAS_HOME`). Raises
    `DownloadError` when they cannot be fetched, `ModelFileError` when the file does not fit the network.
    """
    if weights is None:
        if not (keras_models_folder() / application.weights.name).exists():
            on_note(f"fetching {application.weights.name} ({application.weights.size_bytes / 1e6:.0f} MB), once")
        weights = fetch(application.weights, keras_models_folder())
    else:
        _check_weights_file(weights)
    import_keras()
    build = getattr(_module(application), application.builder)
    model = build(weights=None)
    try:
        model.load_weights(weights)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError, zipfile.BadZipFile) as error:
        reason = " ".join(str(error).split())[:200]
        raise ModelFileError(
            f"{weights}: these are not weights of {application.builder} ({reason}); "
            "expected an .h5 or .weights.h5 that Keras saved for this network with its 1000 classes"
        ) from None
    return KerasApplication(application, model)


def keras_models_folder() -> Path:
    """Where Keras keeps the weights that it fetches."""
    home = os.environ.get("KERAS_HOME")
    return (Path(home) if home else Path.home() / ".keras") / "models"


def _check_weights_file(path: Path) -> None:
    """Raise `ModelFileError` unless this may be a file of weights: HDF5, or a `.keras` archive."""
    try:
        with path.open("rb") as file:
            start = file.read(4096)
    except FileNotFoundError:
        raise ModelFileError(f"{path}: no such file; expected weights that Keras saved (.h5)") from None
    except OSError as error:
        raise ModelFileError(f"{path}: cannot be read ({error.strerror}); expected weights that Keras saved") from None
    if start.startswith(b"\x89HDF") or (path.suffix == ".keras" and start.startswith(b"PK")):
        return
    what = recognise(start) or "not an HDF5 file"
    raise ModelFileError(f"{path}: {what}; expected weights that Keras saved (.h5)")


def _module(application: Application) -> Any:
    return importlib.import_module(f"keras.applications.{application.module}")
