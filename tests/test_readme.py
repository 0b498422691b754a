"""Every command of the README works, as it stands there, in a folder with files of those names."""

import json
import os
import re
import runpy
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text("utf-8")


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


COMMANDS = [line for block in blocks("sh") for line in block.splitlines() if line.startswith("yolo3 ")]


@pytest.fixture
def folder(tmp_path, colour_model, colour_clip, flag, monkeypatch):
    """A small network and small files under the names that the README uses."""
    from PIL import Image

    source = colour_model.parent
    (tmp_path / "configs").mkdir()
    (tmp_path / "model_data").mkdir()
    shutil.copy(source / "colours.cfg", tmp_path / "configs" / "yolov3.cfg")
    shutil.copy(source / "colours.weights", tmp_path / "model_data" / "yolov3.weights")
    shutil.copy(colour_model, tmp_path / "model_data" / "yolov3.h5")
    shutil.copy(colour_clip, tmp_path / "street.mp4")
    for name in ("dog.jpg", "photos/a.jpg", "more/deep/b.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(flag).save(tmp_path / name)
    shutil.copy(source / "colours.cfg", tmp_path / "configs" / "mine.cfg")
    (tmp_path / "runs" / "mine").mkdir(parents=True)
    shutil.copy(colour_model, tmp_path / "runs" / "mine" / "best.h5")
    write_labelled(tmp_path, flag)
    run = {"type": "run", "schema": 1, "source": "street.mp4", "width": 96, "height": 96, "frame_rate": "25/2"}
    run |= {"model": "yolov3.h5", "model_sha256": "0", "settings": {}, "classes": ["person", "car"]}
    box = {"class_id": 0, "name": "person", "confidence": 0.9, "box": [0, 0, 32, 32]}
    frames = [{"type": "frame", "frame": n, "time": round(n / 12.5, 6), "detections": [box]} for n in range(9)]
    (tmp_path / "logged.jsonl").write_text("".join(json.dumps(line) + "\n" for line in (run, *frames)))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write_labelled(folder, flag):
    """Pictures with labels of red and blue, as `mine.data`."""
    from PIL import Image

    for number in range(6):
        Image.fromarray(flag).save(folder / f"{number}.png")
        red = f"0 {1 / 6} {1 / 6} {(10 - number) / 32} {1 / 3}"
        (folder / f"{number}.txt").write_text(f"{red}\n2 0.5 {5 / 6} {1 / 3} {1 / 3}\n")
    (folder / "mine.txt").write_text("\n".join(f"{number}.png" for number in range(6)))
    (folder / "mine.names").write_text("red\ngreen\nblue\n")
    (folder / "mine.data").write_text("train=mine.txt\nvalid=mine.txt\nnames=mine.names\n")


def test_there_are_commands_to_test():
    assert len(COMMANDS) >= 6


@pytest.mark.parametrize("command", COMMANDS)
def test_command(command, folder, monkeypatch, capsys):
    from detector.__main__ import main

    if command == "yolo3 webcam":
        command = "yolo3 webcam --help"  # whether there is a camera is not the README's to say
    if command.startswith("yolo3 serve"):
        serve_and_stop(command, folder)
        return
    if command.startswith("yolo3 train"):
        (folder / "runs" / "mine" / "best.h5").unlink()
    if "runs/street.jsonl" in command and "--log" not in command:
        shutil.copy(folder / "logged.jsonl", folder / "runs" / "street.jsonl")
    if "runs/photos.json" in command and "--json" not in command:
        record = {"source": "dog.jpg", "width": 96, "height": 96, "detections": []}
        (folder / "runs" / "photos.json").write_text(json.dumps(record) + "\n")
    monkeypatch.setattr(sys, "argv", shlex.split(command, comments=True))
    code = 0
    try:
        main()
    except SystemExit as leaving:
        code = leaving.code or 0

    assert code == 0, capsys.readouterr().err
    for output in re.findall(r"runs/\S+", command):
        assert (folder / output).exists()


def serve_and_stop(command, folder):
    """Start a server on a free port, and end it as a system does."""
    arguments = [*shlex.split(command, comments=True)[1:], "--port", "0"]
    process = subprocess.Popen(
        [sys.executable, "-m", "detector", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        text=True,
    )
    assert "http://127.0.0.1:" in process.stderr.readline()
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == 0


def test_python(folder):
    (example,) = blocks("python")
    script = folder / "example.py"
    script.write_text(example)

    found = runpy.run_path(str(script))

    assert [name for *_, name in found["detections"]] == ["red", "blue"]


@pytest.mark.parametrize("path", re.findall(r"\]\(([^)#:]+)\)", README))
def test_link(path):
    assert (ROOT / path).exists()


@pytest.mark.parametrize("script", sorted(set(re.findall(r"scripts/\w+", README))))
def test_script_is_there_and_may_be_run(script):
    assert (ROOT / script).stat().st_mode & 0o111
