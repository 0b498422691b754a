"""A converted network that was trained further in Keras and saved by it, made one that describes itself again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from convert.adopted import Adoption
from convert.cfg import parse_cfg
from convert.errors import ModelFileError
from convert.files import file_sha256
from convert.keras_file import KerasFile, read_keras_file
from convert.keras_import import import_keras
from convert.model_file import (
    Description,
    check_layers,
    check_replaceable,
    read_description,
    read_variables,
    save_model,
)
from convert.network import Network, derived_variables, get_arrays, kept_arrays, plan
from convert.text import printable

_TRAINING_ONLY = frozenset(
    """name trainable dtype dtype_policy kernel_initializer bias_initializer depthwise_initializer beta_initializer
    gamma_initializer moving_mean_initializer moving_variance_initializer kernel_regularizer bias_regularizer
    depthwise_regularizer beta_regularizer gamma_regularizer activity_regularizer kernel_constraint bias_constraint
    depthwise_constraint beta_constraint gamma_constraint momentum synchronized renorm noise_shape seed""".split()
)
"""Options of Keras layers that do not change what a trained network computes."""


def adopt_like(
    tuned: Path | str, model: Path | str, *, like: Path | str, on_note: Callable[[str], None] = lambda note: None
) -> Adoption:
    """Write a self-describing .h5 with the weights of `tuned`, and everything else from the model `like`.

    `tuned` is what Keras saved after further training: .keras, .h5, or weights alone. Its layers must be those of
    `like`, which is the converted model that the training began with. Raises `ModelFileError` where they differ.
    """
    tuned, model, like = Path(tuned), Path(model), Path(like)
    check_replaceable(model, inputs=[tuned, like])
    description = read_description(like)
    check_layers(like)
    found = read_keras_file(tuned)
    if found.layers:
        _check_same(found, read_keras_file(like))
    keras = import_keras()
    original = keras.models.load_model(like, compile=False, safe_mode=True)
    network = (
        plan(parse_cfg(description.cfg, str(like)), batch_norm=description.batch_norm) if description.cfg else None
    )
    kept = kept_arrays(network, get_arrays(network, read_variables(like))) if network else {}
    fixed = _values(derived_variables(network, original)) if network else {}
    _set_weights(original, found)
    if network:
        _check_fixed(tuned, network, original, fixed)
    notes = () if found.layers else (f"{tuned}: holds weights alone; its layers are taken to be those of {like}",)
    for note in notes:
        on_note(printable(note))
    save_model(original, model, _description(description, tuned), kept=kept)
    return Adoption(model, description, notes)


def _description(description: Description, tuned: Path) -> Description:
    """That of the original, as of a model that cannot be made again from Darknet's weights."""
    return replace(description, weights_sha256="" if description.cfg else file_sha256(tuned))


def _check_same(found: KerasFile, original: KerasFile) -> None:
    """Raise `ModelFileError` at the first layer that computes something else than the original's."""
    theirs = {layer.name: layer for layer in found.layers}
    for ours in original.layers:
        layer = theirs.pop(ours.name, None)
        what = ""
        if layer is None:
            what = f"has no layer {ours.name} ({ours.kind})"
        elif layer.kind != ours.kind:
            what = f"its layer {ours.name} is of kind {layer.kind}, not {ours.kind}"
        elif layer.inputs != ours.inputs:
            what = f"its layer {ours.name} reads {', '.join(layer.inputs)}, not {', '.join(ours.inputs)}"
        else:
            changed = [
                key
                for key in layer.config.keys() & ours.config.keys()
                if key not in _TRAINING_ONLY and ours.kind != "InputLayer" and layer.config[key] != ours.config[key]
            ]
            if changed:
                key = min(changed)
                what = f"its layer {ours.name} has {key} {layer.config[key]}, not {ours.config[key]}"
        if what:
            raise _other(found.path, original.path, what)
    extra = next(iter(theirs), "")
    if extra:
        raise _other(found.path, original.path, f"has a layer {extra} ({theirs[extra].kind}) more")
    if found.outputs != original.outputs:
        raise _other(found.path, original.path, f"its outputs are {', '.join(found.outputs)}")


def _other(tuned: Path, like: Path, what: str) -> ModelFileError:
    return ModelFileError(
        f"{tuned}: {what}, so it is not {like} trained further; give the model that the training began with, or save "
        "the network without what was added for training"
    )


def _set_weights(model: Any, found: KerasFile) -> None:
    """Put the file's numbers into the model; `ModelFileError` for a layer whose shapes are others, or not finite."""
    for layer in model.layers:
        if not layer.weights:
            continue
        values = found.weights.get(layer.name)
        shapes = [tuple(variable.shape) for variable in layer.weights]
        if values is None or [value.shape for value in values] != shapes:
            stored = "none" if values is None else ", ".join(str(value.shape) for value in values)
            raise ModelFileError(
                f"{found.path}: layer {layer.name} has the arrays {stored}; expected {', '.join(map(str, shapes))}"
            )
        if not all(np.isfinite(value).all() for value in values):
            raise ModelFileError(
                f"{found.path}: layer {layer.name} holds numbers that are not finite; the training came to nothing"
            )
        layer.set_weights(list(values))


def _values(variables: list[Any]) -> Mapping[str, Any]:
    return {variable.path: np.array(variable) for variable in variables}


def _check_fixed(tuned: Path, network: Network, model: Any, before: Mapping[str, Any]) -> None:
    """Raise `ModelFileError` if training changed what is computed from Darknet's arrays and cannot go back."""
    for path, value in _values(derived_variables(network, model)).items():
        if not np.array_equal(value, before[path]):
            raise ModelFileError(
                f"{tuned}: training changed {path}, which the cfg fixes; freeze that layer in training "
                "(layer.trainable = False), or begin with a model converted with --batch-norm alexeyab"
            )
