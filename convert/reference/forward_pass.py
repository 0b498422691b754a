"""Hold the state of a forward pass: the outputs of the layers so far, and the remaining weights."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from convert.cfg import Section

Array = NDArray[np.float32]
"""A map (channels, rows, columns)."""


@dataclass
class ForwardPass:
    """What a layer of the network can read during the pass."""

    picture: Array
    floats: Array
    """All floats of the .weights file."""

    transposed: bool
    """Whether the header says that connected layers are stored transposed (input by output)."""

    darknet: Literal["alexeyab", "pjreddie"]
    batch_norm: Literal["alexeyab", "pjreddie"]
    outputs: list[Array] = field(default_factory=list)
    convolutions: dict[int, tuple[Array, ...]] = field(default_factory=dict)
    """Weights of the convolutions by layer, for `share_index`."""

    taken: int = 0

    def take(self, *shape: int) -> Array:
        """Return the next floats of the file."""
        count = int(np.prod(shape))
        values = self.floats[self.taken : self.taken + count]
        if values.size != count:
            raise ValueError(f"the weights end after {self.floats.size} floats")
        self.taken += count
        return values.reshape(shape)

    @property
    def last(self) -> Array:
        """The output of the preceding layer."""
        return self.outputs[-1] if self.outputs else self.picture

    def named(self, section: Section, key: str) -> list[Array]:
        """Return the outputs of the layers that a key names."""
        here = len(self.outputs)
        return [self.outputs[index if index >= 0 else here + index] for index in section.integers(key)]

    def normalised(self, x: Array, parameters: tuple[Array, ...]) -> Array:
        """Apply batch normalisation with biases, scales, mean, variance (`forward_batchnorm_layer`)."""
        biases, scales, mean, variance = (values.reshape(-1, 1, 1) for values in parameters)
        if self.batch_norm == "pjreddie":
            divisor = np.sqrt(variance) + np.float32(1e-6)
        else:
            divisor = np.sqrt(variance + np.float32(1e-5))
        result: Array = (x - mean) / divisor * scales + biases
        return result
