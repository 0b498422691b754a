"""The pass through the sections in order, each layer's output kept."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from convert.cfg import Cfg, Section

Array = NDArray[np.float32]
"""A map (channels, rows, columns)."""


@dataclass
class Pass:
    """A pass under way: the outputs so far, and what is left of the weights."""

    picture: Array
    floats: Array
    """All floats of the .weights file."""

    transposed: bool
    """Whether its header says that connected layers are stored input by output."""

    darknet: Literal["alexeyab", "pjreddie"]
    batch_norm: Literal["alexeyab", "pjreddie"]
    outputs: list[Array] = field(default_factory=list)
    convolutions: dict[int, tuple[Array, ...]] = field(default_factory=dict)
    """Weights of the convolutions by layer, for `share_index`."""

    taken: int = 0

    def take(self, *shape: int) -> Array:
        """The next floats of the file."""
        count = int(np.prod(shape))
        values = self.floats[self.taken : self.taken + count]
        if values.size != count:
            raise ValueError(f"the weights end after {self.floats.size} floats")
        self.taken += count
        return values.reshape(shape)

    @property
    def last(self) -> Array:
        """The output of the layer before."""
        return self.outputs[-1] if self.outputs else self.picture

    def named(self, section: Section, key: str) -> list[Array]:
        """The outputs of the layers that a key names."""
        here = len(self.outputs)
        return [self.outputs[index if index >= 0 else here + index] for index in section.integers(key)]

    def normalised(self, x: Array, parameters: tuple[Array, ...]) -> Array:
        """Batch normalisation by biases, scales, mean, variance (`forward_batchnorm_layer`)."""
        biases, scales, mean, variance = (values.reshape(-1, 1, 1) for values in parameters)
        if self.batch_norm == "pjreddie":
            divisor = np.sqrt(variance) + np.float32(1e-6)
        else:
            divisor = np.sqrt(variance + np.float32(1e-5))
        result: Array = (x - mean) / divisor * scales + biases
        return result


def forward(
    cfg: Cfg,
    floats: Array,
    picture: Array,
    *,
    transposed: bool = False,
    darknet: Literal["alexeyab", "pjreddie"] = "alexeyab",
    batch_norm: Literal["alexeyab", "pjreddie"] = "alexeyab",
) -> list[Array]:
    """Every layer's output, (channels, rows, columns), for a picture (channels, rows, columns) in 0..1.

    Heads give their raw input. The picture may have another size than the cfg says. Raises `ValueError` when the
    floats do not last or are not used up.
    """
    from convert.reference.layers import LAYERS

    state = Pass(picture.astype(np.float32), floats, transposed, darknet, batch_norm)
    # A network that is not sound may overflow here as it does in Darknet; the comparison sees it.
    with np.errstate(all="ignore"):
        for section in cfg.layers:
            layer: Callable[[Section, Pass], Array] = LAYERS[section.kind]
            state.outputs.append(np.ascontiguousarray(layer(section, state), np.float32))
    if state.taken != floats.size:
        raise ValueError(f"{floats.size - state.taken} floats are left over")
    return state.outputs
