"""Implement Darknet's batch normalisation formulas with Keras's layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from convert.cfg import Section
from convert.layers.layer import Before, Derived, Dialect, Layer, Parameter, Tensor

BATCH_NORM_EPSILON = 1e-5
"""Darknet's epsilon (`batchnorm_kernels.cu`, `fuse_conv_batchnorm`). Keras's default, 1e-3, would shift every layer."""

PJREDDIE_EPSILON = 1e-6
"""Added after the square root by pjreddie's CPU code (`normalize_cpu`, blas.c)."""


def batch_norm(tensor: Tensor, name: str) -> Tensor:
    """Return the Keras layer whose variables `batch_norm_parameters` fills."""
    from keras.layers import BatchNormalization

    return BatchNormalization(epsilon=BATCH_NORM_EPSILON, name=name)(tensor)


def batch_norm_parameters(
    channels: int, keras_layer: str, formula: Dialect
) -> tuple[tuple[Parameter, ...], tuple[Derived, ...]]:
    """Return the parameters in Darknet's order (biases, scales, rolling mean, rolling variance) and derived variables.

    pjreddie's CPU code divides by sqrt(variance) + 1e-6. For that formula the scales are stored unchanged and gamma is
    computed to give the same quotient; for the plain formula the variables are the parameters themselves.
    """
    names = {"biases": "beta", "scales": "gamma", "mean": "moving_mean", "variance": "moving_variance"}
    parameters = [Parameter(name, (channels,), keras_layer, variable) for name, variable in names.items()]
    if formula == "alexeyab":
        return tuple(parameters), ()
    parameters[1] = Parameter("scales", (channels,))
    return tuple(parameters), (Derived(keras_layer, "gamma", _pjreddie_gamma),)


def _pjreddie_gamma(arrays: Mapping[str, NDArray[np.float32]]) -> NDArray[np.float32]:
    variance = arrays["variance"].astype(np.float64)
    quotient = np.sqrt(variance + BATCH_NORM_EPSILON) / (np.sqrt(variance) + PJREDDIE_EPSILON)
    gamma: NDArray[np.float32] = (arrays["scales"] * quotient).astype(np.float32)
    return gamma


def batchnorm(section: Section, before: Before) -> Layer:
    """Build `[batchnorm]` as a layer of its own (`load_batchnorm_weights`, parser.c; `batchnorm_layer.c`).

    pjreddie's files have no biases here. The activation is always linear: neither Darknet reads the key.
    """
    index, name = before.index, f"bn_{before.index}"
    parameters, derived = batch_norm_parameters(before.shape.channels, name, before.batch_norm)
    if before.batch_norm == "pjreddie":
        parameters = parameters[1:]
        derived = (*derived, Derived(name, "beta", lambda arrays: np.zeros_like(arrays["mean"])))

    def build(inputs: Sequence[Tensor]) -> Tensor:
        return batch_norm(inputs[0], name)

    return Layer(
        section, index, (before.previous,), before.shape, build, parameters, derived, flops=2 * before.shape.size
    )
