"""Each line of docs/coming-from.md works, as it stands there, in a folder with files of those names."""

import json
import re
import shlex
import sys
from pathlib import Path

import cv2
import h5py
import numpy as np
import pytest
from PIL import Image

from detector import Detector
from detector.__main__ import main
from tests.convert.test_adoption import ANCHORS, old_layers, write_old
from tests.convert.test_port_weights import CFG, write_weights_only
from tests.test_readme import COMMANDS, folder

__all__ = ["folder"]

PAGE = (Path(__file__).parents[1] / "docs" / "coming-from.md").read_text("utf-8")
CELLS = re.findall(r"\| `([^`]+)` \|$", PAGE, re.MULTILINE)
TYPED = sorted({cell for cell in CELLS if cell.startswith("yolo3 ")} - set(COMMANDS) - {"yolo3 webcam"})
WRITTEN = sorted({cell for cell in CELLS if not cell.startswith("yolo3 ")})


def test_the_page_has_lines_for_all_four():
    assert len(re.findall("^## ", PAGE, re.MULTILINE)) == 4
    assert len(TYPED) > 15 and len(WRITTEN) > 10


@pytest.fixture
def files(folder, colour_model):
    """The files of the README, and those that a port left."""
    (folder / "classes.txt").write_text("cat\ndog\n")
    (folder / "yolo_anchors.txt").write_text(ANCHORS)
    (folder / "configs" / "tiny.cfg").write_text(CFG)
    write_old(folder / "yolo.h5", old_layers())
    write_weights_only(folder / "trained_weights_final.h5")
    return folder


@pytest.mark.parametrize("command", TYPED)
def test_command(command, files, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", shlex.split(command))
    code = 0
    try:
        main()
    except SystemExit as leaving:
        code = leaving.code or 0
    assert code == 0, capsys.readouterr().err
    for output in re.findall(r"(?<=[ =])runs/\S+", command):
        assert (files / output).exists() or "crops" in output


@pytest.mark.parametrize("code", WRITTEN)
def test_python(code, folder):
    detector = Detector.open("model_data/yolov3.h5")
    with Image.open("dog.jpg") as image:
        known = {"cv2": cv2, "Detector": Detector, "detector": detector, "image": image}
        exec(code, known | {"frame": cv2.imread("dog.jpg"), "detections": detector.detect("dog.jpg")})


def test_files_of_the_port_are_what_they_are_called(files):
    with h5py.File(files / "yolo.h5") as whole, h5py.File(files / "trained_weights_final.h5") as weights:
        assert "model_config" in whole.attrs and "model_config" not in weights.attrs
        assert json.loads(whole.attrs["model_config"])["class_name"] == "Model"
        assert np.isfinite(weights["conv2d_9/conv2d_9/kernel:0"]).all()
