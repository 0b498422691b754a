"""Layers that change a map's size without parameters: pooling and up-sampling."""

from __future__ import annotations

from collections.abc import Sequence

from convert.cfg import Section
from convert.layers.layer import Before, Layer, Shape, Tensor
from convert.layers.refusal import refuse


def maxpool(section: Section, before: Before) -> Layer:
    """`[maxpool]`: out = (in + padding - size) / stride + 1, the first window begins at -(padding // 2).

    `padding` is the total and defaults to size - 1; outside the map counts as minus infinity. Source:
    `parse_maxpool`, `forward_maxpool_layer` (maxpool_layer.c). Where Keras's "same" is another rule, every window
    is taken at stride 1, where both agree, and the wanted ones are picked out: exact for negative values too,
    which padding with zeros is not.
    """
    refuse(section, {"antialiasing": "blurred down-sampling", "maxpool_depth": "pooling over channels"})
    source = before.shape
    stride = section.integer("stride", 1, minimum=1)
    stride_x = section.integer("stride_x", stride, minimum=1)
    stride_y = section.integer("stride_y", stride, minimum=1)
    size = section.integer("size", stride, minimum=1)
    padding = section.integer("padding", size - 1, minimum=0)
    if padding > size - 1:
        raise section.error(f"padding={padding} is more than size - 1 = {size - 1}; not supported", "padding")
    shape = Shape(
        (source.height + padding - size) // stride_y + 1,
        (source.width + padding - size) // stride_x + 1,
        source.channels,
        source.stride * max(stride_x, stride_y),
    )
    name = f"maxpool_{before.index}"
    strides = (stride_y, stride_x)
    every_window = stride_x == stride_y == 1
    # At stride == size the windows tile the map: "same" then pads the far side only, as padding <= 1 does.
    tiles = stride_x == stride_y == size == 2 and padding == 1
    first = (size - 1) // 2 - padding // 2

    def build(inputs: Sequence[Tensor]) -> Tensor:
        from keras.layers import Cropping2D, MaxPooling2D

        (tensor,) = inputs
        if padding == 0:
            return MaxPooling2D(size, strides, "valid", name=name)(tensor)
        if tiles or (every_window and padding == size - 1):
            return MaxPooling2D(size, strides, "same", name=name)(tensor)
        tensor = MaxPooling2D(size, 1, "same", name=f"{name}_every")(tensor)
        far = size // 2 - (padding - padding // 2)
        if first or far:
            tensor = Cropping2D(((first, far), (first, far)), name=f"{name}_crop")(tensor)
        return tensor if every_window else MaxPooling2D(1, strides, "valid", name=name)(tensor)

    return Layer(section, before.index, (before.previous,), shape, build)


def avgpool(section: Section, before: Before) -> Layer:
    """`[avgpool]`: the mean of each channel over the whole map (`avgpool_layer.c`)."""
    source = before.shape
    shape = Shape(1, 1, source.channels, source.stride * max(source.height, source.width))

    def build(inputs: Sequence[Tensor]) -> Tensor:
        from keras.layers import GlobalAveragePooling2D

        return GlobalAveragePooling2D(keepdims=True, name=f"avgpool_{before.index}")(inputs[0])

    return Layer(section, before.index, (before.previous,), shape, build)


def upsample(section: Section, before: Before) -> Layer:
    """`[upsample]`: each cell repeated `stride` times both ways (`upsample_cpu`, blas.c)."""
    source = before.shape
    stride = section.integer("stride", 2)
    if stride < 1:
        raise section.error(f"stride={stride} (down-sampling) is not supported", "stride")
    scale = section.number("scale", 1.0)
    shape = Shape(source.height * stride, source.width * stride, source.channels, source.stride / stride)

    def build(inputs: Sequence[Tensor]) -> Tensor:
        from keras.layers import Rescaling, UpSampling2D

        tensor = UpSampling2D(stride, interpolation="nearest", name=f"upsample_{before.index}")(inputs[0])
        return tensor if scale == 1 else Rescaling(scale, name=f"scale_{before.index}")(tensor)

    return Layer(section, before.index, (before.previous,), shape, build)
