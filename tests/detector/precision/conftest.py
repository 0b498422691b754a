"""Pictures to calibrate on, and int8 networks that are made at once."""

import numpy as np
import pytest
from PIL import Image

from detector.engines import openvino as openvino_engine
from detector.engines.quantising import Network
from detector.precision import choosing


@pytest.fixture
def pictures(tmp_path):
    """Eighty pictures of 96x96, each with a red and a blue cell."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in range(80):
        picture = np.zeros((96, 96, 3), np.uint8)
        for place, channel in ((number % 9, 0), ((number + 4) % 9, 2)):
            top, left = 32 * (place // 3), 32 * (place % 3)
            picture[top : top + 32, left : left + 32, channel] = 255 - number % 3
        Image.fromarray(picture).save(folder / f"{number}.png")
    return folder


@pytest.fixture
def made(monkeypatch):
    """Networks are made in floats, at once; how often that happened."""
    import openvino

    networks = []

    def quantise(network, inputs):
        folder = network.parent
        openvino.save_model(openvino.Core().read_model(network), folder / "made.xml", compress_to_fp16=False)
        networks.append(len(inputs))
        return Network((folder / "made.xml").read_bytes(), np.fromfile(folder / "made.bin", np.uint8))

    monkeypatch.setattr(choosing, "quantise", quantise)
    monkeypatch.setattr(choosing, "can_quantise", lambda: True)
    monkeypatch.setattr(openvino_engine, "capabilities", lambda: frozenset({"FP32", "INT8", "BF16"}))
    return networks
