"""Describe one section of a network: its shape, its parameters and how to build it in Keras."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from convert.cfg import Section
from convert.head import Head

Tensor = Any
"""A symbolic Keras tensor, NHWC."""

Dialect = Literal["alexeyab", "pjreddie"]
"""The two Darknets that compute some sections differently; hank-ai's computes them as AlexeyAB's does."""

BATCH_NORMS: tuple[Dialect, ...] = ("alexeyab", "pjreddie")
"""The batch normalisation formula to fold in."""

LARGEST_SIDE = 16384
"""Maximum width and height of a network's input, in pixels."""

LARGEST_MAP = 2**27
"""Maximum numbers in a layer's map, padding included: 512 MiB. YOLOv3's largest map reaches it at an input of
2048x2048."""

LARGEST_CONSTANT = 2**24
"""Maximum numbers in a constant array that is not in the weights file."""

PICTURE = -1
"""The index that stands for the network's input."""


@dataclass(frozen=True)
class Shape:
    """The size of a feature map at the cfg's own input size."""

    height: int
    width: int
    channels: int
    stride: Fraction = Fraction(1)
    """Input pixels per cell, vertically and horizontally."""

    pooled: bool = False
    """Whether it is a single cell at any input size, as after `[avgpool]`."""

    @property
    def size(self) -> int:
        """The number of values in the map."""
        return self.height * self.width * self.channels

    def __str__(self) -> str:
        return f"{self.width}x{self.height}x{self.channels}"


@dataclass(frozen=True)
class Parameter:
    """One array of a layer: its shape in Darknet's file and its place in the Keras model.

    An array without a Keras layer is stored unchanged beside the model: what Keras needs is computed from it (see
    `Derived`) and could not be converted back to the same bytes.
    """

    name: str
    shape: tuple[int, ...]
    """In Darknet's order."""

    keras_layer: str = ""
    keras_variable: str = ""
    axes: tuple[int, ...] = ()
    """The permutation from Darknet's axes to Keras's; empty when they are the same."""

    transposable: bool = False
    """Whether files whose header says so store it transposed (input by output)."""

    @property
    def count(self) -> int:
        """Number of floats in the file."""
        return math.prod(self.shape)  # Python integers: NumPy's product would overflow at 2^63.

    def to_keras(self, values: NDArray[np.float32], keras_shape: Sequence[int]) -> NDArray[np.float32]:
        """Return Darknet's array in Keras's order and shape."""
        return values.reshape(self.shape).transpose(self._axes).reshape(keras_shape)

    def from_keras(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return Keras's array in Darknet's order and shape: the inverse of `to_keras`."""
        permuted = values.reshape([self.shape[axis] for axis in self._axes])
        return permuted.transpose(np.argsort(self._axes))

    @property
    def _axes(self) -> tuple[int, ...]:
        return self.axes or tuple(range(len(self.shape)))


@dataclass(frozen=True)
class Derived:
    """A Keras variable that is a constant or is computed from a layer's arrays."""

    keras_layer: str
    keras_variable: str
    compute: Callable[[Mapping[str, NDArray[np.float32]]], NDArray[np.float32]]
    """Computes the variable, in Keras's order, from the layer's arrays by name."""


@dataclass(frozen=True)
class Layer:
    """One parsed section of the cfg."""

    section: Section
    index: int
    inputs: tuple[int, ...]
    """Indices of the layers it reads; `PICTURE` for the network's input."""

    shape: Shape
    build: Callable[[Sequence[Tensor]], Tensor]
    """Adds this section's Keras layers to the input tensors and returns the output tensor."""

    parameters: tuple[Parameter, ...] = ()
    """The arrays in the order of Darknet's file."""

    derived: tuple[Derived, ...] = ()
    """Variables that are not a permutation of a parameter."""

    shares: int | None = None
    """The layer whose arrays `derived` uses, if not this one."""

    head: Head | None = None
    flops: int = 0
    """Multiplications and additions for one image of the cfg's input size."""

    work: int = 0
    """Comparisons for one such image, which Darknet does not count."""

    fixed_size: str = ""
    """Why this layer restricts the network to one input size; empty when it does not."""

    note: str = ""
    """A sentence for the user about how this layer was interpreted; empty when there is nothing unusual."""

    @property
    def name(self) -> str:
        """Its name in messages, such as `layer 81 [convolutional] (line 600)`."""
        return f"layer {self.index} [{self.section.kind}] (line {self.section.line})"

    @property
    def parameter_count(self) -> int:
        """Number of floats that this layer has in the file."""
        return sum(parameter.count for parameter in self.parameters)


@dataclass(frozen=True)
class Before:
    """What a section can read from: the network's input and the layers before it."""

    picture: Shape
    layers: Sequence[Layer] = ()
    """The layers so far. All sections of a network may share one list: layers from `index` on are ignored."""

    index: int = 0
    """The index of the section's own layer."""

    darknet: Dialect = "alexeyab"
    """The Darknet to follow where the two compute different things."""

    batch_norm: Dialect = "alexeyab"
    """The batch normalisation formula to fold in."""

    @property
    def previous(self) -> int:
        """The index of the preceding layer, `PICTURE` for the first layer."""
        return self.index - 1

    @property
    def shape(self) -> Shape:
        """The shape of the preceding layer."""
        return self.shape_of(self.previous)

    def shape_of(self, index: int) -> Shape:
        """Return the output shape of a layer, or of the network's input."""
        return self.picture if index == PICTURE else self.layers[index].shape

    def resolve(self, section: Section, key: str) -> tuple[int, ...]:
        """Return the absolute indices of the layers that a key such as `layers=-1,61` names.

        Negative numbers count back from the current layer. Raise `CfgError` when the key is missing or names a layer
        that does not come before.
        """
        numbers = section.integers(key)
        if not numbers:
            raise section.error(f"has no {key}=; expected the layers it reads, such as {key}=-1,{self.index - 1}")
        found = tuple(number if number >= 0 else self.index + number for number in numbers)
        for number, index in zip(numbers, found, strict=True):
            if not 0 <= index < self.index:
                raise section.error(
                    f"{key}={number} names layer {index}; expected one of the {self.index} layers before it", key
                )
        return found
