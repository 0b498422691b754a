"""The classifier: a network opened once, then a picture in, the probability of each class out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convert.model_file import Description
from convert.opened_model import OpenedModel
from detector.engines.base import Engine
from detector.engines.opening import open_engine
from detector.errors import ModelFileError, SettingsError
from detector.images.letterbox import resample
from detector.images.modes import Interpolation
from detector.images.reading import read_picture
from detector.recognition.classification import Classification
from detector.recognition.imagenet import keras_names
from detector.recognition.keras_applications import APPLICATIONS, open_application
from detector.settings import EngineName

Preprocess = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
"""From an RGB picture, (height, width, 3), to what the network takes, of one shape for all pictures."""


class Classifier:
    """Names whole pictures with one network.

    `Classifier.open("tiny.h5")` or `Classifier.open("resnet50")`; the constructor takes the parts, for tests and other
    networks.
    """

    def __init__(
        self,
        engine: Engine,
        names: tuple[str, ...],
        preprocess: Preprocess,
        *,
        path: Path | None = None,
        crop: tuple[int, int] | None = None,
    ) -> None:
        self.engine = engine
        self.path = path
        """The model file of a Darknet classifier; None for other networks."""
        self.crop = crop
        """Width and height of the middle that `preprocess` cuts out; None where it shows the whole picture."""
        self.names = names
        """Class names, in the order of the network's outputs."""
        self.preprocess = preprocess

    @classmethod
    def open(
        cls,
        model: Path | str,
        *,
        weights: Path | str | None = None,
        engine: EngineName = "auto",
        interpolation: Interpolation = "linear",
        threads: int | None = None,
        on_note: Callable[[str], None] = lambda note: None,
    ) -> Classifier:
        """Open a network of `keras.applications` by name, or a Darknet classifier made by `convert` by path.

        `weights` is a file of weights for a network of `keras.applications`, which otherwise come from Keras on first
        use. `engine`, `interpolation` and `threads` are for Darknet classifiers. Raises `ModelFileError` for a file
        that is no classifier, `SettingsError` for an unknown name, `DownloadError` when weights cannot be fetched.
        """
        application = APPLICATIONS.get(str(model).lower())
        if application is not None:
            opened = open_application(application, weights=None if weights is None else Path(weights), on_note=on_note)
            return cls(opened, keras_names(), opened.network_input)
        if weights is not None:
            raise SettingsError(f"weights are for {', '.join(APPLICATIONS)}; {model} holds its own, so leave them out")
        darknet = open_darknet_classifier(model)
        chosen = open_engine(engine, darknet, threads=threads, on_note=on_note)
        description = darknet.description
        preprocess = darknet_preprocess(description, interpolation)
        size = description.width, description.height
        return cls(chosen, description.names, preprocess, path=darknet.path, crop=size)

    def seen(self, picture: NDArray[np.uint8]) -> tuple[int, int, int, int]:
        """The part of a picture that the network is shown: left, top, right, bottom in its pixels."""
        height, width = picture.shape[:2]
        if self.crop is None:
            return 0, 0, width, height
        return seen_part(width, height, *self.crop)

    def classify(self, picture: Any) -> Classification:
        """Name a picture: an RGB uint8 array (height, width, 3), a path or URL, or a Pillow image.

        Raises `PictureError` when it cannot be opened.
        """
        (probabilities,) = self.engine.run(self.preprocess(read_picture(picture))[None])
        return Classification(np.asarray(probabilities[0], np.float32).reshape(-1), self.names)


def seen_part(picture_width: int, picture_height: int, width: int, height: int) -> tuple[int, int, int, int]:
    """The part of a picture that `centre_crop` keeps: left, top, right, bottom in its pixels."""
    scale = max(width / picture_width, height / picture_height)
    across, down = min(picture_width, round(width / scale)), min(picture_height, round(height / scale))
    left, top = (picture_width - across) // 2, (picture_height - down) // 2
    return left, top, left + across, top + down


def open_darknet_classifier(model: Path | str) -> OpenedModel:
    """A Darknet classifier's model file; raises `ModelFileError` for any other file."""
    if not Path(model).exists() and Path(model).suffix != ".h5":
        raise SettingsError(
            f"model {str(model)!r} is neither a file nor a known network; expected a model made by `yolo3 convert`, "
            f"or one of {', '.join(APPLICATIONS)}"
        )
    opened = OpenedModel.read(model)
    description = opened.description
    if description.heads:
        raise ModelFileError(
            f"{model}: finds objects and does not name whole pictures; use `yolo3 image PICTURE --model {model}`, or "
            "give a classifier"
        )
    if description.channels != 3:
        raise ModelFileError(f"{model}: takes pictures of {description.channels} channels; expected 3 (RGB)")
    if "\ntree=" in description.cfg.replace(" ", ""):
        raise ModelFileError(
            f"{model}: its classes are a hierarchy, and its outputs are probabilities among siblings; "
            "only flat classifiers are supported"
        )
    return opened


def darknet_preprocess(description: Description, interpolation: Interpolation = "linear") -> Preprocess:
    """Darknet's preprocessing for classifiers.

    The shorter side is resized to the network's, in whole pixels, and the middle is cut out (`resize_min`, image.c;
    `predict_classifier`, classifier.c of AlexeyAB's Darknet). A network that is not square gets the smallest such
    picture that covers it.
    """

    def preprocess(picture: NDArray[np.uint8]) -> NDArray[np.float32]:
        return centre_crop(picture, description.width, description.height, interpolation)

    return preprocess


def centre_crop(
    picture: NDArray[np.uint8], width: int, height: int, interpolation: Interpolation = "linear"
) -> NDArray[np.float32]:
    """The middle of a picture at the largest scale-down that covers width x height, RGB float32 in 0..1."""
    rows, columns = picture.shape[:2]
    if columns * height < rows * width:
        columns, rows = width, max(height, rows * width // columns)
    else:
        columns, rows = max(width, columns * height // rows), height
    left, top = (columns - width) // 2, (rows - height) // 2
    return resample(picture, columns, rows, interpolation)[top : top + height, left : left + width]
