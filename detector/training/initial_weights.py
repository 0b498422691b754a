"""What a training starts from: nothing, an .h5, Darknet weights, or the first layers of some."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convert.cfg import Cfg, parse_cfg
from convert.errors import CfgError, WeightsError
from convert.layers.layer import Layer
from convert.model_file import read_description, read_variables
from convert.network import Network, fitting_class_count, get_arrays, plan, read_arrays, set_arrays
from convert.weights import WeightsReader
from detector.errors import SettingsError

OBJECTNESS_PRIOR = 0.01
"""How probable an untrained head holds an object to be (Lin et al., "Focal Loss", arXiv:1708.02002, section 4.1)."""

LayerArrays = list[NDArray[np.float32]] | None


@dataclass(frozen=True)
class Start:
    """Parameters for the layers that have any to begin with, None for the others."""

    arrays: Sequence[LayerArrays]
    note: str


def recast(cfg: Cfg, classes: int) -> Cfg:
    """The same cfg for another number of classes, in its text too: heads, and the filters of the layer before each."""
    changed = cfg.with_classes(classes)
    lines = cfg.text.split("\n")
    for old, new in zip(cfg.layers, changed.layers, strict=True):
        for key in ("classes", "filters"):
            if key in new and (key not in old or old.options[key].value != new.options[key].value):
                value = new.options[key].value
                if key in old:
                    lines[old.options[key].line - 1] = f"{key}={value}"
                else:
                    lines[old.line - 1] += f"\n{key}={value}"
    return parse_cfg("\n".join(lines), cfg.path)


def check_classes(cfg: Cfg, names: Sequence[str]) -> None:
    """Raise `CfgError` that lists every head whose classes are not as many as the data's names."""
    wrong = []
    for before, section in itertools.pairwise(cfg.layers):
        if section.kind == "yolo" and section.integer("classes", 20) != len(names):
            boxes = len(section.integers("mask")) or section.integer("num", 1)
            line = section.options["classes"].line if "classes" in section else section.line
            wrong.append(
                f"{cfg.path}, line {line}: [yolo] has classes={section.integer('classes', 20)}; the data have "
                f"{len(names)}. Set classes={len(names)} and, in the layer before it (line {before.line}), "
                f"filters={boxes * (5 + len(names))}"
            )
    if wrong:
        raise CfgError(*wrong)


def read_start(path: Path, network: Network) -> Start:
    """Parameters for a network from an .h5 or from Darknet weights, layer by layer as far as shapes agree.

    Raises `WeightsError` where nothing fits, or where the file ends in the middle of a layer.
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
    return Start(arrays, _note(path, remade, with_parameters))


def begin(network: Network, model: Any, start: Start | None) -> None:
    """Fill a built model: untrained heads expect little, and what `start` has is put in place."""
    if start is not None:
        current = get_arrays(network, lambda layer, name: np.asarray(getattr(model.get_layer(layer), name)))
        set_arrays(
            network, model, [new if new is not None else old for new, old in zip(start.arrays, current, strict=True)]
        )
    for layer in network.outputs:
        before = layer.inputs[0]
        if layer.head is None or (start is not None and start.arrays[before] is not None):
            continue
        if network.layers[before].section.kind != "convolutional" or network.layers[before].section.flag(
            "batch_normalize"
        ):
            continue
        bias = model.get_layer(f"conv_{before}").bias
        values = np.asarray(bias).reshape(len(layer.head.anchors), -1).copy()
        values[:, 4] = math.log(OBJECTNESS_PRIOR / (1 - OBJECTNESS_PRIOR))
        bias.assign(values.ravel())


def _note(path: Path, remade: Sequence[Layer], count: int) -> str:
    if not remade:
        return f"starts from {path}: all {count} layers"
    listed = ", ".join(str(layer.index) for layer in remade[:8]) + (", …" if len(remade) > 8 else "")
    return f"starts from {path}: {count - len(remade)} of {count} layers; made anew: {listed}"


def _from_model(path: Path) -> Sequence[LayerArrays]:
    description = read_description(path)
    network = plan(parse_cfg(description.cfg, str(path)))
    return list(get_arrays(network, read_variables(path)))


def _from_weights(path: Path, network: Network) -> Sequence[LayerArrays]:
    with WeightsReader.open(path) as weights:
        if weights.odd_bytes:
            raise WeightsError(f"{path}: ends with {weights.odd_bytes} bytes that make no number; fetch it again")
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
                    f"{path}: ends within {layer.name}, which needs {layer.parameter_count} numbers where "
                    f"{weights.total - weights.taken} are left; expected all of the network's "
                    f"{network.parameter_count} or those of its first layers"
                )
            found.append([weights.take(layer.name, part.name, part.shape) for part in layer.parameters])
        if weights.taken < weights.total:
            raise WeightsError(
                f"{path}: {weights.total} numbers; the network has {network.parameter_count}. Is it another network's?"
            )
        return found


def check_freeze(network: Network, count: int) -> None:
    """Raise `SettingsError` if so many first layers cannot be kept as they are."""
    if count >= len(network.layers):
        raise SettingsError(f"freeze {count} keeps all of the network's {len(network.layers)} layers; expected fewer")
