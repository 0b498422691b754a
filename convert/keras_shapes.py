"""Compute the size of a stored Keras model from its list of layers, without Keras.

A file of a few kilobytes can describe a network that exhausts all memory. The maps and weights that Keras would make
are counted here first.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from convert.layers.layer import LARGEST_MAP

Shape = tuple[int, ...]
"""The shape of a map without its batch axis."""


@dataclass(frozen=True)
class StoredLayer:
    """One layer of a Keras model, as described in its file."""

    name: str
    kind: str
    config: Mapping[str, Any]
    inputs: tuple[str, ...]


def read_layers(layers: Sequence[Mapping[str, Any]]) -> list[StoredLayer]:
    """Return the layers of a functional model saved by Keras 3.

    Raise `KeyError`, `TypeError`, `ValueError`, `IndexError`.
    """
    return [
        StoredLayer(
            str(layer["config"]["name"]),
            str(layer["class_name"]),
            layer["config"],
            sources(layer["inbound_nodes"][0]["args"]) if layer["inbound_nodes"] else (),
        )
        for layer in layers
    ]


def sources(value: Any) -> tuple[str, ...]:
    """Return the layers that a node of Keras 3 reads, from its `args`."""
    if isinstance(value, list):
        return tuple(name for item in value for name in sources(item))
    return (str(value["config"]["keras_history"][0]),)


def check_sizes(layers: Iterable[StoredLayer], *, height: int, width: int, stored_numbers: int) -> None:
    """Raise `ValueError` for a model that is larger than a network may be, or than what is stored of it.

    `height` and `width` stand for sides that the model leaves open. Also raises `KeyError`, `TypeError`, `IndexError`
    and `OverflowError` for layers that are not described as Keras does.
    """
    shapes: dict[str, Shape] = {}
    numbers = 0
    for layer in layers:
        if layer.kind == "InputLayer":
            sides = layer.config.get("batch_shape") or layer.config["batch_input_shape"]
            shape: Shape = tuple(
                _whole(unknown if given is None else given)
                for given, unknown in zip(sides[1:], (height, width, None)[: len(sides) - 1], strict=True)
            )
        else:
            inputs = [shapes[name] for name in layer.inputs]
            shape = SHAPES[layer.kind](layer.config, inputs)
            numbers += _weights(layer, inputs[0])
        if not all(type(side) is int and side > 0 for side in shape) or math.prod(shape) > LARGEST_MAP:
            raise ValueError(f"layer {layer.name} has a map of {'x'.join(map(str, shape))}")
        shapes[layer.name] = shape
    if numbers > stored_numbers:
        raise ValueError(f"its layers have {numbers} weights, {stored_numbers} are stored")


def _weights(layer: StoredLayer, shape: Shape) -> int:
    """Return the number of weights in a layer's kernel."""
    config = layer.config
    if layer.kind == "Conv2D":
        return (
            math.prod(_pair(config["kernel_size"]))
            * (shape[-1] // _whole(config.get("groups", 1)))
            * _whole(config["filters"])
        )
    if layer.kind == "DepthwiseConv2D":
        return math.prod(_pair(config["kernel_size"])) * shape[-1] * _whole(config.get("depth_multiplier", 1))
    if layer.kind == "EinsumDense":
        return math.prod(shape) * math.prod(map(_whole, config["output_shape"])) // shape[0]
    return 0


def _whole(value: Any) -> int:
    if type(value) is not int or not 0 < value <= LARGEST_MAP:
        raise ValueError(f"{value!r} is not a whole number from 1 to {LARGEST_MAP}")
    number: int = value
    return number


def _pair(value: Any) -> tuple[int, int]:
    first, second = value if isinstance(value, (list, tuple)) else (value, value)
    return _whole(first), _whole(second)


def _borders(value: Any) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return the rows added or cut before and after, and the columns before and after."""
    rows, columns = value if isinstance(value, (list, tuple)) else (value, value)
    (top, bottom), (left, right) = ((one, one) if isinstance(one, int) else one for one in (rows, columns))
    if min(top, bottom, left, right) < 0:
        raise ValueError(f"{value!r} has a negative side")
    return (top, bottom), (left, right)


def _same(config: Mapping[str, Any], inputs: Sequence[Shape]) -> Shape:
    return inputs[0]


def _broadcast(config: Mapping[str, Any], inputs: Sequence[Shape]) -> Shape:
    return tuple(max(sides) for sides in zip(*inputs, strict=True))


def _concatenated(config: Mapping[str, Any], inputs: Sequence[Shape]) -> Shape:
    return (*inputs[0][:-1], sum(shape[-1] for shape in inputs))


def _windows(config: Mapping[str, Any], shape: Shape, size: Any, channels: int) -> Shape:
    sides = []
    given = config.get("strides")
    for side, window, stride, dilation in zip(
        shape[:2],
        _pair(size),
        _pair(size if given is None else given),
        _pair(config.get("dilation_rate", 1)),
        strict=True,
    ):
        extent = dilation * (window - 1) + 1
        sides.append(-(-side // stride) if config.get("padding", "valid") == "same" else (side - extent) // stride + 1)
    return (*sides, channels)


def _convolution(config: Mapping[str, Any], inputs: Sequence[Shape]) -> Shape:
    return _windows(config, inputs[0], config["kernel_size"], _whole(config["filters"]))


def _depthwise(config: Mapping[str, Any], inputs: Sequence[Shape]) -> Shape:
    channels = inputs[0][-1] * _whole(config.get("depth_multiplier", 1))
    return _windows(config, inputs[0], config["kernel_size"], channels)


def _pooling(config: Mapping[str, Any], inputs: Sequence[Shape]) -> Shape:
    return _windows(config, inputs[0], config["pool_size"], inputs[0][-1])


def _global(config: Mapping[str, Any], inputs: Sequence[Shape]) -> Shape:
    return (1, 1, inputs[0][-1]) if config.get("keepdims") else inputs[0][-1:]


def _bordered(sign: int, key: str) -> Callable[[Mapping[str, Any], Sequence[Shape]], Shape]:
    def shape_of(config: Mapping[str, Any], inputs: Sequence[Shape]) -> Shape:
        (top, bottom), (left, right) = _borders(config[key])
        first, second, third = inputs[0]
        if config.get("data_format") == "channels_first":
            return first, second + sign * (top + bottom), third + sign * (left + right)
        return first + sign * (top + bottom), second + sign * (left + right), third

    return shape_of


def _upsampled(config: Mapping[str, Any], inputs: Sequence[Shape]) -> Shape:
    down, right = _pair(config["size"])
    rows, columns, channels = inputs[0]
    return rows * down, columns * right, channels


def _permuted(config: Mapping[str, Any], inputs: Sequence[Shape]) -> Shape:
    return tuple(inputs[0][axis - 1] for axis in config["dims"])


def _reshaped(config: Mapping[str, Any], inputs: Sequence[Shape]) -> Shape:
    shape = tuple(config["target_shape"])
    if math.prod(shape) != math.prod(inputs[0]):
        raise ValueError(f"{inputs[0]} cannot be reshaped to {shape}")
    return shape


SHAPES: dict[str, Callable[[Mapping[str, Any], Sequence[Shape]], Shape]] = {
    "Activation": _same,
    "Add": _broadcast,
    "AveragePooling2D": _pooling,
    "BatchNormalization": _same,
    "Concatenate": _concatenated,
    "Conv2D": _convolution,
    "Cropping2D": _bordered(-1, "cropping"),
    "DepthwiseConv2D": _depthwise,
    "Dropout": _same,
    "ELU": _same,
    "EinsumDense": lambda config, inputs: tuple(config["output_shape"]),
    "GlobalAveragePooling2D": _global,
    "LeakyReLU": _same,
    "MaxPooling2D": _pooling,
    "Maximum": _broadcast,
    "Multiply": _broadcast,
    "Permute": _permuted,
    "ReLU": _same,
    "Rescaling": _same,
    "Reshape": _reshaped,
    "Softmax": _same,
    "Subtract": _broadcast,
    "UnitNormalization": _same,
    "UpSampling2D": _upsampled,
    "ZeroPadding2D": _bordered(1, "padding"),
}
"""The function that computes the output's shape of each supported layer kind, from its options and its inputs' shapes.
"""
