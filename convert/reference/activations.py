"""Apply Darknet's activations (`activations.h`, `activations.c`) to arrays (channels, rows, columns)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]


def logistic(x: Array) -> Array:
    """`logistic_activate`."""
    half = np.exp(-np.abs(x))
    return np.where(x >= 0, 1 / (1 + half), half / (1 + half))


def mish(x: Array) -> Array:
    """Apply `activate_array_mish`: x tanh(ln(1 + e^x)), with the logarithm replaced by x above 20."""
    return x * np.tanh(np.where(x > 20, x, np.log1p(np.exp(np.minimum(x, 20)))))


def over_channels(x: Array) -> Array:
    """`activate_array_normalize_channels`."""
    positive = np.where(x > 0, x, 0)
    result: Array = positive / (np.float32(1e-4) + positive.sum(axis=0, keepdims=True))
    return result


def softmax_over_channels(x: Array, *, subtract_largest: bool) -> Array:
    """`activate_array_normalize_channels_softmax`."""
    powers = np.exp(x - x.max(axis=0, keepdims=True) if subtract_largest else x)
    result: Array = powers / (np.float32(1e-4) + powers.sum(axis=0, keepdims=True))
    return result


ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "elu": lambda x: np.where(x >= 0, x, np.expm1(np.minimum(x, 0))),
    "gelu": lambda x: 0.5 * x * (1 + np.tanh(0.797885 * x + 0.035677 * x**3)),
    "hard_mish": lambda x: np.where(x > 0, x, np.where(x > -2, x * x / 2 + x, 0)),
    "hardtan": lambda x: np.clip(x, -1, 1),
    "leaky": lambda x: np.where(x > 0, x, 0.1 * x),
    "lhtan": lambda x: np.where(x < 0, 0.001 * x, np.where(x > 1, 0.001 * (x - 1) + 1, x)),
    "linear": lambda x: x,
    "logistic": logistic,
    "loggy": lambda x: 2 * logistic(x) - 1,
    "mish": mish,
    "normalize_channels": over_channels,
    "normalize_channels_softmax": lambda x: softmax_over_channels(x, subtract_largest=False),
    "normalize_channels_softmax_maxval": lambda x: softmax_over_channels(x, subtract_largest=True),
    "plse": lambda x: np.where(x < -4, 0.01 * (x + 4), np.where(x > 4, 0.01 * (x - 4) + 1, 0.125 * x + 0.5)),
    "ramp": lambda x: x * (x > 0) + 0.1 * x,
    "relie": lambda x: np.where(x > 0, x, 0.01 * x),
    "relu": lambda x: np.maximum(x, 0),
    "relu6": lambda x: np.clip(x, 0, 6),
    "revleaky": lambda x: np.where(x > 0, x, 0.1 * x),
    "selu": lambda x: np.where(x >= 0, 1.0507 * x, 1.0507 * 1.6732 * np.expm1(np.minimum(x, 0))),
    "swish": lambda x: x * logistic(x),
    "tanh": np.tanh,
}


def activate(word: str, x: Array) -> Array:
    """Return the activation with this name in a cfg."""
    return ACTIVATIONS[word](x).astype(np.float32, copy=False)
