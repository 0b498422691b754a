"""Verify a conversion: compare the Keras model with the NumPy network, layer by layer, on a test image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convert.errors import CfgError, VerificationError
from convert.keras_import import import_keras
from convert.layers.layer import Layer
from convert.network import Network, plan
from convert.reference import forward

TOLERANCE = 2e-4
"""Maximum difference as a fraction of a layer's range. The summation order of float32 causes a hundredth of that."""

SMALL_PARAMETERS = 25_000_000
SMALL_FLOPS = 6e9
SMALL_OUTPUTS = 50_000_000
"""Up to this size (floats, FLOPs, numbers in all maps) every conversion is verified: it takes a second or two."""

CELLS = 3
"""Rows of the coarsest grid for the test image; it has one more column."""


@dataclass(frozen=True)
class Comparison:
    """The outputs of one layer compared."""

    layer: str
    shape: str
    difference: float
    """The largest difference as a fraction of the range of the layer's values."""

    def __str__(self) -> str:
        return f"{self.layer:44} {self.shape:>16}  {self.difference:.1e}"


def is_small(network: Network) -> bool:
    """Return whether verifying the network takes no more than a second or two."""
    height, width = picture_size(network)
    share = height * width / (network.picture.height * network.picture.width)
    numbers = sum(layer.shape.size for layer in network.layers)
    work = network.flops + sum(layer.work for layer in network.layers)
    return (
        network.parameter_count <= SMALL_PARAMETERS and work * share <= SMALL_FLOPS and numbers * share <= SMALL_OUTPUTS
    )


def picture_size(network: Network) -> tuple[int, int]:
    """Return the rows and columns of the test image: a few cells of the coarsest grid, or the only size allowed.

    Convolutions and windows without padding need a larger image. The size is doubled until every layer has an output.
    """
    picture = network.picture
    if network.fixed_size:
        return picture.height, picture.width
    stride = max((int(layer.shape.stride) for layer in network.layers if not layer.shape.pooled), default=1)
    height, width = CELLS * stride, (CELLS + 1) * stride
    while height < picture.height or width < picture.width:
        size = min(picture.height, height), min(picture.width, width)
        try:
            plan(network.cfg.with_size(*size), batch_norm=network.batch_norm)
        except CfgError:
            height, width = 2 * height, 2 * width
        else:
            return size
    return picture.height, picture.width


def verify_model(
    network: Network, keras_layers: Mapping[int, str], model: Any, floats: NDArray[np.float32], *, transposed: bool
) -> list[Comparison]:
    """Compare every layer of a Keras model, loaded from its file, with the NumPy network.

    `keras_layers` names the Keras layer that gives each layer's output, `floats` is the whole .weights file after its
    header. Raise `VerificationError` when a layer differs by more than `TOLERANCE`.
    """
    height, width = picture_size(network)
    picture = np.random.default_rng(3).uniform(0, 1, (network.picture.channels, height, width)).astype(np.float32)
    expected = forward(
        network.cfg,
        floats,
        picture,
        transposed=transposed,
        darknet=network.darknet,
        batch_norm=network.batch_norm,
    )
    used = [layer for layer in network.layers if layer.index in network.used]
    outputs = [model.get_layer(keras_layers[layer.index]).output for layer in used]
    found = import_keras().Model(model.inputs, outputs).predict_on_batch(picture.transpose(1, 2, 0)[None])
    found = found if isinstance(found, list) else [found]
    comparisons = [
        _compare(layer, keras_map[0], expected[layer.index]) for layer, keras_map in zip(used, found, strict=True)
    ]
    wrong = [one for one in comparisons if not one.difference <= TOLERANCE]
    if wrong:
        raise VerificationError(
            f"{network.cfg.path}: the converted network does not compute what Darknet computes, from {wrong[0].layer}"
            f" on (it differs by {wrong[0].difference:.1e} of the layer's range; expected at most {TOLERANCE:g}). "
            "Nothing was written. If the weights are intact, this is a bug in yolo3: please report it with the cfg"
        )
    return comparisons


def _compare(layer: Layer, keras_map: NDArray[np.float32], darknet_map: NDArray[np.float32]) -> Comparison:
    if layer.head and layer.head.kind == "detection":
        keras_map = _in_darknets_order(keras_map, layer.head.classes, len(layer.head.anchors))
    else:
        keras_map = keras_map.transpose(2, 0, 1)
    if keras_map.size != darknet_map.size:
        return Comparison(layer.name, f"{keras_map.shape} {darknet_map.shape}", float("inf"))
    ours, theirs = keras_map.ravel(), darknet_map.ravel()
    # Weights that contain NaN make both networks useless: where Darknet has no number there is nothing to compare.
    finite = np.isfinite(theirs)
    if not finite.any():
        return Comparison(layer.name, "no finite number", 0.0)
    ours, theirs = ours[finite].astype(np.float64), theirs[finite].astype(np.float64)
    # A nearly constant map has almost no range: compare with the precision of float32 at that value.
    spread = max(float(np.ptp(theirs)), float(np.abs(theirs).max()) / 1000) or 1.0
    difference = float(np.abs(ours - theirs).max()) / spread
    return Comparison(layer.name, "x".join(map(str, darknet_map.shape)), difference)


def _in_darknets_order(keras_map: NDArray[np.float32], classes: int, boxes: int) -> NDArray[np.float32]:
    """Return `[detection]`'s cells as one row: all classes, then all confidences, then all boxes."""
    parts = np.split(keras_map, [classes, classes + boxes], axis=-1)
    return np.concatenate([part.ravel() for part in parts])
