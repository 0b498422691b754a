"""Convert the convolutions of a Keras port of YOLO to the parameters of a Darknet network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from convert.errors import ModelFileError
from convert.keras_file import Arrays
from convert.layers.layer import Layer, Parameter
from convert.layers.normalisation import BATCH_NORM_EPSILON
from convert.network import Arrays as NetworkArrays
from convert.network import Network


@dataclass(frozen=True)
class PortConvolution:
    """A convolution of a port, with the normalisation after it."""

    name: str
    kernel: NDArray[np.float32]
    bias: NDArray[np.float32] | None
    norm: Arrays = ()
    """Gamma, beta, mean and variance; empty if there is no normalisation."""
    epsilon: float = BATCH_NORM_EPSILON
    """The epsilon added to the variance."""

    @property
    def gamma(self) -> NDArray[np.float32]:
        """The scales that give the same result with Darknet's epsilon."""
        gamma, _, _, variance = self.norm
        if self.epsilon == BATCH_NORM_EPSILON:
            return gamma
        wide = variance.astype(np.float64)
        quotient = np.sqrt(wide + BATCH_NORM_EPSILON) / np.sqrt(wide + self.epsilon)
        return np.asarray(gamma * quotient, np.float32)

    def value(self, parameter: str) -> NDArray[np.float32] | None:
        """Return the array for one of Darknet's parameters, None if the port has none."""
        if parameter == "weights":
            return self.kernel
        if not self.norm:
            return self.bias if parameter == "biases" else None
        _, beta, mean, variance = self.norm
        return {"biases": beta, "scales": self.gamma, "mean": mean, "variance": variance}.get(parameter)


def fill(network: Network, convolutions: Sequence[PortConvolution], path: Path) -> NetworkArrays:
    """Return the parameters of every layer, from the ports' convolutions in order.

    Raise `ModelFileError` if one does not fit its section, or the counts differ.
    """
    left = iter(convolutions)
    arrays: NetworkArrays = []
    wanted = sum(bool(layer.parameters) for layer in network.layers)
    if wanted != len(convolutions):
        raise ModelFileError(
            f"{path}: holds {len(convolutions)} convolutions; {network.cfg.path} has {wanted} layers with weights"
        )
    for layer in network.layers:
        convolution = next(left) if layer.parameters else None
        arrays.append(
            [] if convolution is None else [_array(layer, one, convolution, path) for one in layer.parameters]
        )
    return arrays


def _array(layer: Layer, parameter: Parameter, convolution: PortConvolution, path: Path) -> NDArray[np.float32]:
    value = convolution.value(parameter.name) if layer.section.kind == "convolutional" else None
    normalised = any(one.name == "scales" for one in layer.parameters)
    if value is None or normalised != bool(convolution.norm):
        kind = "with" if convolution.norm else "without"
        raise ModelFileError(
            f"{path}: {convolution.name} is a convolution {kind} batch normalisation; "
            f"{layer.section.path}, {layer.name} is another layer"
        )
    expected = tuple(parameter.shape[axis] for axis in parameter.axes) if parameter.axes else parameter.shape
    if value.shape != expected:
        raise ModelFileError(
            f"{path}: {convolution.name} has {parameter.name} of {value.shape}; {layer.section.path}, {layer.name} "
            f"needs {expected}. Is this the cfg, and are these the names, that it was trained with?"
        )
    return parameter.from_keras(value)
