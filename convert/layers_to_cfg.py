"""Write the layers of a Keras port of YOLO as a Darknet cfg, if Darknet has sections for them.

The cfg is a proposal: the caller compares the outputs of the two networks.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from convert.head import Head
from convert.keras_shapes import StoredLayer

_ACTIVATIONS = {
    "linear": "linear",
    "mish": "mish",
    "relu": "relu",
    "relu6": "relu6",
    "sigmoid": "logistic",
    "silu": "swish",
    "swish": "swish",
}
"""Darknet's names for Keras's activations."""

_LEAKY_SLOPE = 0.1
_SLOPE_ERROR = 1e-6
_PICTURE = -1


class NotDarknetError(Exception):
    """A layer has no counterpart in Darknet; the message says which."""


@dataclass
class DarknetText:
    """A cfg, and the Keras layers that make up each `[convolutional]` section."""

    text: str
    convolutions: list[tuple[str, str]] = field(default_factory=list)
    """In order, the names of the convolution and of its batch normalisation, empty if it has none."""


def layers_to_cfg(
    layers: Sequence[StoredLayer],
    heads: Sequence[tuple[str, Head]],
    anchors: Sequence[tuple[float, float]],
    *,
    size: tuple[int, int, int],
    channels: Mapping[str, int],
) -> DarknetText:
    """Return the cfg of a network.

    `heads` names the layer of each output, coarsest first; `size` is height, width, channels. `channels` says how many
    channels a depthwise convolution has. Raise `NotDarknetError`.
    """
    writer = _Writer({layer.name: layer for layer in layers}, channels)
    height, width, depth = size
    for name, head in heads:
        for layer in writer.in_order(name):
            writer.add(layer)
        if writer.places[name] != len(writer.sections) - 1:
            writer.section("route", layers=writer.places[name])
        start = _start(anchors, head.anchors)
        writer.section(
            "yolo",
            mask=",".join(str(start + number) for number in range(len(head.anchors))),
            anchors=", ".join(f"{across:g},{down:g}" for across, down in anchors),
            classes=head.classes,
            num=len(anchors),
        )
    net = f"[net]\nwidth={width}\nheight={height}\nchannels={depth}\n"
    return DarknetText("\n".join([net, *writer.sections]), writer.convolutions)


def _start(anchors: Sequence[tuple[float, float]], used: Sequence[tuple[float, float]]) -> int:
    places = range(len(anchors) - len(used) + 1)
    return next(place for place in places if tuple(anchors[place : place + len(used)]) == tuple(used))


class _Writer:
    """Writes the sections one after another."""

    def __init__(self, layers: Mapping[str, StoredLayer], channels: Mapping[str, int]) -> None:
        self._layers = layers
        self._channels = channels
        self._readers: dict[str, list[StoredLayer]] = {}
        for layer in layers.values():
            for source in layer.inputs:
                self._readers.setdefault(source, []).append(layer)
        self.sections: list[str] = []
        self.places: dict[str, int] = {}
        """The section that computes the output of each Keras layer."""
        self.convolutions: list[tuple[str, str]] = []

    def in_order(self, output: str) -> Iterator[StoredLayer]:
        """Yield the unwritten layers that an output depends on, each after those that it reads."""
        done: set[str] = set(self.places)
        left = [(output, False)]
        while left:
            name, ready = left.pop()
            if name in done:
                continue
            if ready:
                done.add(name)
                yield self._layers[name]
            else:
                left.append((name, True))
                left.extend((source, False) for source in reversed(self._layers[name].inputs))

    def section(self, kind: str, **options: object) -> None:
        """Write one."""
        self.sections.append(f"[{kind}]\n" + "".join(f"{key}={value}\n" for key, value in options.items()))

    def add(self, layer: StoredLayer) -> None:
        """Write the sections of a layer, unless they were written with the previous one."""
        if layer.name in self.places:
            return
        write = {
            "InputLayer": self._input,
            "ZeroPadding2D": self._skip,
            "Dropout": self._dropout,
            "Conv2D": self._convolution,
            "DepthwiseConv2D": self._convolution,
            "Add": self._shortcut,
            "Concatenate": self._route,
            "UpSampling2D": self._upsample,
            "MaxPooling2D": self._maxpool,
        }.get(layer.kind)
        if write is None:
            raise NotDarknetError(f"layer {layer.name} ({layer.kind}) stands where Darknet has none")
        write(layer)

    def _input(self, layer: StoredLayer) -> None:
        self.places[layer.name] = _PICTURE

    def _skip(self, layer: StoredLayer) -> None:
        """Skip padding, which becomes a key of the convolution after it."""

    def _dropout(self, layer: StoredLayer) -> None:
        self.places[layer.name] = self._place(layer.inputs[0])

    def _place(self, name: str) -> int:
        if name not in self.places:
            raise NotDarknetError(f"the output of layer {name} is used where Darknet has none")
        return self.places[name]

    def _follow(self, source: str) -> None:
        """Make the source the preceding section."""
        place = self._place(source)
        if place == len(self.sections) - 1:
            return
        if place == _PICTURE:
            raise NotDarknetError("the picture is read by more than the first layer")
        self.section("route", layers=place)

    def _only_reader(self, name: str, *kinds: str) -> StoredLayer | None:
        readers = self._readers.get(name, [])
        return readers[0] if len(readers) == 1 and readers[0].kind in kinds else None

    def _convolution(self, layer: StoredLayer) -> None:
        config = layer.config
        source, padding = self._padding(layer)
        self._follow(source)
        norm = self._only_reader(layer.name, "BatchNormalization")
        last = norm or layer
        activation, active = self._activation(last, config.get("activation"))
        across, down = _pair(config.get("strides", 1)), _pair(config["kernel_size"])
        if across[0] != across[1] or down[0] != down[1]:
            raise NotDarknetError(f"layer {layer.name} has a kernel or stride that is no square")
        depthwise = layer.kind == "DepthwiseConv2D"
        if depthwise and config.get("depth_multiplier", 1) != 1:
            raise NotDarknetError(f"layer {layer.name} has more filters than channels")
        groups = self._channels[layer.name] if depthwise else config.get("groups", 1)
        dilation = _pair(config.get("dilation_rate", 1))[0]
        self.section(
            "convolutional",
            **({"batch_normalize": 1} if norm else {}),
            filters=groups if depthwise else config["filters"],
            size=down[0],
            stride=across[0],
            pad=padding,
            **({"groups": groups} if groups > 1 else {}),
            **({"dilation": dilation} if dilation > 1 else {}),
            activation=activation,
        )
        self.convolutions.append((layer.name, norm.name if norm else ""))
        for name in {layer.name, last.name, active}:
            self.places[name] = len(self.sections) - 1

    def _padding(self, layer: StoredLayer) -> tuple[str, int]:
        """Return what a convolution reads, and whether Darknet pads it by half its kernel."""
        source, config = layer.inputs[0], layer.config
        size, stride = _pair(config["kernel_size"])[0], _pair(config.get("strides", 1))[0]
        before = self._layers[source]
        if before.kind == "ZeroPadding2D":
            half = size // 2
            borders = before.config["padding"]
            rows, columns = borders if isinstance(borders, list | tuple) else (borders, borders)
            sides = [(one, one) if isinstance(one, int) else tuple(one) for one in (rows, columns)]
            # Darknet pads both sides; with a stride of 2, the last padding row and column are not reached.
            if any(side != (half, half) and (side != (half, half - 1) or stride != 2) for side in sides):
                raise NotDarknetError(f"layer {before.name} pads otherwise than Darknet")
            return before.inputs[0], 1
        if config.get("padding", "valid") == "valid" or size == 1:
            return source, 0
        if stride != 1 or size % 2 == 0:
            raise NotDarknetError(f"layer {layer.name} pads otherwise than Darknet (same, with a stride of {stride})")
        return source, 1

    def _activation(self, layer: StoredLayer, own: Any = None) -> tuple[str, str]:
        """Return Darknet's name of the activation after a layer, and the name of the last layer up to it."""
        if own not in (None, "linear"):
            return _activation_name(str(own), layer.name), layer.name
        after = self._only_reader(layer.name, "Activation", "LeakyReLU", "ReLU")
        if after is None:
            return "linear", layer.name
        config = after.config
        if after.kind == "Activation":
            return _activation_name(str(config["activation"]), after.name), after.name
        slope = config.get("negative_slope", config.get("alpha", 0.3 if after.kind == "LeakyReLU" else 0))
        if after.kind == "LeakyReLU" and abs(slope - _LEAKY_SLOPE) < _SLOPE_ERROR:
            return "leaky", after.name
        if after.kind == "ReLU" and not slope and not config.get("threshold") and config.get("max_value") in (None, 6):
            return "relu6" if config.get("max_value") else "relu", after.name
        raise NotDarknetError(f"layer {after.name} ({after.kind}) is another activation than Darknet's")

    def _shortcut(self, layer: StoredLayer) -> None:
        if len(layer.inputs) != 2:
            raise NotDarknetError(f"layer {layer.name} adds {len(layer.inputs)} maps")
        last, first = sorted(layer.inputs, key=self._place, reverse=True)
        self._follow(last)
        if self._place(first) == _PICTURE:
            raise NotDarknetError("the picture is read by more than the first layer")
        activation, active = self._activation(layer)
        self.section("shortcut", **{"from": self._place(first)}, activation=activation)
        self.places[layer.name] = self.places[active] = len(self.sections) - 1

    def _route(self, layer: StoredLayer) -> None:
        places = [self._place(source) for source in layer.inputs]
        if layer.config.get("axis", -1) not in (-1, 3) or _PICTURE in places:
            raise NotDarknetError(f"layer {layer.name} joins what Darknet cannot")
        self.section("route", layers=",".join(map(str, places)))
        self.places[layer.name] = len(self.sections) - 1

    def _upsample(self, layer: StoredLayer) -> None:
        down, across = _pair(layer.config.get("size", 2))
        if down != across or layer.config.get("interpolation", "nearest") != "nearest":
            raise NotDarknetError(f"layer {layer.name} enlarges otherwise than Darknet")
        self._follow(layer.inputs[0])
        self.section("upsample", stride=down)
        self.places[layer.name] = len(self.sections) - 1

    def _maxpool(self, layer: StoredLayer) -> None:
        size = _pair(layer.config.get("pool_size", 2))
        stride = _pair(layer.config.get("strides") or size)
        if size[0] != size[1] or stride[0] != stride[1]:
            raise NotDarknetError(f"layer {layer.name} has windows that are no squares")
        self._follow(layer.inputs[0])
        self.section("maxpool", size=size[0], stride=stride[0])
        self.places[layer.name] = len(self.sections) - 1


def _activation_name(name: str, layer: str) -> str:
    if name not in _ACTIVATIONS:
        raise NotDarknetError(f"layer {layer} has the activation {name}")
    return _ACTIVATIONS[name]


def _pair(value: Any) -> tuple[int, int]:
    first, second = value if isinstance(value, list | tuple) else (value, value)
    return int(first), int(second)
