"""The stage of the attacks: a folder with one sound input of each kind, and files of a user that nobody may touch."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from PIL import Image

from convert.conversion import convert
from convert.weights import write_weights
from detector.logs.log_lines import json_line, run_fields
from detector.logs.records import RunRecord

CFG = """[net]
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
"""Sees cells of 32x32 pixels that are red, green or blue, without any training."""

TRAINED_CFG = """[net]
width=32
height=32
channels=3

[convolutional]
batch_normalize=1
filters=8
size=3
stride=4
pad=1
activation=leaky

[convolutional]
filters=8
size=1
activation=linear

[yolo]
mask=0
anchors=12,12
num=1
classes=3
"""

_STEEP = 40.0
FRAMES = 30
_CELL = 32


@dataclass(frozen=True)
class Stage:
    """Where the sound inputs are."""

    folder: Path

    @property
    def inputs(self) -> Path:
        """The folder of everything that is read, and of the user's own files; all of it stays as it is."""
        return self.folder / "inputs"

    def __getattr__(self, name: str) -> Path:
        """`stage.model` is `inputs/model.h5`, and so on."""
        try:
            return self.inputs / _FILES[name]
        except KeyError:
            raise AttributeError(name) from None

    def digests(self) -> dict[str, str]:
        """SHA-256 of every input, to notice that one was touched."""
        found = (path for path in sorted(self.inputs.rglob("*")) if path.is_file())
        return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in found}


_FILES = {
    "cfg": "net.cfg",
    "weights": "net.weights",
    "names": "net.names",
    "model": "model.h5",
    "clip": "clip.mp4",
    "log": "log.jsonl",
    "pictures": "pictures",
    "data": "set.data",
    "trained_cfg": "train.cfg",
}


def set_up(folder: Path) -> Stage:
    """Make the inputs."""
    stage = Stage(folder)
    stage.pictures.mkdir(parents=True)
    stage.cfg.write_text(CFG)
    stage.trained_cfg.write_text(TRAINED_CFG)
    stage.names.write_text("red\ngreen\nblue\n")
    kernel = np.zeros((8, 3, 32, 32), np.float32)
    kernel[4] = _STEEP / 32**2
    for colour in range(3):
        kernel[5 + colour, colour] = _STEEP / 32**2
    biases = np.array([0, 0, 0, 0, -_STEEP / 2, *[-_STEEP * 3 / 4] * 3], np.float32)
    with stage.weights.open("wb") as file:
        write_weights(file, [biases, kernel])
    convert(stage.cfg, stage.weights, stage.model, names=stage.names)
    _pictures(stage)
    _clip(stage.clip)
    _log(stage.log, stage.clip)
    for name in ("thesis.txt", "clip.mp4.part", "model.part", "out.whole.mp4"):
        (stage.inputs / name).write_text(f"{name}: cannot be made again")
    return stage


def cell(number: int, size: int = 96) -> np.ndarray:
    """A black picture with one coloured cell, which walks with the number."""
    picture = np.zeros((size, size, 3), np.uint8)
    across = size // _CELL
    top, left = _CELL * (number // across % across), _CELL * (number % across)
    picture[top : top + _CELL, left : left + _CELL, number % 3] = 255
    return picture


def _pictures(stage: Stage) -> None:
    listed = []
    for number in range(8):
        path = stage.pictures / f"{number}.png"
        Image.fromarray(cell(number)).save(path)
        left, top = number % 3, number // 3 % 3
        path.with_suffix(".txt").write_text(f"{number % 3} {(left + 0.5) / 3} {(top + 0.5) / 3} {1 / 3} {1 / 3}\n")
        listed.append(f"{path}\n")
    (stage.inputs / "train.txt").write_text("".join(listed))
    names = f"classes=3\ntrain={stage.inputs}/train.txt\nvalid={stage.inputs}/train.txt\nnames={stage.names}\n"
    stage.data.write_text(names)


def _log(path: Path, clip: Path) -> None:
    """A log of the clip: what a network that sees every cell would find."""
    run = RunRecord(str(clip), 96, 96, Fraction(25), "model.h5", "0" * 64, {}, ("red", "green", "blue"))
    lines = [json_line(run_fields(run))]
    for number in range(FRAMES):
        shown = number // 3
        left, top = _CELL * (shown % 3), _CELL * (shown // 3 % 3)
        name = run.classes[shown % 3]
        box = {"class_id": shown % 3, "name": name, "confidence": 0.9, "box": [left, top, left + _CELL, top + _CELL]}
        lines.append(json_line({"type": "frame", "frame": number, "time": number / 25, "detections": [box]}))
    lines.append(json_line({"type": "end", "frames": FRAMES, "status": "complete"}))
    path.write_text("".join(lines))


def _clip(path: Path) -> None:
    with av.open(os.fspath(path), "w") as output:
        stream = output.add_stream("libx264", rate=25, options={"crf": "10"})
        stream.width = stream.height = 96
        stream.pix_fmt = "yuv420p"
        tone = output.add_stream("aac", rate=44100)
        for number in range(FRAMES):
            output.mux(stream.encode(av.VideoFrame.from_ndarray(cell(number // 3))))
        output.mux(stream.encode(None))
        for start in range(0, FRAMES * 44100 // 25, 1024):
            wave = (np.sin(np.arange(start, start + 1024) * 0.06) * 9000).astype(np.int16)
            sound = av.AudioFrame.from_ndarray(np.repeat(wave, 2)[None], format="s16", layout="stereo")
            sound.sample_rate, sound.pts, sound.time_base = 44100, start, Fraction(1, 44100)
            output.mux(tone.encode(sound))
        output.mux(tone.encode(None))
