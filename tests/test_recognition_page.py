"""The blocks of docs/recognition.md work as they stand there, in a folder with files of those names."""

import re
import runpy
import shlex
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from detector.__main__ import main
from tests.detector.colours import colour_classifier, thirds

__all__ = ["colour_classifier", "thirds"]

PAGE = (Path(__file__).parents[1] / "docs" / "recognition.md").read_text("utf-8")


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


# A named network would download its weights.
COMMANDS = [line for block in blocks("sh") for line in block.splitlines() if "resnet50" not in line]


@pytest.fixture
def folder(tmp_path, colour_model, colour_classifier, colour_clip, flag, thirds, monkeypatch):
    """Small networks and pictures under the names that the page uses."""
    shutil.copy(colour_model, tmp_path / "yolov3.h5")
    shutil.copy(colour_classifier, tmp_path / "tiny.h5")
    shutil.copy(colour_clip, tmp_path / "street.mp4")
    Image.fromarray(flag).save(tmp_path / "dog.jpg", quality=100)
    Image.fromarray(thirds).save(tmp_path / "elephant.jpg", quality=100)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_there_are_blocks_to_test():
    assert len(COMMANDS) >= 6
    assert len(blocks("python")) >= 4


@pytest.mark.parametrize("command", COMMANDS)
def test_command(command, folder, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", shlex.split(command))
    code = 0
    try:
        main()
    except SystemExit as leaving:
        code = leaving.code or 0

    assert code == 0, capsys.readouterr().err
    for output in re.findall(r"--out (\S+)|--plot (\S+)| (runs/\S+)", command):
        assert (folder / "".join(output)).exists()


@pytest.mark.parametrize("number", range(len(blocks("python"))))
def test_python(number, folder):
    script = folder / "example.py"
    script.write_text(blocks("python")[number])

    names = runpy.run_path(str(script))

    if "heat" in names:
        assert names["heat"].shape == (96, 96)
        assert (folder / "heat.png").exists()
    if "best" in names:
        assert int(np.asarray(names["best"])[0]) == 1
