"""What every section becomes: a `Layer` with its shape, its parameters and the way to build it in Keras."""

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
"""The two Darknets that compute a few things differently; hank-ai's is AlexeyAB's in all that matters here."""

BATCH_NORMS: tuple[Dialect, ...] = ("alexeyab", "pjreddie")
"""Whose batch normalisation can be folded in."""

LARGEST_SIDE = 16384
"""Pixels of a network's input."""

LARGEST_MAP = 2**27
"""Numbers in the map of a layer, with its padding: 512 MiB. YOLOv3's largest has that at an input of 2048x2048."""

LARGEST_CONSTANT = 2**24
"""Numbers in an array that is not in the weights file."""

PICTURE = -1
"""The index by which a layer names the network's input."""


@dataclass(frozen=True)
class Shape:
    """The size of a feature map at the cfg's own input size."""

    height: int
    width: int
    channels: int
    stride: Fraction = Fraction(1)
    """Input pixels per cell, vertically and horizontally alike."""

    pooled: bool = False
    """Whether it is one cell whatever the network's input size, as after `[avgpool]`."""

    @property
    def size(self) -> int:
        """Numbers in the map."""
        return self.height * self.width * self.channels

    def __str__(self) -> str:
        return f"{self.width}x{self.height}x{self.channels}"


@dataclass(frozen=True)
class Parameter:
    """One array of a layer: its shape in Darknet's file and its place in the Keras model.

    One without a Keras layer is kept beside the model as it is, because what Keras needs is computed from it (see
    `Derived`) and could not be turned back into the same bytes.
    """

    name: str
    shape: tuple[int, ...]
    """In Darknet's order."""

    keras_layer: str = ""
    keras_variable: str = ""
    axes: tuple[int, ...] = ()
    """How Darknet's axes are permuted into Keras's; empty when they are the same."""

    transposable: bool = False
    """Whether it is stored input by output in files whose header says so."""

    @property
    def count(self) -> int:
        """Floats in the file."""
        return math.prod(self.shape)  # NumPy's product would wrap round at 2^63

    def to_keras(self, values: NDArray[np.float32], keras_shape: Sequence[int]) -> NDArray[np.float32]:
        """Darknet's array in Keras's order and shape."""
        return values.reshape(self.shape).transpose(self._axes).reshape(keras_shape)

    def from_keras(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """The inverse of `to_keras`."""
        permuted = values.reshape([self.shape[axis] for axis in self._axes])
        return permuted.transpose(np.argsort(self._axes))

    @property
    def _axes(self) -> tuple[int, ...]:
        return self.axes or tuple(range(len(self.shape)))


@dataclass(frozen=True)
class Derived:
    """A Keras variable that is computed from a layer's arrays, or is a constant."""

    keras_layer: str
    keras_variable: str
    compute: Callable[[Mapping[str, NDArray[np.float32]]], NDArray[np.float32]]
    """From the layer's arrays by their names to the variable, in Keras's order."""


@dataclass(frozen=True)
class Layer:
    """One section of the cfg, understood."""

    section: Section
    index: int
    inputs: tuple[int, ...]
    """Indices of the layers it reads; `PICTURE` for the network's input."""

    shape: Shape
    build: Callable[[Sequence[Tensor]], Tensor]
    """Adds this layer's Keras layers to the inputs' tensors and returns the output tensor."""

    parameters: tuple[Parameter, ...] = ()
    """In the order of Darknet's file."""

    derived: tuple[Derived, ...] = ()
    """Variables that are no parameter's permutation."""

    shares: int | None = None
    """The layer whose arrays `derived` computes from, when it is not this one."""

    head: Head | None = None
    flops: int = 0
    """Multiplications and additions for one picture of the cfg's size."""

    work: int = 0
    """Comparisons for the same picture, which Darknet does not count."""

    fixed_size: str = ""
    """Why this layer ties the network to one input size; empty when it does not."""

    note: str = ""
    """What a user should know of how this layer was understood; empty for the ordinary."""

    @property
    def name(self) -> str:
        """How messages call it: `layer 81 [convolutional] (line 600)`."""
        return f"layer {self.index} [{self.section.kind}] (line {self.section.line})"

    @property
    def parameter_count(self) -> int:
        """Floats this layer has in the file."""
        return sum(parameter.count for parameter in self.parameters)


@dataclass(frozen=True)
class Before:
    """What a section can read from: the picture and the layers before it."""

    picture: Shape
    layers: Sequence[Layer] = ()
    """The layers so far. One list may serve all sections of a network: those from `index` on do not count."""

    index: int = 0
    """The index that the section's own layer gets."""

    darknet: Dialect = "alexeyab"
    """Whose Darknet decides where the two compute different things."""

    batch_norm: Dialect = "alexeyab"
    """Whose batch normalisation is folded in."""

    @property
    def previous(self) -> int:
        """The index of the layer directly before, `PICTURE` for the first."""
        return self.index - 1

    @property
    def shape(self) -> Shape:
        """The shape of the layer directly before."""
        return self.shape_of(self.previous)

    def shape_of(self, index: int) -> Shape:
        """The output shape of a layer, or of the picture."""
        return self.picture if index == PICTURE else self.layers[index].shape

    def resolve(self, section: Section, key: str) -> tuple[int, ...]:
        """The layers that a key such as `layers=-1,61` names, as absolute indices.

        Negative numbers count from here. `CfgError` when the key is missing or names a layer that is not before.
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
