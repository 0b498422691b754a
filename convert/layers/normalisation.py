"""Batch normalisation: Darknet's formulas, as Keras's layer computes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from convert.cfg import Section
from convert.layers.layer import Before, Derived, Dialect, Layer, Parameter, Tensor

BATCH_NORM_EPSILON = 1e-5
"""Darknet's (`batchnorm_kernels.cu`, `fuse_conv_batchnorm`). Keras's own default, 1e-3, shifts every layer."""

PJREDDIE_EPSILON = 1e-6
"""Added after the root by pjreddie's CPU code (`normalize_cpu`, blas.c)."""


def batch_norm(tensor: Tensor, name: str) -> Tensor:
    """The Keras layer whose variables `batch_norm_parameters` fills."""
    from keras.layers import BatchNormalization

    return BatchNormalization(epsilon=BATCH_NORM_EPSILON, name=name)(tensor)


def batch_norm_parameters(
    channels: int, keras_layer: str, formula: Dialect
) -> tuple[tuple[Parameter, ...], tuple[Derived, ...]]:
    """Darknet's order: biases (beta), scales (gamma), rolling mean, rolling variance; and what is derived from them.

    pjreddie's CPU code divides by sqrt(variance) + 1e-6. With that formula the scales are kept as they are and gamma
    is made to give the same quotient; the variables that have the plain formula are the parameters themselves.
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
    """`[batchnorm]` on its own (`load_batchnorm_weights`, parser.c; `batchnorm_layer.c`).

    pjreddie's files have no biases here. Its activation is always linear: neither Darknet reads the key.
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
