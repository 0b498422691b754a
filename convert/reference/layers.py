"""Compute each section kind with one function, from its keys and the pass so far to its output."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from convert.cfg import Section
from convert.reference.activations import activate
from convert.reference.forward_pass import Array, ForwardPass
from convert.tree import find_tree

PATCHES = 1 << 24
"""Maximum numbers of convolution patches in memory at a time: 64 MiB."""


def im2col(x: Array, size: int, stride_y: int, stride_x: int, padding: int, dilation: int = 1) -> Array:
    """Return the (channels * size * size, rows, columns) patches (`im2col_cpu_ext`, im2col.c)."""
    padded = np.pad(x, ((0, 0), (padding, padding), (padding, padding)))
    extent = dilation * (size - 1) + 1
    rows = (padded.shape[1] - extent) // stride_y + 1
    columns = (padded.shape[2] - extent) // stride_x + 1
    patches = np.empty((x.shape[0], size, size, rows, columns), np.float32)
    for down in range(size):
        for right in range(size):
            top, left = down * dilation, right * dilation
            patches[:, down, right] = padded[
                :,
                top : top + stride_y * (rows - 1) + 1 : stride_y,
                left : left + stride_x * (columns - 1) + 1 : stride_x,
            ]
    return patches.reshape(-1, rows, columns)


def convolutional(section: Section, state: ForwardPass) -> Array:
    """Compute `forward_convolutional_layer`: im2col, then a matrix product for each group."""
    x, here = state.last, len(state.outputs)
    filters, size = section.integer("filters", 1), section.integer("size", 1)
    stride = section.integer("stride", 1)
    strides = section.integer("stride_y", stride), section.integer("stride_x", stride)
    groups = section.integer("groups", 1)
    dilation = section.integer("dilation", 1) if size > 1 else 1
    padding = size // 2 if section.flag("pad") else section.integer("padding", 0)
    normalise = section.flag("batch_normalize") or section.flag("cbn")
    blur = section.integer("antialiasing", 0)

    if "share_index" in section:
        index = section.integer("share_index", 0)
        weights = state.convolutions[index if index >= 0 else here + index]
    else:
        head = 4 if normalise else 1
        weights = (*(state.take(filters) for _ in range(head)), state.take(filters, x.shape[0] // groups * size**2))
    state.convolutions[here] = weights
    *vectors, kernel = weights

    padded = np.pad(x, ((0, 0), (padding * dilation,) * 2, (padding * dilation,) * 2))
    parts = np.split(padded, groups)
    kernels = np.split(kernel, groups)
    steps = (1, 1) if blur else strides
    result = np.concatenate([convolved(*pair, size, steps, dilation) for pair in zip(parts, kernels, strict=True)])
    result = state.normalised(result, tuple(vectors)) if normalise else result + vectors[0].reshape(-1, 1, 1)
    result = activate(section.text("activation", "logistic"), result)
    return blurred(result, blur, strides) if blur else result


def convolved(x: Array, kernel: Array, size: int, strides: tuple[int, int], dilation: int) -> Array:
    """Multiply a matrix with the patches of a padded map, a strip of rows at a time."""
    extent = dilation * (size - 1) + 1
    rows, columns = ((side - extent) // step + 1 for side, step in zip(x.shape[1:], strides, strict=True))
    strip = max(1, PATCHES // (x.shape[0] * size * size * columns))
    result = np.empty((kernel.shape[0], rows, columns), np.float32)
    for top in range(0, rows, strip):
        bottom = min(top + strip, rows)
        part = x[:, top * strides[0] : (bottom - 1) * strides[0] + extent]
        patches = im2col(part, size, *strides, 0, dilation)
        result[:, top:bottom] = (kernel @ patches.reshape(patches.shape[0], -1)).reshape(-1, bottom - top, columns)
    return result


def blurred(x: Array, kind: int, strides: tuple[int, int]) -> Array:
    """Apply `antialiasing` to each channel: [1 2 1] x [1 2 1] / 16, or the mean of 2x2."""
    line = np.array([1, 2, 1] if kind == 1 else [1, 1], np.float32)
    kernel = np.outer(line, line).ravel() / line.sum() ** 2
    size, padding = (3, 1) if kind == 1 else (2, 0)
    patches = im2col(x, size, *strides, padding)
    result: Array = np.tensordot(kernel, patches.reshape(x.shape[0], size * size, *patches.shape[1:]), ((0,), (1,)))
    return result


def pooled(section: Section, x: Array, combine: Callable[[Array, int], Array], *, blur: int = 0) -> Array:
    """Apply `combine` to the rows, then the columns of each pooling window's part inside the map."""
    stride = section.integer("stride", 1)
    strides = section.integer("stride_y", stride), section.integer("stride_x", stride)
    size = section.integer("size", stride)
    padding = section.integer("padding", size - 1)
    for axis, step in enumerate((1, 1) if blur else strides, 1):
        starts = range(-(padding // 2), x.shape[axis] + padding - size - padding // 2 + 1, step)
        parts = [x.take(range(max(0, first), min(x.shape[axis], first + size)), axis) for first in starts]
        x = np.stack([combine(part, axis) for part in parts], axis)
    return blurred(x, blur, strides) if blur else x


def maxpool(section: Section, state: ForwardPass) -> Array:
    """`forward_maxpool_layer`."""
    x = state.last
    if section.flag("maxpool_depth"):
        out = section.integer("out_channels", 1)
        return np.stack([x[first::out].max(axis=0) for first in range(out)])
    return pooled(section, x, lambda part, axis: part.max(axis), blur=section.integer("antialiasing", 0))


def local_avgpool(section: Section, state: ForwardPass) -> Array:
    """Compute `forward_local_avgpool_layer`: the mean of what lies inside the map."""
    return pooled(section, state.last, lambda part, axis: part.mean(axis))


def avgpool(section: Section, state: ForwardPass) -> Array:
    """`forward_avgpool_layer`."""
    mean: Array = state.last.mean(axis=(1, 2), keepdims=True)
    return mean


def upsample(section: Section, state: ForwardPass) -> Array:
    """Compute `upsample_cpu`, forwards and backwards."""
    x, stride, scale = state.last, section.integer("stride", 2), np.float32(section.number("scale", 1))
    if stride < 0:
        step = -stride
        blocks = x.reshape(x.shape[0], x.shape[1] // step, step, x.shape[2] // step, step)
        sums: Array = scale * blocks.sum(axis=(2, 4))
        return sums
    return scale * x.repeat(stride, axis=1).repeat(stride, axis=2)


def reorg_indices(channels: int, rows: int, columns: int, stride: int) -> NDArray[np.intp]:
    """Return `reorg_cpu`'s out_index for each in_index of a (channels, rows, columns) map."""
    k, j, i = np.meshgrid(np.arange(channels), np.arange(rows), np.arange(columns), indexing="ij")
    planes = channels // stride**2
    offset = k // planes
    across, down = i * stride + offset % stride, j * stride + offset // stride
    found: NDArray[np.intp] = across + columns * stride * (down + rows * stride * (k % planes))
    return found.ravel()


def reorg(section: Section, state: ForwardPass) -> Array:
    """Compute `forward_reorg_old_layer`, and with `extra` `forward_reorg_layer` of pjreddie's."""
    x, stride = state.last, section.integer("stride", 1)
    channels, rows, columns = x.shape
    if section.integer("extra", 0):
        return np.concatenate([x.ravel(), np.zeros(section.integer("extra", 0), np.float32)]).reshape(-1, 1, 1)
    indices = reorg_indices(channels, rows, columns, stride)
    if section.flag("reverse"):
        result = np.empty(x.size, np.float32)
        result[indices] = x.ravel()
        return result.reshape(channels // stride**2, rows * stride, columns * stride)
    return x.ravel()[indices].reshape(channels * stride**2, rows // stride, columns // stride)


def reorg3d(section: Section, state: ForwardPass) -> Array:
    """Compute `forward_reorg_layer` of AlexeyAB's: `reorg_cpu` with the output's size."""
    x, stride = state.last, section.integer("stride", 1)
    shape = (x.shape[0] * stride**2, x.shape[1] // stride, x.shape[2] // stride)
    return x.ravel()[reorg_indices(*shape, stride)].reshape(shape)


def route(section: Section, state: ForwardPass) -> Array:
    """`forward_route_layer`."""
    groups, group = section.integer("groups", 1), section.integer("group_id", 0)
    return np.concatenate([np.split(x, groups)[group] for x in state.named(section, "layers")])


def shortcut(section: Section, state: ForwardPass) -> Array:
    """Compute `shortcut_multilayer_cpu` of AlexeyAB's Darknet, or `shortcut_cpu` of pjreddie's."""
    x, others = state.last, state.named(section, "from")
    kind = section.text("weights_type", "none")
    if state.darknet == "pjreddie":
        result = x.copy()
        for other in others:
            step = max(1, other.shape[2] // x.shape[2])
            part = other[: x.shape[0], ::step, ::step][:, : x.shape[1], : x.shape[2]]
            result[: part.shape[0], : part.shape[1], : part.shape[2]] += part
        return activate(section.text("activation", "linear"), result)
    factors: list[Array] = [np.float32(1)] * (len(others) + 1)  # type: ignore[list-item]
    if kind != "none":
        count = x.shape[0] if kind == "per_channel" else 1
        weights = state.take(len(others) + 1, count)
        factors = [row.repeat(x.size // count) for row in shares(weights, section.text("weights_normalization"))]
    flat = x.ravel() * factors[0]
    for other, factor in zip(others, factors[1:], strict=True):
        count = min(flat.size, other.size)
        flat[:count] += other.ravel()[:count] * (factor[:count] if kind != "none" else factor)
    return activate(section.text("activation", "linear"), flat.reshape(x.shape))


def shares(weights: Array, normalization: str) -> Array:
    """Return the weights as normalised by `fuse_conv_batchnorm`."""
    if normalization == "softmax":
        weights = np.exp(weights - weights.max(axis=0))
    elif normalization in ("relu", "avg_relu"):
        weights = np.where(weights > 0.001, weights, np.float32(0.001))
    else:
        return weights
    factors: Array = weights / (weights.sum(axis=0) + np.float32(1e-4))
    return factors


def product(section: Section, state: ForwardPass) -> Array:
    """`forward_scale_channels_layer`, `forward_sam_layer`."""
    (target,) = state.named(section, "from")
    return activate(section.text("activation", "linear"), state.last * target)


def batchnorm(section: Section, state: ForwardPass) -> Array:
    """Compute `[batchnorm]`; pjreddie's files hold no biases for it."""
    channels = state.last.shape[0]
    biases = np.zeros(channels, np.float32) if state.batch_norm == "pjreddie" else state.take(channels)
    return state.normalised(state.last, (biases, *(state.take(channels) for _ in range(3))))


def connected(section: Section, state: ForwardPass) -> Array:
    """`forward_connected_layer`."""
    x, output = state.last.ravel(), section.integer("output", 1)
    biases = state.take(output)
    weights = state.take(x.size, output).T if state.transposed else state.take(output, x.size)
    result = (weights @ x).reshape(-1, 1, 1)
    if section.flag("batch_normalize"):
        scales, mean, variance = (state.take(output) for _ in range(3))
        result = state.normalised(result, (biases, scales, mean, variance))
    else:
        result = result + biases.reshape(-1, 1, 1)
    return activate(section.text("activation", "logistic"), result)


def local(section: Section, state: ForwardPass) -> Array:
    """`forward_local_layer`."""
    filters, size, stride = (section.integer(key, 1) for key in ("filters", "size", "stride"))
    patches = im2col(state.last, size, stride, stride, section.integer("pad", 0))
    length, rows, columns = patches.shape
    biases = state.take(filters, rows, columns)
    weights = state.take(rows * columns, filters, length)
    result = np.einsum("pfk,kp->fp", weights, patches.reshape(length, -1)).reshape(filters, rows, columns)
    return activate(section.text("activation", "logistic"), result + biases)


def softmax(section: Section, state: ForwardPass) -> Array:
    """`forward_softmax_layer`."""
    x, temperature = state.last, np.float32(section.number("temperature", 1))
    if section.number("spatial", 0):
        return soft(x, 0)
    if section.text("tree"):
        tree = find_tree(section)
        assert tree is not None
        starts = np.flatnonzero(np.diff(tree.group)) + 1
        return np.concatenate([soft(part / temperature, 0) for part in np.split(x, starts)])
    groups = x.reshape(section.integer("groups", 1), -1) / temperature
    return soft(groups, 1).reshape(x.shape)


def soft(x: Array, axis: int) -> Array:
    """Compute exp(x) over its sum along an axis."""
    powers = np.exp(x - x.max(axis=axis, keepdims=True))
    result: Array = powers / powers.sum(axis=axis, keepdims=True)
    return result


def crop(section: Section, state: ForwardPass) -> Array:
    """`forward_crop_layer`."""
    x, height, width = state.last, section.integer("crop_height", 1), section.integer("crop_width", 1)
    top, left = (x.shape[1] - height) // 2, (x.shape[2] - width) // 2
    middle = x[:, top : top + height, left : left + width]
    return middle if section.flag("noadjust") else middle * 2 - 1


def implicit(section: Section, state: ForwardPass) -> Array:
    """`forward_implicit_layer`."""
    return state.take(section.integer("filters", 128), section.integer("atoms", 1), 1)


def activation(section: Section, state: ForwardPass) -> Array:
    """`forward_activation_layer`."""
    return activate(section.text("activation", "linear"), state.last)


def identity(section: Section, state: ForwardPass) -> Array:
    """Return the input, for layers that compute nothing at inference and for heads, whose raw input is compared."""
    return state.last


LAYERS: dict[str, Callable[[Section, ForwardPass], Array]] = {
    "Gaussian_yolo": identity,
    "activation": activation,
    "avgpool": avgpool,
    "batchnorm": batchnorm,
    "connected": connected,
    "convolutional": convolutional,
    "cost": identity,
    "crop": crop,
    "detection": identity,
    "dropout": identity,
    "empty": identity,
    "implicit": implicit,
    "implicit_add": implicit,
    "implicit_mul": implicit,
    "local": local,
    "local_avgpool": local_avgpool,
    "maxpool": maxpool,
    "region": identity,
    "reorg": reorg,
    "reorg3d": reorg3d,
    "route": route,
    "sam": product,
    "scale_channels": product,
    "shortcut": shortcut,
    "softmax": softmax,
    "upsample": upsample,
    "yolo": identity,
}
