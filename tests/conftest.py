"""Fixtures of all tests: third-party material, and a network that needs no training.

That network detects cells of 32x32 pixels that are red, green or blue, so every test knows what it must detect.
"""

import os
import signal
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import settings

from convert import convert
from convert.weights import write_weights

# A shell's background job ignores these, and so would every program that a test starts and then interrupts.
signal.signal(signal.SIGINT, signal.default_int_handler)
if hasattr(signal, "SIGHUP"):
    signal.signal(signal.SIGHUP, signal.SIG_DFL)

# How long an example takes says more about the machine than about the code.
settings.register_profile("yolo3", deadline=None)
settings.load_profile("yolo3")

CFG = """
[net]
width=96
height=96
channels=3

[convolutional]
filters=8
size=32
stride=32
activation=linear

[yolo]
mask=0
anchors=32,32
num=1
classes=3
"""

STEEP = 40.0

SHARED_PARTS = (
    *(
        f"assets/{name}"
        for name in ("images", "images_odd", "names", "videos", "videos_made", "weights", "weights_bad")
    ),
    *("assets/coco_val2017_128", "assets/grocery"),
    *(f"reference/{name}" for name in ("coco_ap.json", "darknet_detections.json", "family", "loss", "mot", "real")),
    "tools/random_weights.py",
)
"""What the third-party material holds where it is whole."""


def pytest_collection_modifyitems(items):
    for item in items:
        if item.get_closest_marker("real_time"):
            item.add_marker(pytest.mark.flaky(reruns=2, reruns_delay=1))


@pytest.fixture(scope="session")
def shared() -> Path:
    """Third-party pictures, videos and networks, kept outside the project."""
    folder = Path(os.environ.get("YOLO3_SHARED") or Path(__file__).parents[2] / "shared")
    if not folder.is_dir():
        pytest.skip(f"needs third-party test material: {folder} does not exist (YOLO3_SHARED names it)")
    missing = [part for part in SHARED_PARTS if not (folder / part).exists()]
    if missing:  # a skip would hide that half of the tests did not run
        pytest.fail(f"third-party test material is incomplete: {folder} lacks {', '.join(missing)}")
    return folder


@pytest.fixture(scope="session", autouse=True)
def cache_of_its_own(tmp_path_factory):
    """Keep compiled networks during the tests, apart from the user's own cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def colour_model(tmp_path_factory) -> Path:
    """An .h5 of classes red, green and blue: a cell of pure colour is a box of confidence 1, grey is nothing."""
    folder = tmp_path_factory.mktemp("colours")
    weights = np.zeros((8, 3, 32, 32), np.float32)
    weights[4] = STEEP / 32**2  # objectness: any colour at all
    for colour in range(3):
        weights[5 + colour, colour] = STEEP / 32**2
    biases = np.array([0, 0, 0, 0, -STEEP / 2, *[-STEEP * 3 / 4] * 3], np.float32)
    (folder / "colours.cfg").write_text(CFG)
    (folder / "colours.names").write_text("red\ngreen\nblue\n")
    with (folder / "colours.weights").open("wb") as file:
        write_weights(file, [biases, weights])
    convert(folder / "colours.cfg", folder / "colours.weights", folder / "colours.h5", names=folder / "colours.names")
    return folder / "colours.h5"


@pytest.fixture
def flag() -> np.ndarray:
    """A black picture of 96x96 with a red cell at the top left and a blue one at the bottom middle."""
    picture = np.zeros((96, 96, 3), np.uint8)
    picture[:32, :32, 0] = 255
    picture[64:, 32:64, 2] = 255
    return picture


@pytest.fixture
def colour_clip(tmp_path) -> Path:
    """Nine frames of 96x96 at 12.5/s; a red cell walks through the nine cells, row by row."""
    path = tmp_path / "ein Film ∞.mp4"
    with av.open(str(path), "w") as output:
        stream = output.add_stream("libx264", rate=Fraction(25, 2))
        stream.width = stream.height = 96
        stream.pix_fmt = "yuv420p"
        stream.options = {"crf": "10"}
        for index in range(9):
            picture = np.zeros((96, 96, 3), np.uint8)
            top, left = 32 * (index // 3), 32 * (index % 3)
            picture[top : top + 32, left : left + 32, 0] = 255
            output.mux(stream.encode(av.VideoFrame.from_ndarray(picture)))
        output.mux(stream.encode(None))
    return path
