"""The walk of docs/training.md from photos to Darknet, Keras and LiteRT: every command as it stands there, in order."""

import re
import shlex
import shutil
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

from convert import convert
from convert.cfg import parse_cfg
from convert.network import plan
from convert.weights import write_weights
from detector import Detector
from detector.__main__ import main
from detector.images.reading import read_picture
from tests.detector.squares import CFG, write_squares

PAGE = (Path(__file__).parents[1] / "docs" / "training.md").read_text("utf-8")
WALK = PAGE.partition("## From a phone's pictures")[2].partition("\n## ")[0]
BLOCKS = re.findall(r"^ *```(sh|python)\n(.*?)^ *```", WALK, re.MULTILINE | re.DOTALL)


@pytest.fixture
def phone(tmp_path, monkeypatch):
    """Photos of squares, the same with labels, and an untrained network for other classes to start from."""
    (tmp_path / "model_data").mkdir()
    rng = np.random.default_rng(0)
    cfg = CFG.replace("classes=2", "classes=4").replace("filters=14", "filters=18")
    shapes = [part.shape for layer in plan(parse_cfg(cfg, "")).layers for part in layer.parameters]
    (tmp_path / "start.cfg").write_text(cfg)
    with (tmp_path / "start.weights").open("wb") as file:
        numbers = [rng.normal(0, 0.1, shape) if len(shape) > 1 else rng.uniform(0.5, 1, shape) for shape in shapes]
        write_weights(file, [values.astype(np.float32) for values in numbers])
    convert(tmp_path / "start.cfg", tmp_path / "start.weights", tmp_path / "model_data" / "yolov3-tiny.h5")
    data = write_squares(tmp_path / "labelled", 32)
    for path in (data, *data.parent.glob("*.txt")):
        path.unlink()
    data.with_name("squares.names").rename(data.with_name("classes.txt"))
    shutil.copytree(tmp_path / "labelled" / "images", tmp_path / "phone")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(command, monkeypatch, capsys):
    # A hundred epochs would take a minute; a few pass through the same steps.
    monkeypatch.setattr(sys, "argv", shlex.split(command.replace("--epochs 100", "--epochs 20"), comments=True))
    code = 0
    try:
        main()
    except SystemExit as leaving:
        code = leaving.code or 0
    assert code == 0, f"{command}\n{capsys.readouterr().err}"


def litert_heads(path, batch):
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(path))
    (entry,) = interpreter.get_input_details()
    interpreter.resize_tensor_input(entry["index"], batch.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(entry["index"], batch)
    interpreter.invoke()
    return [interpreter.get_tensor(output["index"]) for output in interpreter.get_output_details()]


@pytest.mark.slow
def test_the_walk_ends_with_one_network_in_three_forms(phone, monkeypatch, capsys):
    found = {}
    for language, text in BLOCKS:
        for command in textwrap.dedent(text).splitlines() if language == "sh" else ():
            run(command, monkeypatch, capsys)
        if language == "python":
            exec(textwrap.dedent(text), found)

    for name in ("check.jpg", "review.png", "found.cvat.xml", "runs/mine/log.png", "runs/evaluation/precision.png"):
        assert (phone / name).is_file()
    assert len(list((phone / "runs" / "found").iterdir())) == 32
    picture = read_picture(phone / "phone" / "3.png")
    heads = found["network"].predict_on_batch(picture[None].astype(np.float32) / 255)
    (lite,) = litert_heads(phone / "mine.tflite", picture[None].astype(np.float32) / 255)
    assert lite == pytest.approx(np.asarray(heads), abs=1e-4 * float(np.abs(heads).max()))
    (phone / "mine.names").write_text("red\nblue\n")
    convert(phone / "mine.cfg", phone / "mine.weights", phone / "again.h5", names=phone / "mine.names")
    one, other = (
        Detector.open(path, engine="keras", confidence=0.001).detect(picture)
        for path in (phone / "runs" / "mine" / "best.h5", phone / "again.h5")
    )
    assert len(one) > 0
    assert np.array_equal(one.xyxy, other.xyxy)
    assert one.names == other.names == ("red", "blue")


def test_the_walk_names_all_its_steps():
    commands = " ".join(text for language, text in BLOCKS if language == "sh")

    assert len(BLOCKS) == 6
    for verb in ("image", "export", "dataset", "train", "evaluate", "convert"):
        assert f"yolo3 {verb} " in commands
