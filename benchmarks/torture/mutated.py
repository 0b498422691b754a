"""Damaged inputs of every kind: how each is made from a sound one, and how it is read.

    python -m benchmarks.torture.mutated FOLDER SEED < cases > endings

The worker process reads lines of `KIND NUMBER` and answers each with a line of JSON. A case that hangs ends the worker.
"""

from __future__ import annotations

import faulthandler
import io
import json
import os
import random
import resource
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import cast

import av
import numpy as np
from PIL import Image

from benchmarks.fuzz_video import mutated as mutated_video
from benchmarks.mutations import CFG, mutate_model, mutated_bytes, mutated_cfg, mutated_weights
from benchmarks.torture.stage import Stage, cell
from convert.errors import Yolo3Error

HANG_SECONDS = 60.0
"""Of a machine that may be busy with other things; a case fails above 10 s of computing."""

PICTURES = ("jpeg", "png", "webp", "bmp", "gif", "tiff", "ppm", "jp2", "avif")
VIDEOS = ("mp4", "mkv", "webm", "avi", "ts", "mov", "gif")
DATASETS = ("coco", "csv", "data", "labels", "voc", "yaml")

KINDS: dict[str, int] = {
    "cfg": 1500,
    "weights": 1000,
    "model bytes": 1500,
    "model structure": 1000,
    "names": 500,
    "log": 1500,
    "zones": 300,
    **{f"picture {kind}": 200 for kind in PICTURES},
    **{f"video {kind}": 200 for kind in VIDEOS},
    "stream": 300,
    **{f"dataset {kind}": 150 for kind in DATASETS},
}
"""How many of each kind a whole campaign has."""

ZONES = """[[zones]]
name = "gate"
polygon = [[0, 0], [50, 0], [50, 50]]

[[lines]]
name = "door"
from = [0, 40]
to = [90, 40]
"""


class Cases:
    """The damaged inputs of one seed."""

    def __init__(self, stage: Stage, seed: int, folder: Path) -> None:
        self._stage, self._seed, self._folder = stage, seed, folder
        folder.mkdir(parents=True, exist_ok=True)

    def write(self, kind: str, number: int) -> Path:
        """Make the input of a case; the same seed makes the same one."""
        rng = random.Random(f"{self._seed} {kind} {number}")
        name, _, form = kind.partition(" ")
        if kind == "cfg":
            return self._put("net.cfg", mutated_cfg(rng))
        if kind == "weights":
            return self._put("net.weights", mutated_weights(rng, self._stage.weights.read_bytes()))
        if kind == "model bytes":
            return self._put("net.h5", mutated_bytes(rng, self._stage.model.read_bytes()))
        if kind == "model structure":
            path = self._put("net.h5", self._stage.model.read_bytes())
            mutate_model(rng, path)
            return path
        if name == "picture":
            return self._put(f"picture.{form}", mutated_bytes(rng, sound_picture(form)))
        if name == "video":
            return self._put(f"video.{form}", mutated_video(sound_video(form, self._folder), rng))
        if kind == "stream":
            return self._put("stream.ts", mutated_video(sound_video("ts", self._folder), rng))
        if name == "dataset":
            return self._dataset(form, rng)
        sound = {"names": b"person\ncar\n\nbus\n", "log": self._stage.log.read_bytes(), "zones": ZONES.encode()}[kind]
        return self._put({"names": "a.names", "log": "a.jsonl", "zones": "a.toml"}[kind], mutated_text(rng, sound))

    def _put(self, name: str, data: bytes) -> Path:
        path = self._folder / name
        path.write_bytes(data)
        return path

    def _dataset(self, form: str, rng: random.Random) -> Path:
        picture = self._folder / "one.png"
        if not picture.exists():
            Image.fromarray(cell(0)).save(picture)
        (self._folder / "list.txt").write_text(f"{picture}\n")
        (self._folder / "c.names").write_text("red\ngreen\nblue\n")
        name, text = _DATASETS[form]
        text = text.replace("FOLDER", str(self._folder))
        path = self._put(name, mutated_text(rng, text.encode()))
        if form == "labels":
            path = self._folder / "sound.data"
            path.write_text(_DATASETS["data"][1].replace("FOLDER", str(self._folder)))
        elif form != "labels":
            (self._folder / "one.txt").write_text("0 0.2 0.2 0.3 0.3\n")
        return path


_DATASETS = {
    "data": (
        "a.data",
        "classes=3\ntrain=FOLDER/list.txt\nvalid=FOLDER/list.txt\nnames=FOLDER/c.names\n",
    ),
    "labels": ("one.txt", "0 0.2 0.2 0.3 0.3\n1 0.5 0.5 0.2 0.1\n"),
    "yaml": ("data.yaml", "path: FOLDER\ntrain: list.txt\nval: list.txt\nnames:\n  0: red\n  1: green\n"),
    "csv": ("a.csv", "image,label,xmin,ymin,xmax,ymax\none.png,red,1,2,30,40\none.png,green,5,5,60,60\n"),
    "coco": (
        "a.json",
        '{"images":[{"id":1,"file_name":"one.png","width":96,"height":96}],"categories":[{"id":1,"name":"red"}],'
        '"annotations":[{"id":1,"image_id":1,"category_id":1,"bbox":[1,2,30,40],"area":1200,"iscrowd":0}]}',
    ),
    "voc": (
        "one.xml",
        "<annotation><filename>one.png</filename><size><width>96</width><height>96</height><depth>3</depth></size>"
        "<object><name>red</name><bndbox><xmin>1</xmin><ymin>2</ymin><xmax>30</xmax><ymax>40</ymax></bndbox></object>"
        "</annotation>",
    ),
}

_WORDS = (
    *("-1", "0", "1e999", "1e999999999", "nan", "NaN", "null", "true", "[]", "{}", "[" * 3000, '"', "\x1b[2J", "\x00"),
    *("99999999999999999999", "é", "\ud7ff", "a" * 5000, "\n", "\r\n", ",", ":", "=", "<", "&lol;", "../../../x"),
)


def mutated_text(rng: random.Random, sound: bytes) -> bytes:
    """A text after an accident: its bytes, its words or its lines."""
    if rng.random() < 0.3:
        return mutated_bytes(rng, sound)
    if rng.random() < 0.05:
        return sound.decode().encode("utf-16")
    lines = sound.decode("utf-8", "replace").split("\n")
    for _ in range(rng.randint(1, 3)):
        at = rng.randrange(len(lines))
        accident = rng.randrange(5)
        if accident == 0 and len(lines) > 1:
            del lines[at]
        elif accident == 1:
            lines.insert(at, lines[rng.randrange(len(lines))])
        elif accident == 2 and lines[at]:
            spans = [place for place, letter in enumerate(lines[at]) if letter in '",:=[]{} <>'] or [0]
            first = rng.choice(spans)
            last = min((place for place in spans if place > first), default=len(lines[at]))
            lines[at] = lines[at][: first + 1] + rng.choice(_WORDS) + lines[at][last:]
        elif accident == 3:
            cut = rng.randrange(len(lines[at]) + 1)
            lines[at] = lines[at][:cut] + rng.choice(_WORDS) + lines[at][cut:]
        else:
            rng.shuffle(lines)
    return "\n".join(lines).encode("utf-8", "replace")


@cache
def sound_picture(form: str) -> bytes:
    """A small picture of noise in a format."""
    noise = np.random.default_rng(3).integers(0, 255, (40, 60, 3), np.uint8)
    file = io.BytesIO()
    kind = {"jp2": "JPEG2000"}.get(form, form.upper())
    Image.fromarray(noise).save(file, kind)
    return file.getvalue()


@cache
def sound_video(form: str, folder: Path) -> bytes:
    """A short video in a container, with the codec that is usual in it."""
    path = folder / f"sound.{form}"
    if form == "gif":
        first, *others = (Image.fromarray(cell(number)) for number in range(8))
        first.save(path, save_all=True, append_images=others, duration=80)
        return path.read_bytes()
    codec = {"webm": "libvpx-vp9", "avi": "mpeg4", "mov": "mjpeg"}.get(form, "libx264")
    kind = {"ts": "mpegts", "mkv": "matroska"}.get(form, form)
    # Without `bitexact`, Matroska has random numbers in it.
    with av.open(os.fspath(path), "w", format=kind, container_options={"fflags": "+bitexact"}) as output:
        stream = cast(av.VideoStream, output.add_stream(codec, rate=25))
        stream.width = stream.height = 96
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        for number in range(10):
            output.mux(stream.encode(av.VideoFrame.from_ndarray(cell(number))))
        output.mux(stream.encode(None))
    return path.read_bytes()


def read_case(kind: str, path: Path, address: str = "") -> None:
    """Read an input in every way that yolo3 reads it; raises what the readers raise."""
    name = kind.partition(" ")[0]
    readers: dict[str, Callable[[], object]] = {
        "cfg": lambda: _read_cfg(path),
        "weights": lambda: _read_weights(path),
        "model": lambda: _read_model(path),
        "names": lambda: _read_names(path),
        "log": lambda: _read_log(path),
        "zones": lambda: _read_zones(path),
        "picture": lambda: _read_picture(path),
        "video": lambda: _read_video(str(path)),
        "stream": lambda: _read_video(address),
        "dataset": lambda: _read_dataset(path),
    }
    readers[name]()


def _each(*readers: Callable[[], object]) -> None:
    """Try all readers; raise the last of our errors."""
    failed = None
    for reader in readers:
        try:
            reader()
        except Yolo3Error as error:
            if not str(error).strip():
                raise AssertionError("an error without a word") from None
            failed = error
    if failed is not None:
        raise failed


def _read_cfg(path: Path) -> None:
    from convert.cfg import read_cfg
    from convert.inspection import inspect
    from convert.network import plan

    _each(lambda: plan(read_cfg(path)), lambda: inspect(path))


def _read_weights(path: Path) -> None:
    from convert.cfg import read_cfg
    from convert.conversion import convert
    from convert.inspection import inspect
    from convert.network import plan
    from convert.weights import WeightsReader

    cfg = path.with_name("sound.cfg")
    cfg.write_text(CFG)

    def take() -> None:
        with WeightsReader.open(path) as reader:
            if reader.total == plan(read_cfg(cfg)).parameter_count and not reader.odd_bytes:
                return
        convert(cfg, path, path.with_name("new.h5"), verify=False)  # must be refused
        raise AssertionError("a model was made of weights of another size")

    _each(lambda: inspect(path), take)


def _read_model(path: Path) -> None:
    from convert.export import export_weights
    from convert.inspection import inspect
    from convert.model_file import check_layers, read_description, read_variables

    out = path.with_name("out")
    _each(
        lambda: read_description(path),
        lambda: read_variables(path, digest=False),
        lambda: inspect(path),
        lambda: export_weights(path, out.with_suffix(".cfg"), out.with_suffix(".weights")),
        lambda: check_layers(path, digest=False),
    )
    for suffix in (".cfg", ".weights"):
        out.with_suffix(suffix).unlink(missing_ok=True)


def _read_names(path: Path) -> None:
    from convert.names import read_names

    _each(lambda: read_names(path), lambda: read_names(path, 3))


def _read_log(path: Path) -> None:
    from detector.logs.exports import export_log
    from detector.logs.frame_log import read_log_progress
    from detector.logs.replay import LogIndex
    from detector.logs.summary import summarize_log

    _each(
        lambda: summarize_log(path).lines(),
        lambda: read_log_progress(path),
        lambda: LogIndex(path),
        *(lambda to=to: export_log(path, to, io.StringIO()) for to in ("csv", "coco", "mot", "darknet")),
    )


def _read_zones(path: Path) -> None:
    from detector.tracking.zone_file import read_zones

    read_zones(path).for_picture(96, 96, ("red",))


def _read_picture(path: Path) -> None:
    from detector.images.reading import read_picture

    _each(lambda: read_picture(path), lambda: read_picture(path, as_darknet=True))


def _read_video(name: str) -> None:
    from detector.video.reading.opening import open_video

    with open_video(name) as video:
        for _ in video:
            pass


def _read_dataset(path: Path) -> None:
    from detector.datasets.dataset import read_dataset

    read_dataset(path if path.suffix != ".xml" else path.parent)


def main() -> None:
    """Serve cases until standard input ends."""
    folder, seed = Path(sys.argv[1]), int(sys.argv[2])
    address = sys.argv[3] if len(sys.argv) > 3 else ""
    cases = Cases(Stage(folder), seed, folder / f"mutated-{os.getpid()}")
    answers = os.fdopen(os.dup(1), "w")
    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 1)
    os.dup2(quiet, 2)
    for line in sys.stdin:
        kind, _, number = line.strip().rpartition(" ")
        path = cases.write(kind, int(number))
        faulthandler.dump_traceback_later(HANG_SECONDS, exit=True)
        answers.write(json.dumps(_ending(kind, path, address and f"{address}/{path.parent.name}/{path.name}")) + "\n")
        answers.flush()
        faulthandler.cancel_dump_traceback_later()


def _ending(kind: str, path: Path, address: str) -> dict[str, object]:
    before = _reset_peak()
    started = time.process_time()
    bad = ""
    try:
        read_case(kind, path, address)
        ending = "read"
    except Yolo3Error as error:
        ending = type(error).__name__
    except BaseException as error:  # noqa: BLE001 - whatever else comes is what is looked for
        ending, bad = "traceback", f"{type(error).__name__}: {str(error)[:300]}"
    seconds = time.process_time() - started
    return {"ending": ending, "bad": bad, "seconds": seconds, "peak_bytes": max(0, _peak() - before)}


def _reset_peak() -> int:
    """Start the process's peak of memory anew; returns what it uses now."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    return _peak()


def _peak() -> int:
    with suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM"):
                return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == "__main__":
    main()
