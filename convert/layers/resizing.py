"""Build layers that change a map's size without weights: upsample, reorg, reorg3d, crop."""

from __future__ import annotations

from collections.abc import Sequence

from convert.cfg import Section
from convert.layers.layer import Before, Layer, Shape, Tensor
from convert.layers.pieces import every, flat, pad_channels
from convert.layers.refusal import refuse


def upsample(section: Section, before: Before) -> Layer:
    """Build `[upsample]`: repeat each cell `stride` times in both directions, times `scale` (`upsample_cpu`, blas.c).

    A negative stride does the reverse: it sums each block of cells.
    """
    source = before.shape
    stride = section.integer("stride", 2, minimum=-64, maximum=64)
    scale = section.number("scale", 1.0)
    if stride < 0:
        return _shrink(section, before, -stride, scale)
    if stride == 0:
        raise section.error("stride=0 leaves nothing; expected 2, or -2 to shrink", "stride")
    shape = Shape(source.height * stride, source.width * stride, source.channels, source.stride / stride)

    def build(inputs: Sequence[Tensor]) -> Tensor:
        from keras.layers import Rescaling, UpSampling2D

        tensor = UpSampling2D(stride, interpolation="nearest", name=f"upsample_{before.index}")(inputs[0])
        return tensor if scale == 1 else Rescaling(scale, name=f"scale_{before.index}")(tensor)

    return Layer(section, before.index, (before.previous,), shape, build)


def _shrink(section: Section, before: Before, stride: int, scale: float) -> Layer:
    source = before.shape
    _check_divisible(section, source, stride, "stride")
    shape = Shape(source.height // stride, source.width // stride, source.channels, source.stride * stride)

    def build(inputs: Sequence[Tensor]) -> Tensor:
        from keras.layers import AveragePooling2D, Rescaling

        mean = AveragePooling2D(stride, name=f"shrink_{before.index}")(inputs[0])
        return Rescaling(scale * stride * stride, name=f"scale_{before.index}")(mean)

    return Layer(section, before.index, (before.previous,), shape, build)


def reorg(section: Section, before: Before) -> Layer:
    """Build `[reorg]`: Darknet's own permutation (`reorg_cpu` with the input's size, reorg_old_layer.c and blas.c).

    The memory (c, h, w) is read as (c/s², h·s, w·s); plane k of a (c, h, w) result is every s-th cell of plane k %
    (c/s²), from the corner k // (c/s²) of the s×s; that memory is read as (c·s², h/s, w/s). The permutation depends on
    the map's width and height, not on strides alone, so the network keeps one input size.
    """
    source = before.shape
    refuse(section, {"flatten": "rows turned into channels"})
    if section.integer("extra", 0, minimum=0):
        return _with_extra(section, before)
    stride = section.integer("stride", 1, minimum=1)
    reverse = section.flag("reverse")
    height, width, count, squared = source.height, source.width, source.channels, stride * stride
    if count % squared:
        raise section.error(f"stride={stride} does not divide its {count} channels by {squared}", "stride")
    if reverse:
        shape = Shape(height * stride, width * stride, count // squared, source.stride / stride)
    else:
        _check_divisible(section, source, stride, "stride")
        shape = Shape(height // stride, width // stride, count * squared, source.stride * stride)
    name = f"reorg_{before.index}"
    planes = count // squared

    def build(inputs: Sequence[Tensor]) -> Tensor:
        from keras.layers import Permute, Reshape

        if stride == 1:
            return inputs[0]
        tensor = flat(inputs[0], (height, width, count), f"{name}_memory")
        if reverse:
            tensor = Reshape((stride, stride, planes, height, width), name=f"{name}_planes")(tensor)
            tensor = Permute((3, 4, 1, 5, 2), name=f"{name}_shuffle")(tensor)
        else:
            tensor = Reshape((planes, height, stride, width, stride), name=f"{name}_planes")(tensor)
            tensor = Permute((3, 5, 1, 2, 4), name=f"{name}_shuffle")(tensor)
        tensor = Reshape((shape.channels, shape.height, shape.width), name=f"{name}_chw")(tensor)
        return Permute((2, 3, 1), name=name)(tensor)

    return Layer(
        section,
        before.index,
        (before.previous,),
        shape,
        build,
        fixed_size="" if stride == 1 else "its permutation depends on the size of the map",
    )


def _with_extra(section: Section, before: Before) -> Layer:
    """Build `extra=n`: the map as one row of numbers with n zeros appended (pjreddie's reorg_layer.c)."""
    source, extra = before.shape, section.integer("extra", 0)
    name = f"reorg_{before.index}"

    def build(inputs: Sequence[Tensor]) -> Tensor:
        tensor = flat(inputs[0], (source.height, source.width, source.channels), f"{name}_memory")
        return pad_channels(tensor, extra, name)

    return Layer(
        section,
        before.index,
        (before.previous,),
        Shape(1, 1, source.size + extra, source.stride * max(source.height, source.width)),
        build,
        fixed_size="it flattens its input to one row of numbers",
    )


def reorg3d(section: Section, before: Before) -> Layer:
    """Build `[reorg3d]`, space to depth: channel k·c + i holds the k-th cell of each s×s block (reorg_layer.c)."""
    source, name = before.shape, f"reorg3d_{before.index}"
    stride = section.integer("stride", 1, minimum=1, maximum=16)
    if section.flag("reverse"):
        raise section.error("reverse=1 (depth to space) is not supported", "reverse")
    _check_divisible(section, source, stride, "stride")
    shape = Shape(
        source.height // stride, source.width // stride, source.channels * stride * stride, source.stride * stride
    )

    def build(inputs: Sequence[Tensor]) -> Tensor:
        from keras.layers import Concatenate, Cropping2D

        pieces = []
        for offset in range(stride * stride):
            tensor, (down, right) = inputs[0], divmod(offset, stride)
            if offset:
                tensor = Cropping2D(((down, 0), (right, 0)), name=f"{name}_crop_{offset}")(tensor)
            pieces.append(every(tensor, stride, stride, f"{name}_every_{offset}"))
        return Concatenate(name=name)(pieces) if len(pieces) > 1 else pieces[0]

    return Layer(section, before.index, (before.previous,), shape, build)


def crop(section: Section, before: Before) -> Layer:
    """Build `[crop]`: the centre of the map, times 2 minus 1 unless noadjust=1 (`forward_crop_layer`, crop_layer.c)."""
    source = before.shape
    height = section.integer("crop_height", 1, minimum=1, maximum=source.height)
    width = section.integer("crop_width", 1, minimum=1, maximum=source.width)
    adjust = not section.flag("noadjust")
    top, left = (source.height - height) // 2, (source.width - width) // 2
    bottom, right = source.height - height - top, source.width - width - left
    name = f"crop_{before.index}"
    cut = any((top, bottom, left, right))

    def build(inputs: Sequence[Tensor]) -> Tensor:
        from keras.layers import Cropping2D, Rescaling

        (tensor,) = inputs
        if cut:
            tensor = Cropping2D(((top, bottom), (left, right)), name=name)(tensor)
        return Rescaling(2.0, -1.0, name=f"{name}_adjust")(tensor) if adjust else tensor

    return Layer(
        section,
        before.index,
        (before.previous,),
        Shape(height, width, source.channels, source.stride),
        build,
        fixed_size=f"it crops {width}x{height} from {source.width}x{source.height}" if cut else "",
    )


def _check_divisible(section: Section, source: Shape, stride: int, key: str) -> None:
    if source.height % stride or source.width % stride:
        raise section.error(f"stride={stride} does not divide its map of {source}", key)
