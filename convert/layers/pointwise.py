"""Build layers that keep a map's shape, or have no input: dropout, cost, activation, implicit."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from convert.cfg import Section
from convert.layers.activation import read_activation
from convert.layers.layer import LARGEST_CONSTANT, PICTURE, Before, Layer, Parameter, Shape, Tensor
from convert.layers.pieces import constant


def dropout(section: Section, before: Before) -> Layer:
    """Build `[dropout]`: the identity outside training (`dropout_layer.c`)."""
    probability = section.number("probability", 0.5)
    if not 0 <= probability < 1:
        raise section.error(f"probability={probability} is out of range; expected 0 to 1", "probability")

    def build(inputs: Sequence[Tensor]) -> Tensor:
        from keras.layers import Dropout

        return Dropout(probability, name=f"dropout_{before.index}")(inputs[0])

    return Layer(section, before.index, (before.previous,), before.shape, build)


def identity(section: Section, before: Before) -> Layer:
    """Build the identity for `[cost]` (training loss only, `cost_layer.c`), `[empty]` and `[silence]`."""
    return Layer(section, before.index, (before.previous,), before.shape, lambda inputs: inputs[0])


def activation(section: Section, before: Before) -> Layer:
    """Build `[activation]`: an activation on its own (`activation_layer.c`)."""
    activate = read_activation(section, "linear")

    def build(inputs: Sequence[Tensor]) -> Tensor:
        return activate(inputs[0], str(before.index))

    return Layer(section, before.index, (before.previous,), before.shape, build)


def implicit(section: Section, before: Before) -> Layer:
    """Build `[implicit]`, `[implicit_add]`, `[implicit_mul]`: learned numbers that depend on no input.

    Source: `make_implicit_layer`, `forward_implicit_layer` (representation_layer.c): `filters` channels of `atoms`
    rows. Keras models compute everything from their input, so the numbers are the biases of a convolution with a kernel
    of zeros.
    """
    index, picture = before.index, before.picture
    filters = section.integer("filters", 128, minimum=1)
    atoms = section.integer("atoms", 1, minimum=1)
    name = f"implicit_{index}"
    if picture.channels * filters * atoms > LARGEST_CONSTANT:
        raise section.error(f"has {filters} x {atoms} numbers, too many for an input of {picture.channels} channels")

    def build(inputs: Sequence[Tensor]) -> Tensor:
        from keras.layers import Conv2D, GlobalAveragePooling2D, Reshape

        cell = GlobalAveragePooling2D(keepdims=True, name=f"{name}_cell")(inputs[0])
        values = Conv2D(filters * atoms, 1, name=name)(cell)
        return Reshape((atoms, 1, filters), name=f"{name}_map")(values)

    def zeros() -> NDArray[np.float32]:
        return np.zeros((1, 1, picture.channels, filters * atoms), np.float32)

    return Layer(
        section,
        index,
        (PICTURE,),
        Shape(atoms, 1, filters, picture.stride * max(picture.height, picture.width), pooled=atoms == 1),
        build,
        (Parameter("weights", (filters, atoms), name, "bias", (1, 0)),),
        (constant(name, "kernel", zeros),),
    )
