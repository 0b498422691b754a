"""Engines: what runs a network. An input array goes in, the raw heads come out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class Engine(Protocol):
    """Anything that runs one network."""

    name: str

    def run(self, batch: NDArray[np.float32]) -> Sequence[NDArray[np.float32]]:
        """From (batch, height, width, 3) in 0..1 to the raw heads, coarsest first, each NHWC."""


def open_engine(name: str, model: Path) -> Engine:
    """Open a model file with the named engine; `auto` is the best that is installed."""
    if name in ("auto", "keras"):
        from detector.engines.keras import KerasEngine

        return KerasEngine(model)
    raise ValueError(f"no engine is called {name!r}")
