"""Compose operations that Keras has no layer for from its built-in layers.

Keras's operations (`x[..., a:b]`, `keras.ops.divide`) become nodes that can be saved in an `.h5` but not loaded again,
so they cannot be used. `docs/layers.md` lists what replaces them and why.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from convert.layers.layer import Derived, Tensor

SMALL = 1e-9
"""Small enough not to change any sum it is added to, large enough to survive float32 rounding."""


def channels(tensor: Tensor, start: int, stop: int, total: int, name: str) -> Tensor:
    """Return the channels start to stop of `total`.

    Cropping2D in `channels_first` mode treats NHWC's last two axes as rows and columns and crops with plain slices, so
    it slices the channels exactly, at any input size.
    """
    from keras.layers import Cropping2D

    if (start, stop) == (0, total):
        return tensor
    return Cropping2D(((0, 0), (start, total - stop)), data_format="channels_first", name=name)(tensor)


def pad_channels(tensor: Tensor, count: int, name: str) -> Tensor:
    """Append `count` channels of zeros to the map, with ZeroPadding2D used as `channels` uses Cropping2D."""
    from keras.layers import ZeroPadding2D

    return ZeroPadding2D(((0, 0), (0, count)), data_format="channels_first", name=name)(tensor) if count else tensor


def every(tensor: Tensor, step_y: int, step_x: int, name: str) -> Tensor:
    """Return every `step`-th row and column, beginning with the first."""
    from keras.layers import MaxPooling2D

    return tensor if step_y == step_x == 1 else MaxPooling2D(1, (step_y, step_x), "valid", name=name)(tensor)


def channel_sum(tensor: Tensor, offset: float, name: str) -> Tensor:
    """Return the sum of all channels plus `offset`, as one channel; the kernel of ones is stored with the model."""
    from keras.layers import Conv2D, Rescaling

    total = Conv2D(1, 1, use_bias=False, kernel_initializer="ones", name=name)(tensor)
    return Rescaling(1.0, offset, name=f"{name}_offset")(total)


def reciprocal(tensor: Tensor, name: str) -> Tensor:
    """Return 1 / x of a single channel well above 1e-9: the small component of the unit vector along (1e-9, x)."""
    from keras.layers import Concatenate, Rescaling, UnitNormalization

    small = Rescaling(0.0, SMALL, name=f"{name}_small")(tensor)
    pair = UnitNormalization(axis=-1, name=f"{name}_unit")(Concatenate(name=f"{name}_pair")([small, tensor]))
    return Rescaling(1 / SMALL, name=name)(channels(pair, 0, 1, 2, f"{name}_first"))


def channel_maximum(tensor: Tensor, count: int, name: str) -> Tensor:
    """Return the maximum over all channels, one channel, by comparing halves until one channel is left."""
    from keras.layers import Maximum

    while count > 1:
        half = (count + 1) // 2
        low = channels(tensor, 0, half, count, f"{name}_low_{half}")
        # With an odd count the halves overlap by one channel, which does not change the maximum.
        high = channels(tensor, count - half, count, count, f"{name}_high_{half}")
        tensor, count = Maximum(name=f"{name}_{half}")([low, high]), half
    return tensor


def constant(keras_layer: str, keras_variable: str, make: Callable[[], NDArray[np.float32]]) -> Derived:
    """Return a constant variable, computed only after the weights are known to be present."""

    def compute(arrays: Mapping[str, NDArray[np.float32]]) -> NDArray[np.float32]:
        return make()

    return Derived(keras_layer, keras_variable, compute)


def flat(tensor: Tensor, shape: Sequence[int], name: str) -> Tensor:
    """Flatten a map (rows, columns, channels) to one cell in Darknet's order: channel, row, column."""
    from keras.layers import Permute, Reshape

    rows, columns, count = shape
    if rows == columns == 1:
        return tensor
    return Reshape((1, 1, rows * columns * count), name=name)(Permute((3, 1, 2), name=f"{name}_chw")(tensor))


def unflat(tensor: Tensor, shape: Sequence[int], name: str) -> Tensor:
    """Reshape one cell to a map of the given (rows, columns, channels): the inverse of `flat`."""
    from keras.layers import Permute, Reshape

    rows, columns, count = shape
    if rows == columns == 1:
        return tensor
    return Permute((2, 3, 1), name=name)(Reshape((count, rows, columns), name=f"{name}_chw")(tensor))
