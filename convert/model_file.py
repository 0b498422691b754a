"""Write and read the self-describing .h5: an ordinary Keras model with a description in the root attribute `yolo3`.

Reading the description needs h5py only. Any notebook opens the model itself with `keras.models.load_model(path,
compile=False)`, without this project.
"""

from __future__ import annotations

import errno
import json
import math
import os
import shutil
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from convert.errors import ModelFileError, NamesError, OutputError, WriteError
from convert.files import check_output, replacing, same_file
from convert.hdf5 import check_storage, content_sha256, first_line, opened, text_attribute
from convert.head import Head, is_integer
from convert.keras_shapes import SHAPES, check_sizes, read_layers
from convert.layers.layer import BATCH_NORMS, LARGEST_MAP, LARGEST_SIDE, Dialect
from convert.text import printable
from convert.weights import Header

ATTRIBUTE = "yolo3"
"""The root attribute that holds the description."""

CONFIG = "model_config"
"""The root attribute in which Keras keeps the layers."""

DIGEST = "yolo3_content_sha256"
"""The root attribute with the SHA-256 of the description, the layers and all arrays."""

DIGESTED = (ATTRIBUTE, CONFIG)
WEIGHTS = "model_weights"
KEPT = "darknet_parameters"
"""The group of arrays from the .weights file that no Keras variable holds unchanged."""

KERAS_MODULES = {"keras", "keras.initializers", "keras.layers"}
"""The modules from which Keras may import when it loads a model file."""

SIDE = 416
"""The input's side in pixels assumed for the size of a model without a description."""

SCHEMA = 1
RESIZE_MODES = ("letterbox", "stretch")
LAYER_BYTES = 8192
"""Maximum bytes of an .h5 per layer besides its numbers; for YOLOv3 it is about 3 KB."""

KERAS_LAYERS = frozenset(SHAPES) | {"InputLayer"}
"""The layer kinds that a model file may contain. Others, above all a Lambda, could run code of their own when loaded.
"""


@dataclass(frozen=True)
class Description:
    """Everything that detection needs to know about a model, stored in the model file only."""

    cfg: str
    """The whole text of the .cfg."""

    cfg_sha256: str
    weights_sha256: str
    width: int
    """Network input in pixels, as in the cfg; most networks accept other sizes too."""

    height: int
    channels: int
    resize: str
    """How training fitted images to the network's input: `letterbox` or `stretch`."""

    names: tuple[str, ...]
    heads: tuple[Head, ...]
    """The heads, coarsest first, in the order of the model's outputs; empty for a classifier."""

    fixed_size: str = ""
    """Why the network accepts only one input size; empty when it accepts any."""

    weights_header: Header = field(default_factory=Header)
    batch_norm: Dialect = "alexeyab"
    """The batch normalisation formula that is folded in."""

    schema: int = SCHEMA

    @property
    def is_converted(self) -> bool:
        """Whether the model was made from a .cfg and .weights, rather than trained or adopted."""
        return bool(self.cfg and self.weights_sha256)

    @property
    def stride(self) -> int:
        """The coarsest stride: input sides must be multiples of it."""
        return max((head.stride for head in self.heads), default=1)

    def as_json(self) -> str:
        """Return the text of the root attribute."""
        return json.dumps(
            {**asdict(self), "heads": [head.as_json() for head in self.heads]}, ensure_ascii=False, indent=1
        )

    @classmethod
    def from_json(cls, text: str) -> Description:
        """Return a description from its JSON form; raise `ValueError`, `KeyError` or `TypeError` if it is invalid."""
        data = json.loads(text)
        if data["schema"] > SCHEMA:
            raise ValueError(f"schema {data['schema']} is newer than {SCHEMA}; update yolo3")
        if data["resize"] not in RESIZE_MODES:
            raise ValueError(f"resize {data['resize']!r} is neither letterbox nor stretch")
        data["heads"] = tuple(Head.from_json(head) for head in data["heads"])
        if not isinstance(data["names"], list):
            raise ValueError("names are no list")
        # Names are printed on terminals and written as lines of other files.
        data["names"] = tuple(map(printable, data["names"]))
        data["weights_header"] = Header(**data["weights_header"])
        description = cls(**data)
        description.check()
        return description

    def check(self) -> None:
        """Raise `ValueError` for values that no conversion writes, such as heads that do not fit their classes."""
        for name, text in (
            ("cfg", self.cfg),
            ("cfg_sha256", self.cfg_sha256),
            ("weights_sha256", self.weights_sha256),
            ("fixed_size", self.fixed_size),
        ):
            if not isinstance(text, str):
                raise ValueError(f"{name} {text!r} is no text")
        for name, side in (("width", self.width), ("height", self.height), ("channels", self.channels)):
            if not is_integer(side, 1, LARGEST_SIDE):
                raise ValueError(f"{name} {side!r} is no integer from 1 to {LARGEST_SIDE}")
        if self.width * self.height * self.channels > LARGEST_MAP:
            raise ValueError(f"an input of {self.width}x{self.height}x{self.channels} is too large")
        if self.batch_norm not in BATCH_NORMS:
            raise ValueError(f"batch_norm {self.batch_norm!r} is not known; expected one of {', '.join(BATCH_NORMS)}")
        self.weights_header.check()
        for head in self.heads:
            head.check()
            if head.classes != len(self.names):
                raise ValueError(f"{len(self.names)} names for the {head.classes} classes of layer {head.layer}")
        strides = [head.stride for head in self.heads]
        if strides != sorted(strides, reverse=True):
            raise ValueError(f"heads of strides {strides} are not in the order of the model's outputs")


def read_description(path: Path | str) -> Description:
    """Read the description of a model file; raise `ModelFileError` when it is missing, damaged or not ours."""
    if is_keras_archive(path):
        raise ModelFileError(
            f"{path}: a .keras file, without the description that yolo3 writes; expected an .h5. If it is a model of "
            f"yolo3 that was trained further, type: yolo3 adopt {path} OUT.h5 --like ORIGINAL.h5"
        )
    with opened(path) as file:
        text = text_attribute(file, ATTRIBUTE)
        if text is None:
            raise _without_description(path, file)
    try:
        return Description.from_json(str(text))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError) as error:
        raise ModelFileError(f"{path}: its description is damaged ({error}); convert the network again") from None


def is_keras_archive(path: Path | str) -> bool:
    """Return whether a file is a .keras file: a zip archive that contains the weights of a model."""
    try:
        with zipfile.ZipFile(path) as archive:
            return "model.weights.h5" in archive.namelist()
    except (OSError, ValueError, zipfile.BadZipFile, NotImplementedError):
        return False


def _without_description(path: Path | str, file: h5py.File) -> ModelFileError:
    """Return the error for a Keras file of other origin, with the command that adopts it."""
    what = f"{path}: a Keras .h5 without the description that yolo3 writes"
    config = file.attrs.get(CONFIG)
    own = str(config if config is not None else list(file.attrs.get("layer_names", ()))[:20])
    if '"picture"' in own or "conv_0" in own or "layers" in file:
        return ModelFileError(
            f"{what}. If it is a model of yolo3 that was trained further, "
            f"type: yolo3 adopt {path} OUT.h5 --like ORIGINAL.h5"
        )
    if config is None and "layer_names" not in file.attrs:
        return ModelFileError(
            f"{what}; expected a file made by `yolo3 convert CFG WEIGHTS OUT.h5`. Convert its Darknet cfg and weights "
            "again"
        )
    options = "--anchors ANCHORS.txt --names NAMES.txt" if config is not None else "--cfg NETWORK.cfg --names NAMES.txt"
    return ModelFileError(
        f"{what}. If an older Keras port of YOLO made it, type: yolo3 adopt {path} OUT.h5 {options}; otherwise use "
        "`yolo3 convert CFG WEIGHTS OUT.h5`"
    )


def check_layers(path: Path | str, *, digest: bool = True) -> None:
    """Raise `ModelFileError` unless Keras can load the file safely.

    It must hold built-in Keras layers of the known kinds only and must not refer to other files. Unless `digest` is
    False, its content must have the SHA-256 that was stored with it; older files have none.
    """
    with opened(path) as file:
        arrays = check_storage(file)
        _check_config(path, file, arrays)
        if digest:
            _check_digest(file, arrays)


def _check_config(path: Path | str, file: h5py.File, arrays: Iterable[h5py.Dataset]) -> None:
    """Raise `ModelFileError` unless the layers are of known kinds and make a network of a reasonable size."""
    try:
        config = json.loads(text_attribute(file, CONFIG) or "")["config"]
        layers = config["layers"]
        found = {(str(layer.get("module", "keras.layers")), str(layer["class_name"])) for layer in layers}
        modules = set(_modules(config))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise ModelFileError(f"{path}: contains no Keras model; convert the network again") from None
    for module, kind in sorted(found):
        if module != "keras.layers" or kind not in KERAS_LAYERS:
            raise ModelFileError(
                f"{path}: contains a layer of kind {module}.{kind}, which yolo3 never writes; it is not loaded, "
                "because such a layer can run arbitrary code"
            )
    if modules - KERAS_MODULES:
        raise ModelFileError(
            f"{path}: refers to {sorted(modules - KERAS_MODULES)[0]}, which yolo3 never does; it is not loaded, "
            "because that can run arbitrary code"
        )
    try:
        about = text_attribute(file, ATTRIBUTE)
        description = Description.from_json(about) if about is not None else None
        check_sizes(
            read_layers(layers),
            height=description.height if description else SIDE,
            width=description.width if description else SIDE,
            stored_numbers=sum(array.size for array in arrays),
        )
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, OverflowError, RecursionError) as error:
        raise ModelFileError(
            f"{path}: its layers do not make a network ({first_line(error)}); convert the network again"
        ) from None


def _modules(config: Any) -> Iterator[str]:
    """Yield the modules from which a configuration would import."""
    if isinstance(config, dict):
        if "module" in config:
            yield str(config["module"])
        for value in config.values():
            yield from _modules(value)
    elif isinstance(config, list):
        for value in config:
            yield from _modules(value)


def _check_digest(file: h5py.File, arrays: Iterable[h5py.Dataset]) -> None:
    stored = text_attribute(file, DIGEST)
    if stored is not None and str(stored) != content_sha256(file, arrays, DIGESTED):
        raise ModelFileError(
            f"{file.filename}: its numbers differ from those that were written (SHA-256 mismatch); convert the "
            "network again, or use an undamaged copy of the file"
        )


def read_variables(path: Path | str, *, digest: bool = True) -> Callable[[str, str], NDArray[np.float32]]:
    """Return a function from a Keras layer's and a variable's name to its value; Keras is not needed.

    An empty layer name stands for the arrays that are stored beside the model. The whole file is read at once: every
    variable's name is unique in it. Raises `ModelFileError` for a damaged file; `digest` is as for `check_layers`.
    """
    values: dict[tuple[str, str], NDArray[np.float32]] = {}
    with opened(path) as file:
        arrays = check_storage(file)
        if digest:
            _check_digest(file, arrays)
        if WEIGHTS not in file:
            raise ModelFileError(f"{path}: damaged (it has no {WEIGHTS}); convert the network again")
        for array in arrays:
            top, *middle, variable = array.name.strip("/").split("/")
            if top == WEIGHTS and middle:
                values[middle[0], variable.removesuffix(":0")] = np.asarray(array, np.float32)
            elif top == KEPT:
                values["", variable] = np.asarray(array, np.float32)
    return lambda layer, variable: values[layer, variable]


def save_model(
    model: Any,
    path: Path | str,
    description: Description,
    *,
    kept: Mapping[str, NDArray[np.float32]] = MappingProxyType({}),
    check: Callable[[Path], None] | None = None,
) -> None:
    """Write a Keras model and its description; an existing file is replaced when the new one is complete.

    `check` is called with the complete file under a temporary name; if it raises, nothing is written. Raises
    `OutputError` when the folder cannot be written to, `WriteError` when the disk is full.
    """
    path = Path(path)
    if path.suffix != ".h5":
        raise OutputError(f"{path}: expected a name that ends in .h5")
    text = description.as_json()
    with replacing(path) as private:
        try:
            _reserve(private, model, text, kept)
            model.save(private)
            with h5py.File(private, "r+") as file:
                file.attrs[ATTRIBUTE] = text
                for name, value in kept.items():
                    file[f"{KEPT}/{name}"] = value
                file.attrs[DIGEST] = content_sha256(file, check_storage(file), DIGESTED)
        except (OSError, RuntimeError) as error:
            raise WriteError(f"{path}: could not be written ({first_line(error)}); is the disk full?") from None
        if check:
            check(private)


def rename_classes(model: Path | str, names: Sequence[str], *, out: Path | str | None = None) -> Description:
    """Rename the classes of a model, in the file or in a copy `out`; everything else is unchanged.

    Raises `NamesError` unless there is a name for each class, `ModelFileError` for a file that is damaged, and
    `OutputError` where the file must not be written.
    """
    model = Path(model)
    description = read_description(model)
    if len(names) != len(description.names):
        raise NamesError(f"{model}: has {len(description.names)} classes; {len(names)} names were given")
    renamed = replace(description, names=tuple(map(printable, names)))
    out = Path(out or model)
    if not same_file(out, model) and out.exists():
        raise OutputError(f"{out}: exists already; move it away or choose another name")
    with opened(model) as file:
        _check_digest(file, check_storage(file))
    with replacing(out) as private:
        shutil.copyfile(model, private)
        with h5py.File(private, "r+") as file:
            file.attrs[ATTRIBUTE] = renamed.as_json()
            file.attrs[DIGEST] = content_sha256(file, check_storage(file), DIGESTED)
    return renamed


def _reserve(path: Path, model: Any, text: str, kept: Mapping[str, NDArray[np.float32]]) -> None:
    # A disk that fills up while HDF5 writes can crash the whole process, so the space is reserved first.
    floats = sum(math.prod(variable.shape) for variable in model.variables) + sum(map(np.size, kept.values()))
    size = 4 * floats + LAYER_BYTES * (len(model.layers) + len(kept)) + len(text.encode())
    with path.open("wb") as file:
        try:
            os.posix_fallocate(file.fileno(), 0, size)
        except AttributeError:  # not supported on this system
            pass
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                raise


def check_replaceable(path: Path | str, *, inputs: Iterable[Path | str] = ()) -> None:
    """Raise `OutputError` unless `convert` may write a model to this path.

    An existing file is replaced only if it was converted from a cfg and weights, so that it can be made again; a model
    that was trained or adopted cannot.
    """
    path = Path(path)
    if path.suffix != ".h5":
        raise OutputError(f"{path}: expected a name that ends in .h5")
    check_output(path, overwrite=True, inputs=inputs)
    if not path.exists():
        return
    try:
        found = read_description(path)
    except ModelFileError:
        raise OutputError(
            f"{path}: exists already and was not made by yolo3 convert; move it away or choose another name"
        ) from None
    if not found.is_converted:
        made = "was trained" if found.cfg else "was adopted"
        raise OutputError(
            f"{path}: exists already and {made}, so it cannot be made again; move it away or choose another name"
        )
