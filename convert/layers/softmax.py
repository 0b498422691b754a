"""Build softmax over all values, over groups, over the channels of each cell, or over the branches of a tree."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from convert.cfg import Section
from convert.layers.layer import Before, Derived, Layer, Tensor
from convert.layers.pieces import channel_maximum, constant, reciprocal
from convert.tree import find_tree


def softmax(section: Section, before: Before) -> Layer:
    """Build `[softmax]`: exp(x / temperature) over its sum (`softmax_layer.c`; `softmax`, blas.c).

    The sum is over all values; with `groups` over each of as many equal parts; with `spatial` over each cell's
    channels; with `tree` over each group of siblings.
    """
    section.flag("noloss")
    groups = section.integer("groups", 1, minimum=1)
    spatial = section.number("spatial", 0) != 0
    temperature = section.number("temperature", 1.0)
    if temperature <= 0:
        raise section.error(f"temperature={temperature} is not positive", "temperature")
    source, index = before.shape, before.index
    one_cell = source.height == source.width == 1
    if groups > 1 and (source.channels % groups or not one_cell):
        raise section.error(f"groups={groups} does not divide {source}; expected one cell, as after [avgpool]")
    if section.text("tree"):
        return _over_tree(section, before, temperature)

    def build(inputs: Sequence[Tensor]) -> Tensor:
        from keras.layers import Reshape, Softmax

        tensor = _tempered(inputs[0], 1 if spatial else temperature, index)
        if spatial or (one_cell and groups == 1):
            return Softmax(name=f"softmax_{index}")(tensor)
        # A softmax over several axes is impossible: Keras loads `axis=[1, 2, 3]` from an .h5 as the last axis alone.
        tensor = Reshape((groups, source.size // groups), name=f"groups_{index}")(tensor)
        tensor = Softmax(name=f"softmax_{index}")(tensor)
        return Reshape((source.height, source.width, source.channels), name=f"ungroup_{index}")(tensor)

    return Layer(
        section,
        index,
        (before.previous,),
        source,
        build,
        fixed_size="" if spatial or source.pooled else "its softmax covers the whole map",
    )


def _tempered(tensor: Tensor, temperature: float, index: int) -> Tensor:
    from keras.layers import Rescaling

    return tensor if temperature == 1 else Rescaling(1 / temperature, name=f"temperature_{index}")(tensor)


def _over_tree(section: Section, before: Before, temperature: float) -> Layer:
    """Divide each group's exponentials by their sum, with a matrix of ones and zeros and its transpose."""
    source, index = before.shape, before.index
    tree = find_tree(section)
    if tree is None:
        raise section.error(
            f"tree={section.text('tree')} was not found beside the cfg or in the folder it names; put the .tree file "
            "there: class probabilities cannot be computed without it",
            "tree",
        )
    if len(tree) != source.channels or source.height * source.width != 1:
        raise section.error(f"tree= has {len(tree)} classes, but its input is {source}", "tree")

    def members() -> NDArray[np.float32]:
        matrix = np.zeros((1, 1, len(tree), tree.groups), np.float32)
        matrix[0, 0, np.arange(len(tree)), tree.group] = 1
        return matrix

    name = f"softmax_{index}"

    def build(inputs: Sequence[Tensor]) -> Tensor:
        from keras.layers import Activation, Conv2D, Multiply, Rescaling, Subtract

        tensor = _tempered(inputs[0], temperature, index)
        largest = channel_maximum(tensor, source.channels, f"{name}_maximum")
        shifted = Subtract(name=f"{name}_shift")([tensor, largest])
        # Clipped to e^-13..e^33, so that every sum stays in the range in which `reciprocal` is exact. A value 46 below
        # the largest of all classes has a negligible probability.
        raised = Activation("relu", name=f"{name}_floor")(Rescaling(1.0, 46.0, name=f"{name}_raise")(shifted))
        powers = Activation("exponential", name=f"{name}_exp")(Rescaling(1.0, -13.0, name=f"{name}_lower")(raised))
        sums = Conv2D(tree.groups, 1, use_bias=False, name=f"{name}_sums")(powers)
        inverse = _reciprocals(sums, tree.groups, name)
        return Multiply(name=name)([powers, Conv2D(len(tree), 1, use_bias=False, name=f"{name}_back")(inverse)])

    derived: tuple[Derived, ...] = (
        constant(f"{name}_sums", "kernel", members),
        constant(f"{name}_back", "kernel", lambda: members().transpose(0, 1, 3, 2)),
    )
    return Layer(section, index, (before.previous,), source, build, derived=derived)


def _reciprocals(tensor: Tensor, count: int, name: str) -> Tensor:
    """Compute 1 / x of each channel, by `reciprocal` on a map with one row per channel."""
    from keras.layers import Reshape

    rows = Reshape((count, 1, 1), name=f"{name}_rows")(tensor)
    return Reshape((1, 1, count), name=f"{name}_row")(reciprocal(rows, f"{name}_reciprocal"))
