"""Build the shortcut: a plain or weighted sum of maps of equal or different shapes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from convert.cfg import Section
from convert.layers.activation import read_activation
from convert.layers.layer import Before, Derived, Layer, Parameter, Shape, Tensor
from convert.layers.pieces import channels, every, flat, pad_channels, unflat

NORMALIZATION_EPSILON = 1e-4
SMALLEST_RELU = 1e-3
"""Slope of `lrelu` (network.c) for negative weights when they are normalised by relu."""

WEIGHTS_TYPES = ("none", "per_channel", "per_feature", "per_layer")
NORMALIZATIONS = ("avg_relu", "none", "relu", "softmax")


def shortcut(section: Section, before: Before) -> Layer:
    """Build `[shortcut]`: the preceding layer plus the named ones, then the activation.

    Source: `parse_shortcut`, `forward_shortcut_layer` (shortcut_layer.c), `shortcut_multilayer_cpu` and, for
    pjreddie's, `shortcut_cpu` (blas.c). With different channel counts the common channels are added. Maps of another
    width and height are added by AlexeyAB's Darknet in memory order, by pjreddie's at every n-th cell of the larger
    map.
    """
    index, source = before.index, before.shape
    sources = (before.previous, *before.resolve(section, "from"))
    kind = section.choice("weights_type", WEIGHTS_TYPES, "none")
    normalization = section.choice("weights_normalization", NORMALIZATIONS, "none")
    activate = read_activation(section, "linear")
    fits = [_fit(section, before, number, f"shortcut_{index}_{number}") for number in range(len(sources))]
    weighted = kind != "none"
    count = source.channels if kind == "per_channel" else 1
    parameters: tuple[Parameter, ...] = ()
    derived: tuple[Derived, ...] = ()
    if weighted:
        parameters = (Parameter("weights", (len(sources), count)),)
        derived = tuple(
            _weight(f"shortcut_{index}_weight_{number}", number, normalization, source.channels)
            for number in range(len(sources))
        )

    def build(inputs: Sequence[Tensor]) -> Tensor:
        from keras.layers import Add, DepthwiseConv2D

        terms = [fit.apply(tensor) for fit, tensor in zip(fits, inputs, strict=True)]
        if weighted:
            # A depthwise 1x1 convolution multiplies each channel by a factor.
            terms = [
                DepthwiseConv2D(1, use_bias=False, name=f"shortcut_{index}_weight_{number}")(term)
                for number, term in enumerate(terms)
            ]
        return activate(Add(name=f"shortcut_{index}")(terms), str(index))

    return Layer(
        section,
        index,
        sources,
        replace(source, pooled=all(before.shape_of(one).pooled for one in sources)),
        build,
        parameters,
        derived,
        flops=source.size * (len(sources) - 1) * (2 if weighted else 1),
        fixed_size=next((fit.fixed_size for fit in fits if fit.fixed_size), ""),
        note=next((fit.note for fit in fits if fit.note), ""),
    )


class _Fit:
    """Bring one of the added maps to the shape of the first."""

    def __init__(self, apply: Callable[[Tensor], Tensor], fixed_size: str = "", note: str = "") -> None:
        self.apply = apply
        self.fixed_size = fixed_size
        self.note = note


def _fit(section: Section, before: Before, number: int, name: str) -> _Fit:
    wanted = before.shape
    if number == 0:
        return _Fit(lambda tensor: tensor)
    index = before.resolve(section, "from")[number - 1]
    shape = before.shape_of(index)
    if (shape.height, shape.width) == (wanted.height, wanted.width):
        return _Fit(lambda tensor: _overlap(tensor, shape.channels, wanted.channels, name))
    where = f"{section.path}, line {section.line}: [shortcut] adds layer {index} of {shape} to {wanted}"
    if before.darknet == "alexeyab":
        return _Fit(
            lambda tensor: _as_memory(tensor, shape, wanted, name),
            "it adds a map of another size in memory order",
            f"{where} in memory order, as AlexeyAB's Darknet does; pjreddie's takes every n-th cell",
        )
    step = shape.width // wanted.width
    if step < 1 or step != shape.height // wanted.height:
        raise section.error(
            f"adds layer {index} of {shape} to {wanted}; expected sizes that are whole multiples of each other", "from"
        )

    def subsample(tensor: Tensor) -> Tensor:
        from keras.layers import Cropping2D

        tensor = every(tensor, step, step, f"{name}_every")
        rows, columns = -(-shape.height // step) - wanted.height, -(-shape.width // step) - wanted.width
        if rows or columns:
            tensor = Cropping2D(((0, rows), (0, columns)), name=f"{name}_crop")(tensor)
        return _overlap(tensor, shape.channels, wanted.channels, name)

    return _Fit(
        subsample, "", f"{where}, every {step}th cell, as pjreddie's Darknet does; AlexeyAB's adds in memory order"
    )


def _overlap(tensor: Tensor, count: int, wanted: int, name: str) -> Tensor:
    if count >= wanted:
        return channels(tensor, 0, wanted, count, f"{name}_overlap")
    return pad_channels(tensor, wanted - count, f"{name}_overlap")


def _as_memory(tensor: Tensor, shape: Shape, wanted: Shape, name: str) -> Tensor:
    memory = flat(tensor, (shape.height, shape.width, shape.channels), f"{name}_memory")
    memory = _overlap(memory, shape.size, wanted.size, name)
    return unflat(memory, (wanted.height, wanted.width, wanted.channels), f"{name}_map")


def _weight(keras_layer: str, number: int, normalization: str, channels: int) -> Derived:
    def compute(arrays: Mapping[str, NDArray[np.float32]]) -> NDArray[np.float32]:
        factors = normalised_weights(arrays["weights"], normalization)[number]
        return np.broadcast_to(factors, (1, 1, channels)).reshape(1, 1, channels, 1).astype(np.float32)

    return Derived(keras_layer, "kernel", compute)


def normalised_weights(weights: NDArray[np.float32], normalization: str) -> NDArray[np.float32]:
    """Return the normalised factors for weights (inputs, channels or 1) (`fuse_conv_batchnorm`, network.c)."""
    if normalization == "none":
        return weights
    if normalization == "softmax":
        positive = np.exp(weights - weights.max(axis=0, keepdims=True))
    else:
        positive = np.maximum(weights, np.float32(SMALLEST_RELU))
    factors: NDArray[np.float32] = positive / (np.float32(NORMALIZATION_EPSILON) + positive.sum(axis=0, keepdims=True))
    return factors
