"""Define the protocol of engines, which take an input array and return the raw heads."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class Engine(Protocol):
    """Anything that runs one network. Derived classes inherit defaults for the optional members."""

    name: str
    """Its name in `--engine`."""

    workers: int = 1
    """How many threads can usefully call `run` at a time."""

    def prepare(self, height: int, width: int, channels: int) -> None:
        """Prepare for inputs of a size, if that temporarily takes more memory than running them."""
        return

    def run(self, batch: NDArray[np.float32]) -> Sequence[NDArray[np.float32]]:
        """Compute the raw heads of (batch, height, width, channels) in 0..1: coarsest first, each NHWC."""
        ...


def available_cores() -> int:
    """Return the number of cores that this process may use, which a container or `taskset` can limit."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def one_by_one(
    run: Callable[[NDArray[np.float32]], list[NDArray[np.float32]]], batch: NDArray[np.float32]
) -> list[NDArray[np.float32]]:
    """Run a batch through a function that takes one image, (1, height, width, channels).

    On a CPU this is as fast as running the batch at once.
    """
    if len(batch) == 1:
        return run(batch)
    return [np.concatenate(heads) for heads in zip(*(run(batch[i : i + 1]) for i in range(len(batch))), strict=True)]
