"""The verbs that write: how each is run, how it is taken up again, and when what it left is whole."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from PIL import Image

from benchmarks.torture.stage import FRAMES, Stage
from convert.model_file import check_layers
from detector.logs.frame_log import EndRecord, FrameRecord, read_log

Words = list[str]


@dataclass(frozen=True)
class Verb:
    """A verb that writes."""

    name: str
    first: Callable[[Stage, Path], Words]
    """Its arguments for a run into an empty folder."""

    over: Callable[[Stage, Path], Words]
    """Its arguments where its outputs exist."""

    again: Callable[[Stage, Path], Words]
    """Its arguments after a run that was killed: to continue it, or to start over."""

    outputs: tuple[str, ...]
    """What it leaves when it is done."""

    keras: bool = False


def _video(stage: Stage, out: Path) -> Words:
    return ["video", str(stage.clip), f"{out}/v.mp4", "--log", f"{out}/v.jsonl", "--model", str(stage.model), "--quiet"]


def _again_video(stage: Stage, out: Path) -> Words:
    return [*_video(stage, out), "--resume"]


def _webcam(stage: Stage, out: Path) -> Words:
    files = ["--out", f"{out}/w.mp4", "--log", f"{out}/w.jsonl", "--model", str(stage.model)]
    return ["webcam", str(stage.clip), "--no-window", "--buffer", "all", "--quiet", *files]


def _redraw(stage: Stage, out: Path) -> Words:
    extra = ["--crops", f"{out}/crops", "--sheet", f"{out}/sheet.png"]
    return ["redraw", str(stage.clip), str(stage.log), f"{out}/r.mp4", *extra, "--quiet"]


def _image(stage: Stage, out: Path) -> Words:
    files = ["--out", f"{out}/drawn", "--json", f"{out}/i.json", "--save-txt", f"{out}/labels"]
    return ["image", str(stage.pictures), "--model", str(stage.model), *files, "--quiet"]


def _train(stage: Stage, out: Path) -> Words:
    options = ["--epochs", "2", "--batch", "4", "--quiet"]
    return ["train", str(stage.data), "--cfg", str(stage.trained_cfg), "--out", f"{out}/run", *options]


def _again_train(stage: Stage, out: Path) -> Words:
    if (out / "run" / "checkpoint.npz").exists():
        return ["train", "--resume", "--out", f"{out}/run", "--quiet"]
    return [*_train(stage, out)[:-6], f"{out}/another", "--epochs", "1", "--quiet"]


def _evaluate(stage: Stage, out: Path) -> Words:
    return ["evaluate", str(stage.data), "--model", str(stage.model), "--json", f"{out}/e.json", "--quiet"]


def _convert(stage: Stage, out: Path) -> Words:
    return ["convert", str(stage.cfg), str(stage.weights), f"{out}/m.h5", "--names", str(stage.names)]


def _export(stage: Stage, out: Path) -> Words:
    return ["export", str(stage.model), f"{out}/net.tflite"]


def _labels(stage: Stage, out: Path) -> Words:
    return ["export", str(stage.log), f"{out}/labels", "--to", "yolo"]


def _track(stage: Stage, out: Path) -> Words:
    return ["track", str(stage.log), f"{out}/t.jsonl", "--quiet"]


def _overwriting(words: Callable[[Stage, Path], Words]) -> Callable[[Stage, Path], Words]:
    return lambda stage, out: [*words(stage, out), "--overwrite"]


def _simple(name: str, words: Callable[[Stage, Path], Words], outputs: tuple[str, ...], *, keras: bool = False) -> Verb:
    over = words if name == "convert" else _overwriting(words)
    return Verb(name, words, over, over, outputs, keras)


VERBS = (
    _simple("convert", _convert, ("m.h5",), keras=True),
    _simple("export", _export, ("net.tflite",), keras=True),
    _simple("export labels", _labels, ("labels/classes.txt", f"labels/frame_{FRAMES - 1:06d}.txt")),
    _simple("image", _image, ("i.json", "drawn/7.png", "labels/7.txt")),
    Verb("video", _video, _overwriting(_video), _again_video, ("v.mp4", "v.jsonl")),
    Verb("webcam", _webcam, _overwriting(_webcam), _overwriting(_webcam), ("w.mp4", "w.jsonl")),
    _simple("redraw", _redraw, ("r.mp4", "sheet.png")),
    _simple("track", _track, ("t.jsonl",)),
    Verb("train", _train, _again_train, _again_train, (), keras=True),
    _simple("evaluate", _evaluate, ("e.json",), keras=True),
)


def unsound(folder: Path) -> list[str]:
    """What below a folder has a final name and is not whole; a log may end at any line."""
    wrong = []
    for path in sorted(folder.rglob("*")):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if not path.is_file() or hidden or ".yolo3-part" in path.name:
            continue
        try:
            _check(path)
        except Exception as error:  # noqa: BLE001 - whatever makes it unreadable
            wrong.append(f"{path.name} is not whole: {type(error).__name__}: {str(error)[:200]}")
    return wrong


def leftovers(folder: Path) -> list[str]:
    """What no run that has ended well may leave below a folder."""
    kinds = (".yolo3-tmp", ".yolo3-part", ".lock", ".part", ".yolo3-old")
    return [path.name for path in folder.rglob("*") if any(kind in path.name for kind in kinds)]


def _check(path: Path) -> None:
    """Raise an error unless a file is whole."""
    if path.suffix == ".mp4":
        with av.open(str(path)) as video:
            frames = sum(1 for _ in video.decode(video=0))
        if not 0 < frames <= FRAMES:
            raise ValueError(f"{frames} frames")
    elif path.suffix == ".jsonl":
        list(read_log(path))
    elif path.suffix == ".h5":
        check_layers(path)
    elif path.name.endswith("e.json"):
        json.loads(path.read_text("utf-8"))
    elif path.suffix == ".json":
        for line in path.read_text("utf-8").splitlines():
            json.loads(line)
        if path.stat().st_size == 0:
            raise ValueError("empty")
    elif path.suffix in (".png", ".jpg"):
        with Image.open(path) as picture:
            picture.load()
    elif path.suffix == ".npz":
        with np.load(path) as arrays:
            for name in arrays.files:
                arrays[name]
    elif path.suffix == ".tflite":
        data = path.read_bytes()
        if data[4:8] != b"TFL3" or len(data) < _LEAST_TFLITE:
            raise ValueError("no LiteRT file")


_LEAST_TFLITE = 20_000


def complete_pair(video: Path, log: Path) -> list[str]:
    """What is wrong with a video and its log of the whole clip."""
    with av.open(str(video)) as opened:
        frames = sum(1 for _ in opened.decode(video=0))
    records = list(read_log(log))
    lines = sum(isinstance(record, FrameRecord) for record in records)
    end = records[-1]
    if frames != FRAMES or lines != FRAMES or not isinstance(end, EndRecord) or end.status != "complete":
        return [f"the pair has {frames} frames and {lines} lines, and ends with {end}"]
    return []
