"""Set the initial weights of a training run: random, from an .h5, from Darknet weights, or from their first layers."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convert.cfg import Cfg, parse_cfg, read_cfg
from convert.cfg import with_classes as with_classes
from convert.errors import CfgError, WeightsError
from convert.layers.layer import Layer
from convert.model_file import read_description, read_variables
from convert.network import (
    Network,
    fitting_class_count,
    get_arrays,
    is_kept,
    kept_arrays,
    plan,
    read_arrays,
    set_arrays,
)
from convert.weights import WeightsReader
from detector.errors import SettingsError
from detector.training.settings import TrainSettings

OBJECTNESS_PRIOR = 0.01
"""The objectness that an untrained head predicts (Lin et al., "Focal Loss", arXiv:1708.02002, section 4.1)."""

_AUGMENTATION_KEYS = ("angle", "saturation", "exposure", "hue", "mosaic", "mixup", "cutmix", "blur", "gaussian_noise")

LayerArrays = list[NDArray[np.float32]] | None


@dataclass(frozen=True)
class Start:
    """The parameters to start from: an entry per layer, None for a layer that is initialised at random."""

    arrays: Sequence[LayerArrays]
    note: str
    complete: bool
    """Whether no layer is initialised at random."""


def read_cfg_for(cfg: Path | None, start: Path | None) -> tuple[Cfg, tuple[str, ...]]:
    """Return the given cfg, or else that of the .h5 to start from; and that .h5's class names, if there is one."""
    names: tuple[str, ...] = ()
    own = None
    if start is not None and start.suffix == ".h5":
        description = read_description(start)
        own, names = parse_cfg(description.cfg, str(start)), description.names
    if cfg is not None:
        return read_cfg(cfg), names
    if own is None:
        raise SettingsError("no network to train; give --cfg, or an .h5 with --start")
    return own, names


def check_classes(cfg: Cfg, names: Sequence[str]) -> None:
    """Raise `CfgError` with every head whose number of classes differs from the dataset's."""
    wrong = []
    for before, section in itertools.pairwise(cfg.layers):
        if section.kind == "yolo" and section.integer("classes", 20) != len(names):
            boxes = len(section.integers("mask")) or section.integer("num", 1)
            line = section.options["classes"].line if "classes" in section else section.line
            wrong.append(
                f"{cfg.path}, line {line}: [yolo] has classes={section.integer('classes', 20)}; the dataset has "
                f"{len(names)}. Set classes={len(names)} and, in the layer before it (line {before.line}), "
                f"filters={boxes * (5 + len(names))}"
            )
    if wrong:
        raise CfgError(*wrong)


def read_start(path: Path, network: Network) -> Start:
    """Read parameters from an .h5 or from Darknet weights, for each layer whose shapes match.

    Raise `WeightsError` if no layer fits, or if the file ends in the middle of a layer.
    """
    found = _from_model(path) if path.suffix == ".h5" else _from_weights(path, network)
    arrays: list[LayerArrays] = []
    remade = []
    for index, layer in enumerate(network.layers):
        given = found[index] if index < len(found) else None
        fits = given is not None and [part.shape for part in given] == [part.shape for part in layer.parameters]
        arrays.append(given if fits else None)
        if not fits and layer.parameters:
            remade.append(layer)
    with_parameters = sum(bool(layer.parameters) for layer in network.layers)
    if len(remade) == with_parameters:
        raise WeightsError(f"{path}: no layer's parameters fit {network.cfg.path}; is it another network's?")
    return Start(arrays, _note(path, remade, with_parameters), complete=not remade)


def initial_weights(network: Network, model: Any, start: Start | None) -> dict[str, NDArray[np.float32]]:
    """Initialise a model that `build` made of the network, with the parameters of `start` where it has any.

    Random heads are biased to predict few objects. Return the arrays that no variable of the model holds, under the
    names that `save_model` stores them by: the weights of a weighted shortcut, 1 where `start` has none, and layers
    that no output depends on.
    """
    current = [
        [
            np.ones(part.shape, np.float32)
            if is_kept(network, layer, part)
            else part.from_keras(np.asarray(getattr(model.get_layer(part.keras_layer), part.keras_variable)))
            for part in layer.parameters
        ]
        for layer in network.layers
    ]
    given = start.arrays if start is not None else [None] * len(current)
    arrays = [new if new is not None else old for new, old in zip(given, current, strict=True)]
    for layer in network.outputs:
        before = network.layers[layer.inputs[0]]
        plain = before.section.kind == "convolutional" and not before.section.flag("batch_normalize")
        if layer.head is None or given[before.index] is not None or not plain:
            continue
        number = [part.name for part in before.parameters].index("biases")
        values = arrays[before.index][number].reshape(len(layer.head.anchors), -1).copy()
        values[:, 4] = math.log(OBJECTNESS_PRIOR / (1 - OBJECTNESS_PRIOR))
        arrays[before.index][number] = values.ravel()
    set_arrays(network, model, arrays)
    return kept_arrays(network, arrays)


def _note(path: Path, remade: Sequence[Layer], count: int) -> str:
    if not remade:
        return f"starts from {path}: all {count} layers"
    listed = ", ".join(str(layer.index) for layer in remade[:8]) + (", …" if len(remade) > 8 else "")
    return f"starts from {path}: {count - len(remade)} of {count} layers; initialised at random: {listed}"


def _from_model(path: Path) -> Sequence[LayerArrays]:
    description = read_description(path)
    network = plan(parse_cfg(description.cfg, str(path)))
    return list(get_arrays(network, read_variables(path)))


def _from_weights(path: Path, network: Network) -> Sequence[LayerArrays]:
    with WeightsReader.open(path) as weights:
        if weights.odd_bytes:
            raise WeightsError(
                f"{path}: ends with {weights.odd_bytes} bytes that are not a whole number; download it again"
            )
        if weights.total == network.parameter_count:
            return list(read_arrays(network, weights))
        classes = fitting_class_count(network.cfg, weights.total)
        if classes is not None:
            return list(read_arrays(plan(network.cfg.with_classes(classes)), weights))
        found: list[LayerArrays] = []
        for layer in network.layers:
            if weights.taken == weights.total:
                break
            if layer.parameter_count > weights.total - weights.taken:
                raise WeightsError(
                    f"{path}: ends within {layer.name}, which needs {layer.parameter_count} numbers but "
                    f"{weights.total - weights.taken} are left; expected all of the network's "
                    f"{network.parameter_count} or those of its first layers"
                )
            found.append([weights.take(layer.name, part.name, part.shape) for part in layer.parameters])
        if weights.taken < weights.total:
            raise WeightsError(
                f"{path}: {weights.total} numbers; the network has {network.parameter_count}. Is it another network's?"
            )
        return found


def freeze_layers(network: Network, model: Any, count: int) -> None:
    """Exclude the first `count` layers from training, and what Keras computes from parameters that it does not hold."""
    for layer in network.layers:
        if layer.index not in network.used:
            continue
        fixed = {derived.keras_layer for derived in layer.derived}
        if layer.index < count:
            fixed |= {part.keras_layer for part in layer.parameters if part.keras_layer}
        for name in fixed:
            model.get_layer(name).trainable = False


def check_trainable(network: Network, settings: TrainSettings) -> None:
    """Raise `SettingsError` for settings that the network does not allow, `CfgError` for shared weights."""
    count = len(network.layers)
    if settings.freeze >= count:
        raise SettingsError(f"freeze {settings.freeze} keeps all of the network's {count} layers; expected fewer")
    if settings.multi_scale and network.fixed_size:
        raise SettingsError(f"multi_scale: the network has one input size only ({network.fixed_size})")
    for layer in network.layers:
        if layer.shares is not None:
            raise layer.section.error("cannot be trained here: it shares the weights of another layer")


def fixed_notes(network: Network, settings: TrainSettings) -> list[str]:
    """Return what of the cfg training leaves unchanged or does not read, one sentence each."""
    notes = []
    weighted = [layer.index for layer in network.layers if layer.section.kind == "shortcut" and layer.parameters]
    if weighted:
        notes.append(f"the weights of weighted shortcuts (layers {', '.join(map(str, weighted))}) are not trained")
    keys = [key for key in _AUGMENTATION_KEYS if key in network.cfg.net]
    keys += ["jitter"] if any("jitter" in layer.section for layer in network.outputs) else []
    if keys:
        notes.append(f"the cfg's {', '.join(keys)} are not read: --scale, --flip, --colour and --mosaic apply instead")
    if not settings.multi_scale and any(layer.section.number("random", 0) for layer in network.outputs):
        notes.append("the cfg's random=1 is not read: pass --multi-scale to train on inputs of several sizes")
    return notes
