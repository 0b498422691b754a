"""Build convolutions: plain, grouped or depthwise, with or without batch normalisation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from convert.cfg import Section
from convert.layers.activation import read_activation
from convert.layers.layer import LARGEST_MAP, Before, Derived, Layer, Parameter, Shape, Tensor
from convert.layers.normalisation import batch_norm, batch_norm_parameters
from convert.layers.pieces import constant, every
from convert.layers.refusal import refuse

NOT_SUPPORTED = {
    "binary": "binary weights",
    "coordconv": "coordinates as channels",
    "deform": "deformed kernels",
    "flipped": "weights stored transposed",
    "rotate": "rotated kernels",
    "stretch": "stretched kernels",
    "stretch_sway": "stretched and swayed kernels",
    "sway": "swayed kernels",
    "xnor": "binary weights and inputs",
}


@dataclass(frozen=True)
class _Settings:
    """The keys of a `[convolutional]` section that determine what it computes."""

    filters: int
    size: int
    stride_y: int
    stride_x: int
    groups: int
    dilation: int
    padding: int
    """Zeros on each side, dilation included."""

    normalised: bool
    blur: int
    """The kind of `antialiasing`, 0 for none. With antialiasing the blur applies the strides."""

    @property
    def extent(self) -> int:
        """Rows and columns that a dilated kernel covers."""
        return self.dilation * (self.size - 1) + 1

    @property
    def strides(self) -> tuple[int, int]:
        """Strides of the convolution itself, in rows and columns."""
        return (1, 1) if self.blur else (self.stride_y, self.stride_x)


def convolutional(section: Section, before: Before) -> Layer:
    """Build `[convolutional]`: out = (in + 2 padding - size) / stride + 1, with equal zero padding on both sides.

    Source: `parse_convolutional` and `load_convolutional_weights` (parser.c), `convolutional_layer.c`. For strides
    above 1, Keras's "same" pads more on the right than on the left, so the padding becomes a layer of its own there.
    """
    settings = _read(section, before.shape)
    activate = read_activation(section, "logistic")
    source, index, (stride_y, stride_x) = before.shape, before.index, settings.strides
    shape = Shape(
        (source.height + 2 * settings.padding - settings.extent) // stride_y + 1,
        (source.width + 2 * settings.padding - settings.extent) // stride_x + 1,
        settings.filters,
        source.stride * max(stride_x, stride_y),
        pooled=source.pooled and settings.extent == 2 * settings.padding + 1,
    )

    def build(inputs: Sequence[Tensor]) -> Tensor:
        tensor = _convolve(inputs[0], settings, source.channels, index)
        if settings.normalised:
            tensor = batch_norm(tensor, f"bn_{index}")
        return activate(tensor, str(index))

    kernel = _kernel(settings, source.channels, f"conv_{index}")
    head: tuple[Parameter, ...] = (Parameter("biases", (settings.filters,), f"conv_{index}", "bias"),)
    derived: tuple[Derived, ...] = ()
    if settings.normalised:
        head, derived = batch_norm_parameters(settings.filters, f"bn_{index}", before.batch_norm)
    layer = Layer(
        section,
        index,
        (before.previous,),
        shape,
        build,
        (*head, kernel),
        derived,
        flops=2 * kernel.count * shape.height * shape.width,
    )
    if "share_index" in section:
        layer = _shared(layer, before)
    return blurred(layer, settings.blur, (settings.stride_y, settings.stride_x)) if settings.blur else layer


def _read(section: Section, source: Shape) -> _Settings:
    refuse(section, NOT_SUPPORTED)
    filters = section.integer("filters", 1, minimum=1)
    size = section.integer("size", 1, minimum=1)
    stride = section.integer("stride", 1, minimum=1)
    groups = section.integer("groups", 1, minimum=1)
    dilation = section.integer("dilation", 1, minimum=1) if size > 1 else 1
    padding = section.integer("padding", 0, minimum=0)
    if section.flag("pad"):
        padding = size // 2
    if source.channels % groups or filters % groups:
        raise section.error(
            f"groups={groups} does not divide its {source.channels} input channels and {filters} filters", "groups"
        )
    if dilation > 1 and 2 * padding != size - 1:
        raise section.error(
            f"dilation={dilation} with a padding of {padding} for size={size}: Darknet computes inconsistent sizes "
            f"there; expected {(size - 1) // 2}",
            "dilation",
        )
    border = 2 * padding * dilation
    if (source.height + border) * (source.width + border) * source.channels > LARGEST_MAP:
        raise section.error(f"pads its input of {source} to more than {LARGEST_MAP} numbers", "padding")
    return _Settings(
        filters,
        size,
        # AlexeyAB's Darknet treats a stride_x below 1 as absent.
        section.integer("stride_y", stride, minimum=1),
        section.integer("stride_x", stride, minimum=1),
        groups,
        dilation,
        padding * dilation,
        # cbn normalises over several batches in training; inference is the same as batch_normalize.
        section.flag("batch_normalize") or section.flag("cbn"),
        section.integer("antialiasing", 0, minimum=0),
    )


def _is_depthwise(settings: _Settings, channels: int) -> bool:
    return settings.groups == channels and settings.groups > 1


def _convolve(tensor: Tensor, settings: _Settings, channels: int, index: int) -> Tensor:
    from keras.layers import Conv2D, DepthwiseConv2D, ZeroPadding2D

    depthwise = _is_depthwise(settings, channels)
    stride_y, stride_x = settings.strides
    # Keras has no strides with dilation and no unequal strides in depthwise convolutions: both follow a convolution at
    # stride 1.
    picked = (settings.dilation > 1 and max(stride_x, stride_y) > 1) or (depthwise and stride_x != stride_y)
    strides = (1, 1) if picked else (stride_y, stride_x)
    # Keras's "same" is used only where it pads as Darknet does.
    same = strides == (1, 1) and 2 * settings.padding == settings.extent - 1
    padding, name = "same" if same else "valid", f"conv_{index}"
    if settings.padding and not same:
        tensor = ZeroPadding2D(settings.padding, name=f"pad_{index}")(tensor)
    if depthwise:
        layer = DepthwiseConv2D(
            settings.size,
            strides,
            padding,
            depth_multiplier=settings.filters // settings.groups,
            dilation_rate=settings.dilation,
            use_bias=not settings.normalised,
            name=name,
        )
    else:
        layer = Conv2D(
            settings.filters,
            settings.size,
            strides,
            padding,
            dilation_rate=settings.dilation,
            groups=settings.groups,
            use_bias=not settings.normalised,
            name=name,
        )
    tensor = layer(tensor)
    return every(tensor, stride_y, stride_x, f"every_{index}") if picked else tensor


def _kernel(settings: _Settings, channels: int, name: str) -> Parameter:
    filters, size, groups = settings.filters, settings.size, settings.groups
    if _is_depthwise(settings, channels):
        return Parameter("weights", (groups, filters // groups, size, size), name, "kernel", (2, 3, 0, 1))
    return Parameter("weights", (filters, channels // groups, size, size), name, "kernel", (2, 3, 1, 0))


def _shared(layer: Layer, before: Before) -> Layer:
    """Build a layer that shares another layer's arrays and stores none (`share_layer`, convolutional_layer.c)."""
    section = layer.section
    (wanted,) = before.resolve(section, "share_index")[:1]
    owner = before.layers[wanted]
    if owner.shares is not None:
        wanted, owner = owner.shares, before.layers[owner.shares]
    if [(array.name, array.shape) for array in owner.parameters] != [
        (array.name, array.shape) for array in layer.parameters
    ]:
        raise section.error(f"shares the weights of {owner.name}, whose shapes differ", "share_index")
    copies = tuple(_copy(parameter) for parameter in layer.parameters if parameter.keras_layer)
    return replace(layer, parameters=(), derived=(*layer.derived, *copies), shares=wanted)


def _copy(parameter: Parameter) -> Derived:
    return Derived(
        parameter.keras_layer,
        parameter.keras_variable,
        lambda arrays: arrays[parameter.name].transpose(parameter.axes or tuple(range(len(parameter.shape)))),
    )


def blurred(layer: Layer, kind: int, strides: tuple[int, int]) -> Layer:
    """Build the layer at stride 1, then a blur that applies the stride (`antialiasing`, convolutional_layer.c).

    Kind 1 is the 3x3 binomial kernel with zero padding, kind 2 the mean of 2x2 without padding.
    """
    if kind > 2:
        raise layer.section.error(f"antialiasing={kind} is not known; expected 0, 1 or 2", "antialiasing")
    index, sharp = layer.index, layer.shape
    line = np.array([1, 2, 1] if kind == 1 else [1, 1], np.float32)
    size, padding = (3, 1) if kind == 1 else (2, 0)
    shape = Shape(
        (sharp.height + 2 * padding - size) // strides[0] + 1,
        (sharp.width + 2 * padding - size) // strides[1] + 1,
        sharp.channels,
        sharp.stride * max(strides),
    )
    name = f"blur_{index}"

    def kernel() -> NDArray[np.float32]:
        one: NDArray[np.float32] = np.outer(line, line) / np.square(line.sum())
        return np.repeat(one[:, :, None, None], sharp.channels, axis=2)

    def build(inputs: Sequence[Tensor]) -> Tensor:
        from keras.layers import DepthwiseConv2D, ZeroPadding2D

        tensor = layer.build(inputs)
        if padding:
            tensor = ZeroPadding2D(padding, name=f"{name}_pad")(tensor)
        tensor = DepthwiseConv2D(size, padding="valid", use_bias=False, name=name)(tensor)
        return every(tensor, *strides, f"{name}_every")

    return replace(layer, shape=shape, build=build, derived=(*layer.derived, constant(name, "kernel", kernel)))
