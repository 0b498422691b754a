"""Build layers that read earlier layers: route, scale_channels, sam."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from convert.cfg import Section
from convert.layers.activation import read_activation
from convert.layers.layer import Before, Layer, Tensor
from convert.layers.pieces import channels


def route(section: Section, before: Before) -> Layer:
    """Build `[route]`: concatenate the channels of the named layers in the order listed (`route_layer.c`).

    With `groups`, only the `group_id`-th part of each layer's channels is used.
    """
    section.integer("stream", 0)  # selects the CUDA stream; has no effect on the result
    groups = section.integer("groups", 1, minimum=1)
    group_id = section.integer("group_id", 0, minimum=0)
    if group_id >= groups:
        raise section.error(f"group_id={group_id} is out of range; expected a number below groups={groups}", "group_id")
    sources = before.resolve(section, "layers")
    shapes = [before.shape_of(index) for index in sources]
    first = shapes[0]
    for index, shape in zip(sources, shapes, strict=True):
        if (shape.height, shape.width) != (first.height, first.width):
            raise section.error(
                f"joins layer {sources[0]} of {first} with layer {index} of {shape}; expected maps of equal width and"
                " height",
                "layers",
            )
        if shape.channels % groups:
            raise section.error(f"groups={groups} does not divide the {shape.channels} channels of layer {index}")
    parts = [shape.channels // groups for shape in shapes]
    name = f"route_{before.index}"

    def build(inputs: Sequence[Tensor]) -> Tensor:
        from keras.layers import Concatenate

        pieces = [
            channels(tensor, part * group_id, part * (group_id + 1), part * groups, f"{name}_part_{number}")
            for number, (tensor, part) in enumerate(zip(inputs, parts, strict=True))
        ]
        return pieces[0] if len(pieces) == 1 else Concatenate(name=name)(pieces)

    shape = replace(first, channels=sum(parts), pooled=all(shape.pooled for shape in shapes))
    return Layer(section, before.index, sources, shape, build)


def scale_channels(section: Section, before: Before) -> Layer:
    """Build `[scale_channels]`: the layer `from` times the channels of the layer before (scale_channels_layer.c).

    With `scale_wh=1` the layer before has one channel instead, and one factor per cell.
    """
    source = before.shape
    (index, *more) = before.resolve(section, "from")
    target = before.shape_of(index)
    per_cell = section.flag("scale_wh")
    expected = (target.height, target.width, 1) if per_cell else (1, 1, target.channels)
    if more or (source.height, source.width, source.channels) != expected:
        raise section.error(
            f"multiplies layer {index} of {target} by a map of {source}; expected "
            f"{expected[1]}x{expected[0]}x{expected[2]}",
            "from",
        )
    return _product(section, before, index)


def sam(section: Section, before: Before) -> Layer:
    """Build `[sam]`: the elementwise product of the layer before and the layer `from` (sam_layer.c)."""
    source = before.shape
    (index, *more) = before.resolve(section, "from")
    target = before.shape_of(index)
    if more or (source.height, source.width, source.channels) != (target.height, target.width, target.channels):
        raise section.error(f"multiplies layer {index} of {target} by {source}; expected maps of equal shape", "from")
    return _product(section, before, index)


def _product(section: Section, before: Before, index: int) -> Layer:
    activate = read_activation(section, "linear")
    shape = before.shape_of(index)

    def build(inputs: Sequence[Tensor]) -> Tensor:
        from keras.layers import Multiply

        product = Multiply(name=f"{section.kind}_{before.index}")([inputs[1], inputs[0]])
        return activate(product, str(before.index))

    return Layer(section, before.index, (before.previous, index), shape, build, flops=shape.size)
