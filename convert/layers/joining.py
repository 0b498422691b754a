"""Layers that read from afar: route and shortcut."""

from __future__ import annotations

from collections.abc import Sequence

from convert.cfg import Section
from convert.layers.activation import read_activation
from convert.layers.layer import Before, Layer, Shape, Tensor
from convert.layers.refusal import refuse


def route(section: Section, before: Before) -> Layer:
    """`[route]`: the channels of the named layers one after another, in the order listed (`route_layer.c`)."""
    if section.integer("groups", 1, minimum=1) > 1:
        raise section.error("groups= (a part of the channels) is not supported", "groups")
    refuse(section, {"stream": "streams"})
    sources = before.resolve(section, "layers")
    shapes = [before.shape_of(index) for index in sources]
    first = shapes[0]
    for index, shape in zip(sources, shapes, strict=True):
        if (shape.height, shape.width) != (first.height, first.width):
            raise section.error(
                f"joins layer {sources[0]} of {first} with layer {index} of {shape}; "
                "expected maps of one width and height",
                "layers",
            )
    channels = sum(shape.channels for shape in shapes)

    def build(inputs: Sequence[Tensor]) -> Tensor:
        from keras.layers import Concatenate

        return inputs[0] if len(inputs) == 1 else Concatenate(name=f"route_{before.index}")(inputs)

    return Layer(section, before.index, sources, Shape(first.height, first.width, channels, first.stride), build)


def shortcut(section: Section, before: Before) -> Layer:
    """`[shortcut]`: the layer before plus the named ones, then the activation (`shortcut_layer.c`)."""
    section.choice("weights_type", ["none"], "none")
    source = before.shape
    sources = (before.previous, *before.resolve(section, "from"))
    for index in sources:
        shape = before.shape_of(index)
        if (shape.height, shape.width, shape.channels) != (source.height, source.width, source.channels):
            raise section.error(f"adds layer {index} of {shape} to {source}; expected maps of one shape", "from")
    activate = read_activation(section, "linear")

    def build(inputs: Sequence[Tensor]) -> Tensor:
        from keras.layers import Add

        return activate(Add(name=f"shortcut_{before.index}")(inputs), str(before.index))

    return Layer(section, before.index, sources, source, build, flops=source.size * (len(sources) - 1))
