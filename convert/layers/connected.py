"""Build fully connected layers, and local ones (convolutions with separate weights at every position)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from convert.cfg import Section
from convert.layers.activation import read_activation
from convert.layers.layer import LARGEST_CONSTANT, LARGEST_MAP, Before, Derived, Layer, Parameter, Shape, Tensor
from convert.layers.normalisation import batch_norm, batch_norm_parameters
from convert.layers.pieces import constant


def connected(section: Section, before: Before) -> Layer:
    """Build `[connected]`: each output is a weighted sum of the map (`connected_layer.c`, `load_connected_weights`).

    It is built as a convolution with a kernel as large as the map. The file holds batch normalisation's scales, mean
    and variance after the weights here; files with a version above 1000 hold the weights transposed (input by output).
    """
    source, index = before.shape, before.index
    output = section.integer("output", 1, minimum=1)
    normalised = section.flag("batch_normalize")
    activate = read_activation(section, "logistic")
    name = f"connected_{index}"

    def build(inputs: Sequence[Tensor]) -> Tensor:
        from keras.layers import Conv2D

        size = (source.height, source.width)
        tensor = Conv2D(output, size, padding="valid", use_bias=not normalised, name=name)(inputs[0])
        if normalised:
            tensor = batch_norm(tensor, f"bn_{index}")
        return activate(tensor, str(index))

    weights = Parameter(
        "weights",
        (output, source.channels, source.height, source.width),
        name,
        "kernel",
        (2, 3, 1, 0),
        transposable=True,
    )
    parameters: tuple[Parameter, ...] = (Parameter("biases", (output,), name, "bias"), weights)
    derived: tuple[Derived, ...] = ()
    if normalised:
        (biases, *others), derived = batch_norm_parameters(output, f"bn_{index}", before.batch_norm)
        parameters = (biases, weights, *others)
    return Layer(
        section,
        index,
        (before.previous,),
        Shape(1, 1, output, source.stride * max(source.height, source.width), pooled=True),
        build,
        parameters,
        derived,
        flops=2 * weights.count,
        fixed_size="" if source.pooled else "it has a weight for every cell of its input",
    )


def local(section: Section, before: Before) -> Layer:
    """Build `[local]`: a convolution with its own weights at every position (`local_layer.c`).

    A depthwise convolution with one 1 in each kernel extracts the patches; each position is then multiplied by its own
    weights. The file holds biases[filters][position] and weights[position][filters][channels][size][size].
    """
    source, index = before.shape, before.index
    filters = section.integer("filters", 1, minimum=1)
    size = section.integer("size", 1, minimum=1)
    stride = section.integer("stride", 1, minimum=1)
    pad = section.flag("pad")
    activate = read_activation(section, "logistic")
    if pad and size != 3:
        raise section.error(
            f"pad=1 with size={size}: Darknet computes inconsistent sizes there; expected size=3", "pad"
        )
    shape = Shape(
        (source.height - (1 if pad else size)) // stride + 1,
        (source.width - (1 if pad else size)) // stride + 1,
        filters,
        source.stride * stride,
    )
    places, patch = shape.height * shape.width, source.channels * size * size
    name = f"local_{index}"
    if patch * size * size > LARGEST_CONSTANT:
        raise section.error(f"size={size} is too large for {source.channels} channels", "size")
    if shape.height < 1 or shape.width < 1 or filters * places > LARGEST_MAP or patch * places > LARGEST_MAP:
        raise section.error(f"makes a map of {shape} from {source}, which is empty or too large")

    def picks() -> NDArray[np.float32]:
        kernel = np.zeros((size, size, source.channels, size * size), np.float32)
        for place in range(size * size):
            kernel[place // size, place % size, :, place] = 1
        return kernel

    def build(inputs: Sequence[Tensor]) -> Tensor:
        from keras.layers import DepthwiseConv2D, EinsumDense, Reshape, ZeroPadding2D

        (tensor,) = inputs
        if pad:
            tensor = ZeroPadding2D(1, name=f"pad_{index}")(tensor)
        tensor = DepthwiseConv2D(size, stride, depth_multiplier=size * size, use_bias=False, name=f"{name}_patches")(
            tensor
        )
        tensor = Reshape((places, patch), name=f"{name}_places")(tensor)
        tensor = EinsumDense("blk,lkf->blf", output_shape=(places, filters), bias_axes="lf", name=name)(tensor)
        return activate(Reshape((shape.height, shape.width, filters), name=f"{name}_map")(tensor), str(index))

    weights = Parameter("weights", (places, filters, patch), name, "kernel", (0, 2, 1))
    return Layer(
        section,
        index,
        (before.previous,),
        shape,
        build,
        (Parameter("biases", (filters, places), name, "bias", (1, 0)), weights),
        (constant(f"{name}_patches", "kernel", picks),),
        flops=2 * weights.count,
        fixed_size="it has separate weights for every position",
    )
