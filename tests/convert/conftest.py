"""Fixtures of the tests of convert/: one small seeded network, and ways to make others."""

from __future__ import annotations

import importlib.util
import textwrap
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from convert.cfg import parse_cfg
from convert.conversion import convert
from convert.network import Arrays, Network, plan
from convert.weights import Header, write_weights

# Every way a YOLOv3 network is joined, two heads, two classes, strides 8 and 4. A key of the first head is one that
# only AlexeyAB's Darknet knows.
SMALL_CFG = """
    [net]
    width=32
    height=32
    channels=3
    learning_rate=0.001

    [convolutional]
    batch_normalize=1
    filters=8
    size=3
    stride=2
    pad=1
    activation=leaky

    [maxpool]
    size=2
    stride=2

    [convolutional]
    batch_normalize=1
    filters=8
    size=3
    stride=1
    pad=1
    activation=leaky

    [shortcut]
    from=-2
    activation=linear

    [convolutional]
    batch_normalize=1
    filters=12
    size=3
    stride=2
    pad=1
    activation=leaky

    [convolutional]
    filters=14
    size=1
    activation=linear

    [yolo]
    mask=2,3
    anchors=4,5, 8,7, 12,15, 20,18
    classes=2
    num=4
    scale_x_y=1.05

    [route]
    layers=-3

    [upsample]
    stride=2

    [route]
    layers=-1,3

    [convolutional]
    filters=14
    size=1
    activation=linear

    [yolo]
    mask=0,1
    anchors=4,5, 8,7, 12,15, 20,18
    classes=2
    num=4
"""


@dataclass(frozen=True)
class NetworkFiles:
    """A network on disk and what is in it."""

    cfg: Path
    weights: Path
    network: Network
    arrays: Arrays

    @property
    def floats(self) -> int:
        return self.network.parameter_count


WriteNetwork = Callable[..., NetworkFiles]


def seeded_arrays(network: Network, seed: int = 5) -> Arrays:
    """Parameters with which no layer is trivial: variances down to where epsilon counts, negative means and biases."""
    rng = np.random.default_rng(seed)

    def values(name: str, shape: tuple[int, ...]) -> np.ndarray:
        if name == "variance":
            return rng.uniform(1e-3, 2, shape)
        if name == "scales":
            return rng.uniform(0.5, 1.5, shape)
        return rng.normal(0, 0.5, shape)

    return [
        [values(parameter.name, parameter.shape).astype(np.float32) for parameter in layer.parameters]
        for layer in network.layers
    ]


def write_files(folder: Path, cfg: str, name: str = "small", seed: int = 5) -> NetworkFiles:
    text = textwrap.dedent(cfg).lstrip()
    network = plan(parse_cfg(text))
    files = NetworkFiles(folder / f"{name}.cfg", folder / f"{name}.weights", network, seeded_arrays(network, seed))
    files.cfg.write_text(text, encoding="utf-8")
    with files.weights.open("wb") as file:
        write_weights(file, (array for layer in files.arrays for array in layer), Header(seen=640))
    return files


@pytest.fixture(scope="session")
def random_arrays() -> Callable[..., Arrays]:
    return seeded_arrays


@pytest.fixture(scope="session")
def write_network() -> WriteNetwork:
    return write_files


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> NetworkFiles:
    """The small network's cfg and weights; read only."""
    return write_files(tmp_path_factory.mktemp("small"), SMALL_CFG)


@pytest.fixture(scope="session")
def small_h5(small: NetworkFiles, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small network converted; read only."""
    path = tmp_path_factory.mktemp("converted") / "small.h5"
    convert(small.cfg, small.weights, path)
    return path


@pytest.fixture(scope="session")
def random_weights(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], Path]:
    """A function from a cfg to generated weights for it."""
    spec = importlib.util.spec_from_file_location("random_weights", shared / "tools" / "random_weights.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    folder = tmp_path_factory.mktemp("random")

    def make(cfg: Path) -> Path:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)  # it leaves the cfg to be closed by Python
            module.write(cfg, folder / "random.weights", 7)
        return folder / "random.weights"

    return make
