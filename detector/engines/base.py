"""What every engine is: an input array goes in, the raw heads come out."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class Engine(Protocol):
    """Anything that runs one network. Classes that derive from it inherit what is optional."""

    name: str
    """What `--engine` calls it."""

    workers: int = 1
    """How many threads may call `run` at a time and gain from it."""

    def prepare(self, height: int, width: int, channels: int) -> None:
        """Get ready for inputs of a size, where that takes more memory for a moment than running them."""
        return

    def run(self, batch: NDArray[np.float32]) -> Sequence[NDArray[np.float32]]:
        """From (batch, height, width, channels) in 0..1 to the raw heads, coarsest first, each NHWC."""
        ...


def available_cores() -> int:
    """The cores that this process may use, which a container or `taskset` can limit."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def one_by_one(
    run: Callable[[NDArray[np.float32]], list[NDArray[np.float32]]], batch: NDArray[np.float32]
) -> list[NDArray[np.float32]]:
    """Run a batch through a function that takes one picture, (1, height, width, channels).

    On a CPU this is as fast as running the batch at once.
    """
    if len(batch) == 1:
        return run(batch)
    return [np.concatenate(heads) for heads in zip(*(run(batch[i : i + 1]) for i in range(len(batch))), strict=True)]
