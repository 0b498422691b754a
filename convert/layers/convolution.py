"""The convolution: plain, grouped or depthwise, with or without batch normalisation."""

from __future__ import annotations

from collections.abc import Sequence

from convert.cfg import Section
from convert.layers.activation import read_activation
from convert.layers.layer import Before, Layer, Parameter, Shape, Tensor
from convert.layers.refusal import refuse

BATCH_NORM_EPSILON = 1e-5
"""Darknet's (`batchnorm_kernels.cu`, `blas.c`). Keras's own default, 1e-3, shifts every layer."""

NOT_SUPPORTED = {
    "antialiasing": "blurred down-sampling",
    "binary": "binary weights",
    "flipped": "weights stored transposed",
    "share_index": "weights shared between layers",
    "xnor": "binary weights and inputs",
}


def convolutional(section: Section, before: Before) -> Layer:
    """`[convolutional]`: out = (in + 2 padding - size) / stride + 1, zeros on both sides alike.

    Source: `parse_convolutional` and `load_convolutional_weights` (parser.c), `convolutional_layer.c`. Keras's own
    "same" pads more at the right than at the left for strides above 1, so there the padding is a layer of its own.
    """
    refuse(section, NOT_SUPPORTED)
    source = before.shape
    filters = section.integer("filters", 1, minimum=1)
    size = section.integer("size", 1, minimum=1)
    stride = section.integer("stride", 1, minimum=1)
    stride_x = section.integer("stride_x", stride, minimum=1)
    stride_y = section.integer("stride_y", stride, minimum=1)
    groups = section.integer("groups", 1, minimum=1)
    dilation = section.integer("dilation", 1, minimum=1) if size > 1 else 1
    padding = section.integer("padding", 0, minimum=0)
    if section.flag("pad"):
        padding = size // 2
    normalised = section.flag("batch_normalize")
    activate = read_activation(section, "logistic")
    if source.channels % groups or filters % groups:
        raise section.error(
            f"groups={groups} does not divide its {source.channels} input channels and {filters} filters", "groups"
        )

    padding *= dilation
    extent = dilation * (size - 1) + 1
    shape = Shape(
        (source.height + 2 * padding - extent) // stride_y + 1,
        (source.width + 2 * padding - extent) // stride_x + 1,
        filters,
        source.stride * max(stride_x, stride_y),
    )
    index, depthwise = before.index, groups == source.channels and groups > 1
    convolution = f"conv_{index}"
    # Keras wants the padded sum of a symmetric "same" only where both rules agree.
    same = stride_x == stride_y == 1 and 2 * padding == extent - 1
    # Keras refuses a stride together with a dilation; then each cell is computed and the wanted ones are picked out.
    picked = dilation > 1 and (stride_x, stride_y) != (1, 1)

    def build(inputs: Sequence[Tensor]) -> Tensor:
        from keras import layers

        (tensor,) = inputs
        if padding and not same:
            tensor = layers.ZeroPadding2D(padding, name=f"pad_{index}")(tensor)
        options = {
            "kernel_size": size,
            "strides": 1 if picked else (stride_y, stride_x),
            "padding": "same" if same else "valid",
            "dilation_rate": dilation,
            "use_bias": not normalised,
            "name": convolution,
        }
        if depthwise:
            tensor = layers.DepthwiseConv2D(depth_multiplier=filters // groups, **options)(tensor)
        else:
            tensor = layers.Conv2D(filters, groups=groups, **options)(tensor)
        if picked:
            tensor = layers.MaxPooling2D(1, (stride_y, stride_x), "valid", name=f"pick_{index}")(tensor)
        if normalised:
            tensor = layers.BatchNormalization(epsilon=BATCH_NORM_EPSILON, name=f"bn_{index}")(tensor)
        return activate(tensor, str(index))

    if depthwise:
        kernel = Parameter("weights", (groups, filters // groups, size, size), convolution, "kernel", (2, 3, 0, 1))
    else:
        kernel = Parameter(
            "weights", (filters, source.channels // groups, size, size), convolution, "kernel", (2, 3, 1, 0)
        )
    head = batch_norm_parameters(filters, f"bn_{index}") if normalised else ()
    if not normalised:
        head = (Parameter("biases", (filters,), convolution, "bias"),)
    return Layer(
        section,
        index,
        (before.previous,),
        shape,
        build,
        parameters=(*head, kernel),
        flops=2 * kernel.count * shape.height * shape.width,
    )


def batch_norm_parameters(channels: int, keras_layer: str) -> tuple[Parameter, ...]:
    """Darknet's order: biases (beta), scales (gamma), rolling mean, rolling variance."""
    names = {"biases": "beta", "scales": "gamma", "mean": "moving_mean", "variance": "moving_variance"}
    return tuple(Parameter(name, (channels,), keras_layer, variable) for name, variable in names.items())
