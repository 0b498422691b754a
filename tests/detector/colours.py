"""A classifier that needs no training: it gives the most frequent colour of a picture."""

from pathlib import Path

import numpy as np
import pytest

from convert import convert
from convert.weights import write_weights

CFG = """
[net]
width=32
height=32
channels=3

[convolutional]
filters=3
size=1
stride=1
activation=linear

[avgpool]

[softmax]
groups=1
"""


@pytest.fixture(scope="session")
def colour_classifier(tmp_path_factory) -> Path:
    """An .h5 of classes red, green and blue; a picture that is all red is red with probability 0.9999."""
    folder = tmp_path_factory.mktemp("classifier")
    (folder / "colours.cfg").write_text(CFG)
    (folder / "colours.names").write_text("red\ngreen\nblue\n")
    with (folder / "colours.weights").open("wb") as file:
        write_weights(file, [np.zeros(3, np.float32), 10 * np.eye(3, dtype=np.float32).reshape(3, 3, 1, 1)])
    convert(folder / "colours.cfg", folder / "colours.weights", folder / "colours.h5", names=folder / "colours.names")
    return folder / "colours.h5"


@pytest.fixture
def thirds() -> np.ndarray:
    """48 rows, 96 columns: the left third red, the middle green, the right blue."""
    picture = np.zeros((48, 96, 3), np.uint8)
    for colour in range(3):
        picture[:, 32 * colour : 32 * colour + 32, colour] = 255
    return picture
