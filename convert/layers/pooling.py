"""Build pooling layers: over windows, over channels, over the whole map."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from convert.cfg import Section
from convert.layers.convolution import blurred
from convert.layers.layer import Before, Layer, Shape, Tensor
from convert.layers.pieces import channels, every
from convert.layers.refusal import refuse

LARGEST_WINDOW = 64
"""Maximum rows and columns of a pooling window. Each window is evaluated at every cell, so a large one would take
hours."""


def maxpool(section: Section, before: Before) -> Layer:
    """Build `[maxpool]`: out = (in + padding - size) / stride + 1, with the first window at -(padding // 2).

    `padding` is the total and defaults to size - 1; cells outside the map count as minus infinity. Source:
    `parse_maxpool`, `forward_maxpool_layer` (maxpool_layer.c). Where Keras's "same" places windows differently, all
    windows are computed at stride 1, where both agree, and the right ones are selected. Unlike padding with zeros, this
    is exact for negative values too.
    """
    refuse(section, {"maxpool_zero_nonmax": "sets all values but the largest to zero"})
    if section.flag("maxpool_depth"):
        return _over_channels(section, before)
    blur = section.integer("antialiasing", 0, minimum=0)
    layer, strides = _windows(section, before, "max", at_stride_1=bool(blur))
    return blurred(layer, blur, strides) if blur else layer


def local_avgpool(section: Section, before: Before) -> Layer:
    """Build `[local_avgpool]`: the mean over the part of each window inside the map (`forward_local_avgpool_layer`)."""
    return _windows(section, before, "mean")[0]


def _windows(
    section: Section, before: Before, kind: str, *, at_stride_1: bool = False
) -> tuple[Layer, tuple[int, int]]:
    source = before.shape
    stride = section.integer("stride", 1, minimum=1)
    stride_x = section.integer("stride_x", stride, minimum=1)
    stride_y = section.integer("stride_y", stride, minimum=1)
    size = section.integer("size", stride, minimum=1)
    if size > LARGEST_WINDOW:
        key = "size" if "size" in section else "stride"
        raise section.error(f"{key}={size} is too large for a window; expected at most {LARGEST_WINDOW}", key)
    padding = section.integer("padding", size - 1, minimum=0)
    if padding > size - 1:
        raise section.error(f"padding={padding} is more than size - 1 = {size - 1}; not supported", "padding")
    written_strides = (stride_y, stride_x)
    strides = (1, 1) if at_stride_1 else written_strides
    shape = Shape(
        (source.height + padding - size) // strides[0] + 1,
        (source.width + padding - size) // strides[1] + 1,
        source.channels,
        source.stride * max(strides),
        pooled=source.pooled and padding == size - 1,
    )
    name = f"{section.kind}_{before.index}"
    every_window = strides == (1, 1)
    # At stride == size the windows tile the map: "same" then pads only the bottom and right, as padding <= 1 does.
    tiles = strides == (2, 2) and size == 2 and padding == 1
    first = (size - 1) // 2 - padding // 2

    def build(inputs: Sequence[Tensor]) -> Tensor:
        from keras.layers import AveragePooling2D, Cropping2D, MaxPooling2D

        # Keras's mean excludes cells outside the map, as Darknet's does.
        pool = MaxPooling2D if kind == "max" else AveragePooling2D
        (tensor,) = inputs
        if padding == 0:
            return pool(size, strides, "valid", name=name)(tensor)
        if tiles or (every_window and padding == size - 1):
            return pool(size, strides, "same", name=name)(tensor)
        tensor = pool(size, 1, "same", name=f"{name}_every")(tensor)
        far = size // 2 - (padding - padding // 2)
        if first or far:
            tensor = Cropping2D(((first, far), (first, far)), name=f"{name}_crop")(tensor)
        return every(tensor, *strides, name)

    work = source.size * size * size
    return Layer(section, before.index, (before.previous,), shape, build, work=work), written_strides


def _over_channels(section: Section, before: Before) -> Layer:
    """Build `maxpool_depth=1`: output g is the maximum of the channels g, g + out_channels and so on."""
    source = before.shape
    out = section.integer("out_channels", 1, minimum=1, maximum=source.channels)
    whole, rest = divmod(source.channels, out)
    name = f"maxpool_{before.index}"
    if whole > 256:
        raise section.error(f"out_channels={out} compares {whole} blocks of channels; not supported", "out_channels")

    def part(tensor: Tensor, start: int, stop: int, blocks: int) -> Tensor:
        from keras.layers import Maximum

        pieces = [
            channels(tensor, block * out + start, block * out + stop, source.channels, f"{name}_{start}_{block}")
            for block in range(blocks)
        ]
        return Maximum(name=f"{name}_{start}")(pieces) if len(pieces) > 1 else pieces[0]

    def build(inputs: Sequence[Tensor]) -> Tensor:
        from keras.layers import Concatenate

        parts = [part(inputs[0], 0, rest, whole + 1)] if rest else []
        parts.append(part(inputs[0], rest, out, whole))
        return Concatenate(name=name)(parts) if rest else parts[0]

    return Layer(section, before.index, (before.previous,), replace(source, channels=out), build)


def avgpool(section: Section, before: Before) -> Layer:
    """Build `[avgpool]`: the mean of each channel over the whole map (`avgpool_layer.c`)."""
    source = before.shape
    shape = Shape(1, 1, source.channels, source.stride * max(source.height, source.width), pooled=True)

    def build(inputs: Sequence[Tensor]) -> Tensor:
        from keras.layers import GlobalAveragePooling2D

        return GlobalAveragePooling2D(keepdims=True, name=f"avgpool_{before.index}")(inputs[0])

    return Layer(section, before.index, (before.previous,), shape, build)
