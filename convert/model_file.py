"""The self-describing .h5: an ordinary Keras model whose root attribute `yolo3` says what its outputs mean.

Reading the description needs h5py only. Any notebook opens the model itself with
`keras.models.load_model(path, compile=False)`, without this project.
"""

from __future__ import annotations

import errno
import json
import math
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from convert.errors import ModelFileError, OutputError, WorkError
from convert.head import Head
from convert.layers.layer import Dialect
from convert.recognise import recognise
from convert.weights import Header

ATTRIBUTE = "yolo3"
KEPT = "darknet_parameters"
"""The group of arrays from the .weights file that no Keras variable holds as they are."""

SCHEMA = 1
RESIZE_MODES = ("letterbox", "stretch")
LAYER_BYTES = 8192
"""What an .h5 holds for a layer besides its numbers, at most; for YOLOv3 it is some 3 KB."""

HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"

KERAS_LAYERS = frozenset(
    {
        "Activation",
        "Add",
        "AveragePooling2D",
        "BatchNormalization",
        "Concatenate",
        "Conv2D",
        "Cropping2D",
        "DepthwiseConv2D",
        "Dropout",
        "ELU",
        "EinsumDense",
        "GlobalAveragePooling2D",
        "InputLayer",
        "LeakyReLU",
        "MaxPooling2D",
        "Maximum",
        "Multiply",
        "Permute",
        "ReLU",
        "Rescaling",
        "Reshape",
        "Softmax",
        "Subtract",
        "UnitNormalization",
        "UpSampling2D",
        "ZeroPadding2D",
    }
)
"""What a model file may hold. Anything else, a Lambda above all, could run code of its own when loaded."""


@dataclass(frozen=True)
class Description:
    """Everything that detection needs to know about a model; kept nowhere else."""

    cfg: str
    """The whole text of the .cfg."""

    cfg_sha256: str
    weights_sha256: str
    width: int
    """Network input in pixels, as the cfg says; most networks take other sizes too."""

    height: int
    channels: int
    resize: str
    """How the network's training pictures were fitted to its input: `letterbox` or `stretch`."""

    names: tuple[str, ...]
    heads: tuple[Head, ...]
    """Coarsest first, in the order of the model's outputs; empty for a classifier."""

    fixed_size: str = ""
    """Why the network takes no other input size; empty when it does."""

    weights_header: Header = field(default_factory=Header)
    batch_norm: Dialect = "alexeyab"
    """Whose batch normalisation is folded in."""

    schema: int = SCHEMA

    @property
    def stride(self) -> int:
        """The coarsest stride: input sides must be multiples of it."""
        return max((head.stride for head in self.heads), default=1)

    def as_json(self) -> str:
        """The text of the root attribute."""
        return json.dumps(
            {**asdict(self), "heads": [head.as_json() for head in self.heads]}, ensure_ascii=False, indent=1
        )

    @classmethod
    def from_json(cls, text: str) -> Description:
        """The inverse of `as_json`; `ValueError`, `KeyError` or `TypeError` when it does not fit."""
        data = json.loads(text)
        if data["schema"] > SCHEMA:
            raise ValueError(f"schema {data['schema']} is newer than {SCHEMA}; update yolo3")
        if data["resize"] not in RESIZE_MODES:
            raise ValueError(f"resize {data['resize']!r} is neither letterbox nor stretch")
        data["heads"] = tuple(Head.from_json(head) for head in data["heads"])
        data["names"] = tuple(map(str, data["names"]))
        data["weights_header"] = Header(**data["weights_header"])
        description = cls(**data)
        description.check()
        return description

    def check(self) -> None:
        """Raise `ValueError` for what cannot be: sizes that are none, heads that do not fit their classes."""
        for name in ("width", "height", "channels"):
            if not isinstance(getattr(self, name), int) or getattr(self, name) < 1:
                raise ValueError(f"{name} {getattr(self, name)!r} is no number of pixels")
        for head in self.heads:
            head.check()
            if head.classes != len(self.names):
                raise ValueError(f"{len(self.names)} names for the {head.classes} classes of layer {head.layer}")
        strides = [head.stride for head in self.heads]
        if strides != sorted(strides, reverse=True):
            raise ValueError(f"heads of strides {strides} are not in the order of the model's outputs")


def read_description(path: Path | str) -> Description:
    """Read what a model file says of itself; `ModelFileError` when it is missing, damaged or not ours."""
    with opened(path) as file:
        text = file.attrs.get(ATTRIBUTE)
        if text is None:
            raise ModelFileError(
                f"{path}: a Keras .h5 without the description that yolo3 writes; expected a file made by "
                "`yolo3 convert CFG WEIGHTS OUT.h5`. Convert its Darknet cfg and weights again"
            )
    try:
        return Description.from_json(str(text))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelFileError(f"{path}: its description is damaged ({error}); convert the network again") from None


def check_layers(path: Path | str) -> None:
    """Raise `ModelFileError` unless the file holds built-in Keras layers of the known kinds only."""
    with opened(path) as file:
        config = file.attrs.get("model_config")
    try:
        layers = json.loads(config)["config"]["layers"]
        found = {(str(layer.get("module", "keras.layers")), str(layer["class_name"])) for layer in layers}
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ModelFileError(f"{path}: holds no Keras model; convert the network again") from None
    for module, kind in sorted(found):
        if module != "keras.layers" or kind not in KERAS_LAYERS:
            raise ModelFileError(
                f"{path}: holds a layer of kind {module}.{kind}, which yolo3 never writes; "
                "it is not loaded, because such a layer can run code of its own"
            )


def read_variables(path: Path | str) -> Callable[[str, str], NDArray[np.float32]]:
    """A function from a Keras layer's and a variable's name to its value; needs no Keras.

    An empty layer name stands for the arrays that are kept beside the model.

    The whole file is read at once: every variable's name is unique in it.
    """
    values: dict[tuple[str, str], NDArray[np.float32]] = {}

    def visit(name: str, item: object) -> None:
        if isinstance(item, h5py.Dataset):
            layer, *_, variable = name.split("/")
            values[layer, variable.removesuffix(":0")] = np.asarray(item, np.float32)

    with opened(path) as file:
        file["model_weights"].visititems(visit)
        for name, item in file.get(KEPT, {}).items():
            values["", name] = np.asarray(item, np.float32)
    return lambda layer, variable: values[layer, variable]


def save_model(
    model: Any,
    path: Path | str,
    description: Description,
    *,
    kept: Mapping[str, NDArray[np.float32]] = MappingProxyType({}),
) -> None:
    """Write a Keras model and its description, under another name until the file is whole.

    A file of the same name is replaced only when yolo3 made it from a cfg and weights, so that it can be made
    again. Raises `OutputError` when the folder cannot be written to, `WorkError` when the disk is full.
    """
    path = Path(path)
    check_replaceable(path)
    text = description.as_json()
    aside = path.with_name(f".{path.stem[:40]}.{os.getpid()}.part.h5")
    try:
        _reserve(aside, model, text)
        model.save(aside)
        with h5py.File(aside, "r+") as file:
            file.attrs[ATTRIBUTE] = text
            for name, value in kept.items():
                file[f"{KEPT}/{name}"] = value
        aside.replace(path)
    except (OSError, RuntimeError) as error:
        raise WorkError(f"{path}: could not be written ({_first_line(error)}); is the disk full?") from None
    finally:
        aside.unlink(missing_ok=True)


def _reserve(path: Path, model: Any, text: str) -> None:
    # A disk that fills up while HDF5 writes can crash the whole process, so its space is asked for beforehand.
    floats = sum(math.prod(variable.shape) for variable in model.variables)
    size = 4 * floats + LAYER_BYTES * len(model.layers) + len(text.encode())
    with path.open("wb") as file:
        try:
            os.posix_fallocate(file.fileno(), 0, size)
        except AttributeError:  # not on this system
            pass
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                raise


def check_replaceable(path: Path | str) -> None:
    """Raise `OutputError` unless a model may be written to this path; makes the folder when it is missing."""
    path = Path(path)
    if path.suffix != ".h5":
        raise OutputError(f"{path}: expected a name that ends in .h5")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path.parent):
            pass  # what a folder says of its permissions is not always so; a file in it tells
    except OSError as error:
        raise OutputError(f"{path}: its folder cannot be written to ({error.strerror}); choose another") from None
    try:
        is_folder, is_there = path.is_dir(), path.exists()
    except OSError as error:  # a name that is too long, for one
        raise OutputError(f"{path}: cannot be written to ({error.strerror}); choose another name") from None
    if is_folder:
        raise OutputError(f"{path}: a folder of this name is there; choose another name")
    if is_there:
        try:
            read_description(path)
        except ModelFileError:
            raise OutputError(
                f"{path}: is there already and was not made by yolo3 convert; move it away or choose another name"
            ) from None


@contextmanager
def opened(path: Path | str) -> Iterator[h5py.File]:
    """An .h5 file open for reading; `ModelFileError` when it is none."""
    path = Path(path)
    try:
        with path.open("rb") as raw:
            start = raw.read(4096)
    except FileNotFoundError:
        raise ModelFileError(
            f"{path}: no such file; expected a model made by `yolo3 convert CFG WEIGHTS {path.name}`"
        ) from None
    except OSError as error:
        what = "a folder" if isinstance(error, IsADirectoryError) else f"cannot be read ({error.strerror})"
        raise ModelFileError(f"{path}: {what}; expected a model made by `yolo3 convert`") from None
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        damaged = f"damaged or cut short ({_first_line(error)})"
        found = damaged if start.startswith(HDF5_SIGNATURE) else recognise(start) or "not an HDF5 file"
        raise ModelFileError(f"{path}: {found}; expected a model made by `yolo3 convert`") from None
    with file:
        try:
            yield file
        except (OSError, KeyError, RuntimeError, ValueError) as error:
            raise ModelFileError(f"{path}: damaged ({_first_line(error)}); convert the network again") from None


def _first_line(error: Exception) -> str:
    # HDF5 puts file names, times and addresses into further lines.
    return str(error).partition("\n")[0]
