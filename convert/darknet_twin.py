"""Find the Darknet network that computes the same as an adopted Keras model, if there is one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convert.cfg import parse_cfg
from convert.errors import CfgError, ModelFileError
from convert.head import Head
from convert.keras_shapes import StoredLayer
from convert.layers_to_cfg import NotDarknetError, layers_to_cfg
from convert.network import Network, build, plan, set_arrays
from convert.port_convolutions import PortConvolution, fill

SIDE = 416
"""Input side in pixels at which strides are measured, and the size for networks that accept any."""

_SAME = 1e-4
"""Maximum difference of an output, as a fraction of its range."""


def darknet_twin(
    model: Any,
    layers: Sequence[StoredLayer],
    heads: Sequence[tuple[str, Head]],
    anchors: Sequence[tuple[float, float]],
    path: Path,
) -> tuple[Any, Network]:
    """Return the same network made of a cfg, with the weights of `model`, after comparing both on a noise image.

    `heads` names the layer of each output, coarsest first. Raise `NotDarknetError`, which says why there is none.
    """
    height, width = (side or SIDE for side in model.inputs[0].shape[1:3])
    channels = {
        layer.name: layer.input.shape[-1] for layer in model.layers if type(layer).__name__ == "DepthwiseConv2D"
    }
    size = (height, width, model.inputs[0].shape[3])
    written = layers_to_cfg(layers, heads, anchors, size=size, channels=channels)
    try:
        network = plan(parse_cfg(written.text, f"{path} (as a cfg)"))
        arrays = fill(network, [_convolution(model, *names) for names in written.convolutions], path)
    except (CfgError, ModelFileError) as error:
        raise NotDarknetError(str(error)) from None
    twin = build(network)
    set_arrays(network, twin, arrays)
    stride = max(head.stride for _, head in heads)
    sides = [known or 2 * stride for known in model.inputs[0].shape[1:3]]
    picture = np.random.default_rng(7).uniform(0, 1, (1, *sides, size[2])).astype(np.float32)
    for number, (own, other) in enumerate(zip(_outputs(model, picture), _outputs(twin, picture), strict=True)):
        if own.shape != other.shape or np.abs(own - other).max() > _SAME * max(float(np.ptp(own)), 1e-6):
            raise NotDarknetError(f"output {number} is not what Darknet's layers compute")
    return twin, network


def _outputs(model: Any, picture: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    found = model.predict_on_batch(picture)
    return list(found) if isinstance(found, list) else [found]


def _convolution(model: Any, name: str, norm_name: str) -> PortConvolution:
    values = [np.asarray(value, np.float32) for value in model.get_layer(name).get_weights()]
    kernel, bias = values[0], values[1] if len(values) > 1 else None
    if not norm_name:
        return PortConvolution(name, kernel, bias if bias is not None else np.zeros(kernel.shape[-1], np.float32))
    norm = model.get_layer(norm_name)
    given = iter(np.asarray(value, np.float32) for value in norm.get_weights())
    count = norm.moving_mean.shape[0]
    gamma = next(given) if norm.scale else np.ones(count, np.float32)
    beta = next(given) if norm.center else np.zeros(count, np.float32)
    mean, variance = given
    # Darknet's convolutions have no bias before their normalisation; shifting the mean is equivalent.
    mean = mean if bias is None else mean - bias
    return PortConvolution(name, kernel, None, (gamma, beta, mean, variance), float(norm.epsilon))
