"""Read the layers and weights of models that Keras itself saved, as .h5, .keras or weights alone.

They are read without Keras and without running code: a .keras file is a zip archive of a JSON and an HDF5 file.
"""

from __future__ import annotations

import json
import re
import shutil
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from convert.errors import ModelFileError
from convert.hdf5 import check_storage, opened
from convert.keras_shapes import StoredLayer, read_layers
from convert.recognise import check_regular

VARIABLES = ("kernel", "bias", "gamma", "beta", "moving_mean", "moving_variance")
"""The names of a layer's variables in Keras's order."""

_CONFIG, _WEIGHTS = "config.json", "model.weights.h5"
_MOST_BYTES = 8 << 30
_LARGEST_GROWTH = 20
"""Maximum ratio of a file's size to its size in the archive; trained weights hardly compress."""

Arrays = tuple[NDArray[np.float32], ...]


@dataclass(frozen=True)
class KerasFile:
    """The content of a Keras file."""

    path: Path
    layers: tuple[StoredLayer, ...]
    """The layers; empty for weights alone."""
    outputs: tuple[str, ...]
    """The names of the output layers."""
    weights: Mapping[str, Arrays]
    """Each layer's variables, in the order of `VARIABLES`."""


def read_keras_file(path: Path) -> KerasFile:
    """Read a model saved by Keras 3 (`save`), or its weights (`save_weights`), also of Keras 2.

    Raise `ModelFileError` for anything else, and for a damaged file.
    """
    if not zipfile.is_zipfile(path):
        with opened(path) as file:
            check_storage(file)
            layers, outputs = _structure(path, file.attrs.get("model_config"))
            return KerasFile(path, layers, outputs, dict(_weights(path, file)))
    with _unpacked(path) as (config, weights), opened(weights) as file:
        check_storage(file)
        layers, outputs = _structure(path, config)
        return KerasFile(path, layers, outputs, dict(_weights(path, file)))


@contextmanager
def _unpacked(path: Path) -> Iterator[tuple[str, Path]]:
    """Yield the JSON of a .keras file, and its HDF5 file in a temporary folder."""
    try:
        check_regular(path)
        with zipfile.ZipFile(path) as archive, tempfile.TemporaryDirectory() as folder:
            for name in (_CONFIG, _WEIGHTS):
                entry = archive.getinfo(name)
                if entry.file_size > min(_MOST_BYTES, _LARGEST_GROWTH * (entry.compress_size + 4096)):
                    raise ModelFileError(f"{path}: {name} in it claims {entry.file_size} bytes; it is not read")
            weights = Path(folder) / _WEIGHTS
            with archive.open(_WEIGHTS) as source, weights.open("wb") as target:
                shutil.copyfileobj(source, target)
            yield archive.read(_CONFIG).decode("utf-8"), weights
    except KeyError as error:
        raise ModelFileError(f"{path}: no .keras file ({error.args[0]}); expected one that Keras saved") from None
    except (OSError, zipfile.BadZipFile, NotImplementedError, RuntimeError, UnicodeDecodeError) as error:
        raise ModelFileError(f"{path}: damaged ({error}); save the model again") from None


def _structure(path: Path, text: Any) -> tuple[tuple[StoredLayer, ...], tuple[str, ...]]:
    if text is None:
        return (), ()
    try:
        config = json.loads(text)["config"]
        nested = [layer for layer in config["layers"] if "layers" in layer["config"]]
        if nested:
            raise ModelFileError(
                f"{path}: holds a model inside the model ({nested[0]['config'].get('name')}); save the inner one"
            )
        outputs = config["output_layers"]
        outputs = [outputs] if outputs and isinstance(outputs[0], str) else outputs
        return tuple(read_layers(config["layers"])), tuple(str(entry[0]) for entry in outputs)
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError):
        raise ModelFileError(f"{path}: its list of layers is not that of a functional model of Keras 3") from None


def _weights(path: Path, file: h5py.File) -> Iterator[tuple[str, Arrays]]:
    """Yield every layer that has variables."""
    if "layers" in file and "layer_names" not in file.attrs:
        yield from _numbered(file["layers"])
        return
    groups = file.get("model_weights", file)
    for name in groups:
        if "weight_names" not in groups[name].attrs:
            continue
        found: dict[str, NDArray[np.float32]] = {}
        for stored in groups[name].attrs["weight_names"]:
            label = stored.decode() if isinstance(stored, bytes) else str(stored)
            variable = re.sub(r":\d+$", "", label.rpartition("/")[2])
            if variable not in VARIABLES:
                raise ModelFileError(f"{path}: layer {name} has a variable {variable}, which no YOLO network has")
            found[variable] = np.asarray(groups[name][label], np.float32)
        if found:
            yield str(name), tuple(found[variable] for variable in VARIABLES if variable in found)


def _numbered(group: h5py.Group) -> Iterator[tuple[str, Arrays]]:
    """Yield the layers in Keras 3's own layout: `vars/0`, `vars/1`, …, with the layer's name beside them."""
    for kind in group:
        variables = group[kind].get("vars")
        if variables is not None and len(variables):
            name = str(variables.attrs.get("name", kind))
            yield name, tuple(np.asarray(variables[str(number)], np.float32) for number in range(len(variables)))
