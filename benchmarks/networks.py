"""Prepare the networks to measure: real ones by path, or generated weights for a cfg of this project."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from convert import convert
from convert.cfg import read_cfg
from convert.network import Network, plan
from convert.weights import write_weights

CONFIGS = Path(__file__).parents[1] / "configs"


@dataclass(frozen=True)
class Measured:
    """One converted network, and the files that peers read."""

    name: str
    cfg: Path
    weights: Path
    model: Path
    size: int
    gigaflops: float
    """Multiplications and additions for one square image."""


def prepare(cfg: Path, weights: Path | None, size: int, folder: Path) -> Measured:
    """Convert a network into `folder`, with generated weights if none are given."""
    network = plan(read_cfg(cfg))
    if weights is None:
        weights = folder / f"{cfg.stem}.weights"
        if not weights.exists():
            generate(network, weights)
    model = folder / f"{cfg.stem}.h5"
    if not model.exists():
        convert(cfg, weights, model)
    scale = size * size / (network.picture.width * network.picture.height)
    return Measured(f"{cfg.stem} {size}", cfg, weights, model, size, network.flops * scale / 1e9)


def generate(network: Network, path: Path) -> None:
    """Write seeded weights that keep numbers near 1 and detect nothing: speed does not depend on them."""
    random = np.random.default_rng(7)
    before_head = {layer.index - 1 for layer in network.layers if layer.head}
    arrays = []
    for layer in network.layers:
        for parameter in layer.parameters:
            if parameter.name == "weights":
                fan_in = parameter.count // parameter.shape[0]
                values = random.standard_normal(parameter.shape, np.float32) * np.float32(np.sqrt(1.5 / fan_in))
                if layer.index in before_head:
                    values *= 1e-3
            elif parameter.name in ("scales", "variance"):
                values = np.ones(parameter.shape, np.float32)
            else:
                values = np.full(parameter.shape, -8 if layer.index in before_head else 0, np.float32)
            arrays.append(values)
    with path.open("wb") as file:
        write_weights(file, arrays)
