"""Squares on grey: pictures that a network of two layers learns within seconds."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from convert.cfg import parse_cfg
from convert.network import Network, plan

CFG = """
[net]
width=64
height=64
channels=3
momentum=0.9

[convolutional]
batch_normalize=1
filters=8
size=3
stride=2
pad=1
activation=leaky

[convolutional]
batch_normalize=1
filters=16
size=3
stride=2
pad=1
activation=leaky

[convolutional]
batch_normalize=1
filters=16
size=3
stride=2
pad=1
activation=leaky

[convolutional]
filters=14
size=1
stride=1
pad=1
activation=linear

[yolo]
mask=0,1
anchors=12,12, 24,24
classes=2
num=2
ignore_thresh=.7
"""


def squares_network() -> Network:
    """The network that learns the squares."""
    return plan(parse_cfg(CFG, "squares.cfg"))


def write_squares(folder: Path, count: int, *, first: int = 0) -> Path:
    """A `.data` file of pictures, each with a red and a blue square."""
    for place in ("images", "labels"):
        (folder / place).mkdir(parents=True, exist_ok=True)
    names = []
    for number in range(first, first + count):
        rng = np.random.default_rng(number)
        picture = np.full((64, 64, 3), 128, np.uint8)
        lines = []
        for class_id, colour in enumerate(((230, 30, 30), (30, 30, 230))):
            side = int(rng.integers(10, 26))
            left, top = int(rng.integers(0, 33 - side // 2)) + 32 * class_id, int(rng.integers(0, 64 - side))
            left = min(left, 64 - side)
            picture[top : top + side, left : left + side] = colour
            middle = (left + side / 2) / 64, (top + side / 2) / 64
            lines.append(f"{class_id} {middle[0]} {middle[1]} {side / 64} {side / 64}")
        Image.fromarray(picture).save(folder / "images" / f"{number}.png")
        (folder / "labels" / f"{number}.txt").write_text("\n".join(lines))
        names.append(f"images/{number}.png")
    (folder / "train.txt").write_text("\n".join(names))
    (folder / "valid.txt").write_text("\n".join(names[: max(1, count // 2)]))
    (folder / "squares.names").write_text("red\nblue\n")
    (folder / "squares.data").write_text("classes=2\ntrain=train.txt\nvalid=valid.txt\nnames=squares.names\n")
    return folder / "squares.data"


@pytest.fixture(scope="session")
def squares(tmp_path_factory) -> Path:
    return write_squares(tmp_path_factory.mktemp("squares"), 32)


@pytest.fixture
def squares_cfg(tmp_path) -> Path:
    path = tmp_path / "squares.cfg"
    path.write_text(CFG)
    return path
