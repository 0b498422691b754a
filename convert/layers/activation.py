"""Darknet's activations as Keras layers (`activations.h`)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from convert.cfg import Section
from convert.layers.layer import Tensor

LEAKY_SLOPE = 0.1


def _leaky(slope: float) -> Callable[[str], Any]:
    def make(name: str) -> Any:
        from keras.layers import LeakyReLU

        return LeakyReLU(negative_slope=slope, name=name)

    return make


def _named(keras_name: str) -> Callable[[str], Any]:
    def make(name: str) -> Any:
        from keras.layers import Activation

        return Activation(keras_name, name=name)

    return make


ACTIVATIONS: dict[str, Callable[[str], Any] | None] = {
    "elu": _named("elu"),
    "leaky": _leaky(LEAKY_SLOPE),
    "linear": None,
    "logistic": _named("sigmoid"),
    "mish": _named("mish"),
    "relie": _leaky(0.01),
    "relu": _named("relu"),
    "relu6": _named("relu6"),
    "selu": _named("selu"),
    "swish": _named("silu"),
    "tanh": _named("tanh"),
}
"""Darknet's name -> maker of the Keras layer; None for the identity."""


def read_activation(section: Section, default: str) -> Callable[[Tensor, str], Tensor]:
    """The function that applies a section's `activation=`; `CfgError` for one that is not known.

    Darknet takes an unknown word for relu without stopping, so a slip of the pen gives a wrong network there.
    """
    word = section.choice("activation", ACTIVATIONS, default)
    make = ACTIVATIONS[word]

    def apply(tensor: Tensor, name: str) -> Tensor:
        return make(f"{word}_{name}")(tensor) if make else tensor

    return apply
