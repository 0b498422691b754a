"""Layers that leave a map's shape as it is: softmax, dropout, cost."""

from __future__ import annotations

from collections.abc import Sequence

from convert.cfg import Section
from convert.layers.layer import Before, Layer, Tensor


def softmax(section: Section, before: Before) -> Layer:
    """`[softmax]`: exp(x / temperature) over its sum, over all values at once (`softmax_layer.c`)."""
    if section.integer("groups", 1) != 1 or section.text("tree") or section.integer("spatial", 0):
        raise section.error("groups, tree and spatial are not supported")
    temperature = section.number("temperature", 1.0)
    if temperature <= 0:
        raise section.error(f"temperature={temperature} is not positive", "temperature")
    source = before.shape
    if source.height * source.width != 1:
        raise section.error(f"reads a map of {source}; expected one cell, as after [avgpool]")

    def build(inputs: Sequence[Tensor]) -> Tensor:
        from keras.layers import Rescaling, Softmax

        (tensor,) = inputs
        if temperature != 1:
            tensor = Rescaling(1 / temperature, name=f"temperature_{before.index}")(tensor)
        return Softmax(name=f"softmax_{before.index}")(tensor)

    return Layer(section, before.index, (before.previous,), source, build)


def dropout(section: Section, before: Before) -> Layer:
    """`[dropout]`: the identity outside training (`dropout_layer.c`)."""
    probability = section.number("probability", 0.5)
    if not 0 <= probability < 1:
        raise section.error(f"probability={probability} is not in 0..1", "probability")

    def build(inputs: Sequence[Tensor]) -> Tensor:
        from keras.layers import Dropout

        return Dropout(probability, name=f"dropout_{before.index}")(inputs[0])

    return Layer(section, before.index, (before.previous,), before.shape, build)


def cost(section: Section, before: Before) -> Layer:
    """`[cost]`: the identity; it only measures the loss in training (`cost_layer.c`)."""
    return Layer(section, before.index, (before.previous,), before.shape, lambda inputs: inputs[0])
