"""Turn sections into a network: first a plan (shapes, parameters, heads; no Keras), then a Keras model."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convert.cfg import ALEXEYAB_KEYS, Cfg
from convert.errors import CfgError, WeightsError
from convert.keras_import import import_keras
from convert.layers import KINDS, KNOWN
from convert.layers.layer import LARGEST_MAP, LARGEST_SIDE, PICTURE, Before, Dialect, Layer, Parameter, Shape
from convert.model_file import Description
from convert.weights import Header, WeightsReader

LARGEST_NETWORK = 2**31
"""Maximum floats in the weights; Darknet itself counts them in an int."""

MOST_LAYERS = 10_000
"""Maximum sections of a cfg after `[net]`. The largest networks in use have fewer than 1,000."""

Arrays = list[list[NDArray[np.float32]]]
"""The parameters of each layer, in Darknet's order and shapes."""


@dataclass(frozen=True)
class Network:
    """A planned network: every layer with its shape and parameters, not yet built."""

    cfg: Cfg
    picture: Shape
    layers: tuple[Layer, ...]
    darknet: Dialect = "alexeyab"
    """The Darknet to follow where the two compute different things."""

    batch_norm: Dialect = "alexeyab"
    """The batch normalisation formula to fold in."""

    @property
    def parameter_count(self) -> int:
        """Floats that the weights file must hold."""
        return sum(layer.parameter_count for layer in self.layers)

    @property
    def flops(self) -> int:
        """Multiplications and additions of the counted layers for one image of the cfg's input size."""
        return sum(layer.flops for layer in self.layers)

    @property
    def outputs(self) -> tuple[Layer, ...]:
        """The heads, coarsest first; for a network without heads, its last layer."""
        heads = [layer for layer in self.layers if layer.head]
        return tuple(sorted(heads, key=lambda layer: (-layer.shape.stride, layer.index))) or self.layers[-1:]

    @cached_property
    def used(self) -> frozenset[int]:
        """The layers that the outputs depend on; the Keras model contains no others."""
        found: set[int] = set()
        left = [layer.index for layer in self.outputs]
        while left:
            index = left.pop()
            if index not in found and index != PICTURE:
                found.add(index)
                left.extend(self.layers[index].inputs)
        return frozenset(found)

    @property
    def fixed_size(self) -> str:
        """Why the network accepts only one input size; empty when it accepts any."""
        found = (layer for layer in self.layers if layer.fixed_size and layer.index in self.used)
        return next((f"{layer.name}: {layer.fixed_size}" for layer in found), "")

    def describe(self, names: tuple[str, ...], resize: str) -> Description:
        """Return the description of a model of this network, as if its weights came from no file of Darknet's."""
        return Description(
            cfg=self.cfg.text,
            cfg_sha256=self.cfg.sha256 or hashlib.sha256(self.cfg.text.encode()).hexdigest(),
            weights_sha256="",
            width=self.picture.width,
            height=self.picture.height,
            channels=self.picture.channels,
            resize=resize,
            names=names,
            heads=tuple(layer.head for layer in self.outputs if layer.head),
            fixed_size=self.fixed_size,
            batch_norm=self.batch_norm,
        )


def plan(cfg: Cfg, *, batch_norm: Dialect = "alexeyab") -> Network:
    """Compute every layer's shape and parameters; raise `CfgError` with the line of whatever does not fit.

    `batch_norm="pjreddie"` uses the formula of pjreddie's CPU code, and treats the cfg as pjreddie's wherever the two
    Darknets compute different things.
    """
    net = cfg.net
    height, width = (_side(cfg, key) for key in ("height", "width"))
    channels = net.integer("channels", 3, minimum=1, maximum=1024)
    darknet: Dialect = "pjreddie" if batch_norm == "pjreddie" else written_for(cfg)
    layers: list[Layer] = []
    picture, total = Shape(height, width, channels), 0
    if picture.size > LARGEST_MAP:
        raise net.error(f"has an input of {picture}, more than {LARGEST_MAP} numbers", "width")
    if len(cfg.layers) > MOST_LAYERS:
        raise cfg.layers[MOST_LAYERS].error(f"is one layer too many; expected at most {MOST_LAYERS}")
    for index, section in enumerate(cfg.layers):
        if section.kind not in KNOWN:
            raise CfgError(
                f"{cfg.path}, line {section.line}: section [{section.kind}] is not supported; "
                f"known are {', '.join(sorted(KINDS))}"
            )
        before = Before(picture, layers, index, darknet, batch_norm)
        layer = KNOWN[section.kind](section, before)
        if min(layer.shape.height, layer.shape.width) < 1:
            raise section.error(f"leaves nothing of its input of {before.shape}: the network input is too small")
        total += layer.parameter_count
        if total > LARGEST_NETWORK:
            raise section.error(f"makes the network larger than {LARGEST_NETWORK} floats; is a number wrong?")
        if layer.shape.size > LARGEST_MAP:
            raise section.error(f"makes a map of {layer.shape}, more than {LARGEST_MAP} numbers; is a number wrong?")
        layers.append(layer)
    return Network(cfg, picture, tuple(layers), darknet, batch_norm)


def written_for(cfg: Cfg) -> Dialect:
    """Return which Darknet a cfg was written for, where that matters (see `shortcut`).

    A key that only AlexeyAB's reads is conclusive. The classifiers in AlexeyAB's repository end with a `[cost]`
    section; pjreddie's own no longer have one.
    """
    keys = {key for section in (cfg.net, *cfg.layers) for key in section.options}
    return "alexeyab" if keys & ALEXEYAB_KEYS or cfg.layers[-1].kind == "cost" else "pjreddie"


def _side(cfg: Cfg, key: str) -> int:
    if key not in cfg.net:
        raise cfg.net.error(f"has no {key}=; expected the network input's size in pixels, such as {key}=416")
    return cfg.net.integer(key, 0, minimum=1, maximum=LARGEST_SIDE)


def read_arrays(network: Network, weights: WeightsReader) -> Arrays:
    """Read every layer's parameters in order; raise `WeightsError` at the first layer with too few floats."""
    return [[_take(weights, layer.name, parameter) for parameter in layer.parameters] for layer in network.layers]


def _take(weights: WeightsReader, layer: str, parameter: Parameter) -> NDArray[np.float32]:
    values = weights.take(layer, parameter.name, parameter.shape)
    if not (parameter.transposable and weights.header.transposed):
        return values
    # `transpose_matrix` (parser.c): the file has inputs x outputs.
    outputs = parameter.shape[0]
    return np.ascontiguousarray(values.reshape(-1, outputs).T).reshape(parameter.shape)


def file_order(network: Network, arrays: Arrays, header: Header) -> Iterator[NDArray[np.float32]]:
    """Yield the arrays in the layout of a .weights file with this header: the inverse of `read_arrays`."""
    for layer, values in zip(network.layers, arrays, strict=True):
        for parameter, value in zip(layer.parameters, values, strict=True):
            if parameter.transposable and header.transposed:
                value = value.reshape(parameter.shape[0], -1).T
            yield value


def build(network: Network) -> Any:
    """Build the network as a `keras.Model` of built-in layers, without setting its parameters.

    Input: (batch, height, width, channels), RGB in 0..1, any size where the network allows it. Outputs: the raw heads
    (before Darknet's own sigmoid), coarsest first, (batch, rows, columns, channels of the head); for a classifier its
    probabilities, (batch, classes).
    """
    return assemble(network, connect(network))


def connect(network: Network) -> dict[int, Any]:
    """Return the output tensor of every layer by its index, and the input tensor under `PICTURE`."""
    keras = import_keras()
    picture = network.picture
    size = (picture.height, picture.width) if network.fixed_size else (None, None)
    tensors = {PICTURE: keras.Input((*size, picture.channels), name="picture")}
    for layer in network.layers:
        tensors[layer.index] = layer.build([tensors[index] for index in layer.inputs])
    return tensors


def assemble(network: Network, tensors: Mapping[int, Any]) -> Any:
    """Return the model from the input to the network's outputs; raise `CfgError` when it is too deep for Keras."""
    keras = import_keras()
    outputs = [_output(layer, tensors[layer.index], keras) for layer in network.outputs]
    try:
        return keras.Model(tensors[PICTURE], outputs, name="darknet")
    except RecursionError:  # Keras follows the layers by recursion
        raise CfgError(f"{network.cfg.path}: has too many consecutive layers for Keras") from None


def keras_layer_names(network: Network, tensors: Mapping[int, Any], model: Any) -> dict[int, str]:
    """Return the name of the Keras layer that gives each layer's output, from `connect` and `assemble`."""
    names = {id(layer.output): str(layer.name) for layer in model.layers}
    return {index: names[id(tensors[index])] for index in sorted(network.used)}


def _output(layer: Layer, tensor: Any, keras: Any) -> Any:
    if layer.head or layer.shape.height * layer.shape.width > 1:
        return tensor
    return keras.layers.Reshape((layer.shape.channels,), name="probabilities")(tensor)


def set_arrays(network: Network, model: Any, arrays: Arrays) -> None:
    """Set the parameters of a model that `build` made of the same network."""
    for layer, values in zip(network.layers, arrays, strict=True):
        if layer.index not in network.used:
            continue
        for parameter, value in zip(layer.parameters, values, strict=True):
            if parameter.keras_layer:
                variable = getattr(model.get_layer(parameter.keras_layer), parameter.keras_variable)
                variable.assign(parameter.to_keras(value, variable.shape))
        owner = layer.index if layer.shares is None else layer.shares
        names = (parameter.name for parameter in network.layers[owner].parameters)
        named = dict(zip(names, arrays[owner], strict=True))
        for derived in layer.derived:
            variable = getattr(model.get_layer(derived.keras_layer), derived.keras_variable)
            variable.assign(derived.compute(named).reshape(variable.shape))


def derived_variables(network: Network, model: Any) -> list[Any]:
    """Return the variables of a model that are not a parameter of the .weights file: constants and computed ones.

    Training must leave them unchanged, or the network cannot be exported to Darknet.
    """
    return [
        getattr(model.get_layer(derived.keras_layer), derived.keras_variable)
        for layer in network.layers
        if layer.index in network.used
        for derived in layer.derived
    ]


def kept_arrays(network: Network, arrays: Arrays) -> dict[str, NDArray[np.float32]]:
    """Return the parameters that no Keras variable holds, by the name they are stored under beside the model."""
    return {
        kept_name(layer, parameter): value
        for layer, values in zip(network.layers, arrays, strict=True)
        for parameter, value in zip(layer.parameters, values, strict=True)
        if is_kept(network, layer, parameter)
    }


def is_kept(network: Network, layer: Layer, parameter: Parameter) -> bool:
    """Return whether no variable of the model holds the parameter unchanged."""
    return not parameter.keras_layer or layer.index not in network.used


def kept_name(layer: Layer, parameter: Parameter) -> str:
    """Return the name under which a parameter without a Keras variable is stored."""
    return f"layer_{layer.index}_{parameter.name}"


def get_arrays(network: Network, variable_of: Callable[[str, str], NDArray[np.float32]]) -> Arrays:
    """Return the parameters in Darknet's order.

    `variable_of(layer, variable)` returns a Keras variable's value or, with an empty layer, a stored array's.
    """
    return [
        [
            variable_of("", kept_name(layer, parameter)).reshape(parameter.shape)
            if is_kept(network, layer, parameter)
            else parameter.from_keras(variable_of(parameter.keras_layer, parameter.keras_variable))
            for parameter in layer.parameters
        ]
        for layer in network.layers
    ]


def fitting_class_count(cfg: Cfg, floats: int) -> int | None:
    """Return the number of classes with which this cfg would need exactly this many floats, if there is one.

    The total grows by the same amount with each class, so two plans determine the line.
    """
    try:
        one, two = (plan(cfg.with_classes(classes)).parameter_count for classes in (1, 2))
        if two <= one or (floats - one) % (two - one):
            return None
        classes = 1 + (floats - one) // (two - one)
        fits = classes >= 1 and plan(cfg.with_classes(classes)).parameter_count == floats
    except (CfgError, WeightsError):
        return None
    return classes if fits else None
