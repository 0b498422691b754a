"""Small files that ask for much: each below 1 MB, read under a limit of 4 GB of address space."""

from __future__ import annotations

import io
import json
import os
import resource
import struct
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import cast

import av
import h5py
import numpy as np

from benchmarks.torture.outcomes import Outcome
from benchmarks.torture.stage import Stage

LIMIT_BYTES = 4 << 30
CEILINGS_MB = {"cfg": 1000, "model": 1000, "picture": 2000, "video": 3000, "log": 1000, "dataset": 1000, "names": 1000}
"""The stated ceilings, in MB, of a process that reads an input of less than 1 MB."""

SLOWEST_SECONDS = 10.0
"""Of computing."""

Words = list[str]
Make = Callable[[Path], Path]


class Bombs:
    """Every bomb with every verb that reads such a file."""

    name = "resource bomb"

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._folder = stage.folder / "bombs"
        self.asked = {kind: len(_words(kind, Path(), Path(), stage)) for kind in BOMBS}

    def run(self, kind: str, number: int) -> Outcome:
        """Have one file read."""
        self._folder.mkdir(exist_ok=True)
        path = BOMBS[kind](self._folder)
        size = path.stat().st_size
        assert size < 1 << 20, f"{kind}: {size} bytes"
        words = _words(kind, path, self._folder / "out", self._stage)[number]
        cache = str(self._stage.folder / "cache")
        environment = {**os.environ, "XDG_CACHE_HOME": cache, "TF_CPP_MIN_LOG_LEVEL": "3"}
        with tempfile.TemporaryFile("w+") as err:
            process = subprocess.Popen(
                [sys.executable, "-m", "detector", *words],
                stdout=subprocess.DEVNULL,
                stderr=err,
                env=environment,
                preexec_fn=_limit,
            )
            started = time.monotonic()
            _, code, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(code)
            seconds = usage.ru_utime + usage.ru_stime
            err.seek(0)
            told = err.read()
        peak = usage.ru_maxrss * 1024
        found = []
        if "Traceback" in told or process.returncode not in (0, 1, 2):
            found.append(f"exit code {process.returncode}: {told[-400:]}")
        if seconds > SLOWEST_SECONDS and time.monotonic() - started > SLOWEST_SECONDS:
            found.append(f"{seconds:.1f} s of computing")
        ceiling = CEILINGS_MB[kind.partition(" ")[0]]
        if peak > ceiling << 20:
            found.append(f"{peak >> 20} MB, stated are {ceiling}")
        return Outcome(f"exit {process.returncode}", "; ".join(f"{words[0]}: {what}" for what in found), seconds, peak)

    def close(self) -> None:
        """Nothing to end."""


def _limit() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (LIMIT_BYTES, LIMIT_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _words(kind: str, path: Path, out: Path, stage: Stage) -> list[Words]:
    """The commands that read such a file."""
    model = ["--model", str(stage.model), "--quiet"]
    source = str(path)
    forms: dict[str, list[Words]] = {
        "cfg": [["inspect", source], ["convert", source, str(stage.weights), f"{out}.h5"]],
        "model": [["inspect", source], ["image", f"{stage.pictures}/0.png", "--model", source]],
        "picture": [["image", source, *model]],
        "video": [["video", source, f"{out}.mp4", "--overwrite", *model]],
        "log": [
            ["summary", source],
            ["track", source, f"{out}.jsonl", "--overwrite", "--quiet"],
            ["redraw", str(stage.clip), source, f"{out}.mp4", "--blur", "red", "--overwrite", "--quiet"],
        ],
        "dataset": [["dataset", source]],
        "names": [["convert", str(stage.cfg), str(stage.weights), f"{out}.h5", "--names", source]],
    }
    return forms[kind.partition(" ")[0]]


def _text(name: str, text: str | Callable[[], str]) -> Make:
    def make(folder: Path) -> Path:
        path = folder / name
        path.write_text(text if isinstance(text, str) else text())
        return path

    return make


def _bytes(name: str, data: Callable[[], bytes]) -> Make:
    def make(folder: Path) -> Path:
        path = folder / name
        path.write_bytes(data())
        return path

    return make


def _png(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    packer = zlib.compressobj(9)
    line = bytes(1 + width // 8 + 1)
    rows = min(height, (200 << 20) // len(line))  # the rest is missing
    data = b"".join(packer.compress(line) for _ in range(rows)) + packer.flush()
    head = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def _gif(width: int, height: int) -> bytes:
    head = b"GIF89a" + struct.pack("<HHBBB", width, height, 0xF0, 0, 0) + bytes(6)
    frame = b"," + struct.pack("<HHHHB", 0, 0, width, height, 0) + b"\x02\x02\x4c\x01\x00"
    return head + frame * 200 + b";"


def _jpeg() -> bytes:
    from PIL import Image

    file = io.BytesIO()
    Image.new("RGB", (30, 30)).save(file, "JPEG")
    data = file.getvalue()
    segment = b"\xff\xe1" + struct.pack(">H", 1000) + b"Exif\x00\x00" + bytes(992)
    return data[:2] + segment * 900 + data[2:]


def _large_video(codec: str, width: int, height: int) -> Make:
    def make(folder: Path) -> Path:
        path = folder / f"large_{codec}_{width}x{height}.mkv"
        if path.exists():
            return path
        with av.open(str(path), "w") as output:
            options = {"preset": "ultrafast"} if codec == "libx264" else {}
            stream = cast(av.VideoStream, output.add_stream(codec, rate=25, options=options))
            stream.width, stream.height = width, height
            stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
            frame = av.VideoFrame(width, height, stream.pix_fmt)
            for plane in frame.planes:
                plane.update(bytes(plane.buffer_size))
            for number in range(4):
                frame.pts = number
                output.mux(stream.encode(frame))
            output.mux(stream.encode(None))
        return path

    return make


def _model(change: Callable[[h5py.File], None]) -> Make:
    def make(folder: Path) -> Path:
        path = folder / "bomb.h5"
        path.write_bytes((folder.parent / "inputs" / "model.h5").read_bytes())
        with h5py.File(path, "r+") as file:
            change(file)
        return path

    return make


def _wide_model(file: h5py.File) -> None:
    about = json.loads(str(file.attrs["yolo3"]))
    about["width"] = about["height"] = 32000
    file.attrs["yolo3"] = json.dumps(about)


def _chunked_model(file: h5py.File) -> None:
    file.create_dataset("model_weights/bomb", (1 << 32,), "<f4", chunks=(1 << 20,), compression="gzip", fillvalue=1)


def _claiming_model(file: h5py.File) -> None:
    file.create_dataset("model_weights/bomb", (1 << 40,), "<f4")


_RUN = {
    "type": "run", "schema": 1, "source": "clip.mp4", "width": 96, "height": 96, "frame_rate": "25", "model": "m.h5",
    "model_sha256": "0" * 64, "settings": {}, "classes": ["red", "green", "blue"],
}  # fmt: skip


def _log(frames: int, boxes: int, **run: object) -> str:
    box = {"class_id": 0, "name": "red", "confidence": 0.9, "box": [1, 1, 9, 9]}
    lines = [json.dumps({**_RUN, **run})]
    for frame in range(frames):
        detections = [box] * boxes
        lines.append(json.dumps({"type": "frame", "frame": frame, "time": frame / 25, "detections": detections}))
    return "\n".join(lines) + "\n"


def _raised(frame_rate: str) -> str:
    return _log(3, 1, frame_rate=frame_rate)


_NET = "[net]\nwidth={0}\nheight={0}\nchannels=3\n"
_CONVOLUTION = "[convolutional]\nfilters={}\nsize={}\nstride=1\npad=1\nactivation=leaky\n"

_ENTITIES = (
    '<?xml version="1.0"?><!DOCTYPE a ['
    + '<!ENTITY e0 "aaaaaaaaaa">'
    + "".join(f'<!ENTITY e{level} "{f"&e{level - 1};" * 10}">' for level in range(1, 10))
    + "]><annotations><a>&e9;</a></annotations>"
)
_ALIASES = "a0: &a0 [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"a{level}: &a{level} [{','.join([f'*a{level - 1}'] * 9)}]\n" for level in range(1, 10)
)

BOMBS: dict[str, Make] = {
    "cfg of 40,000 routes": _text("a.cfg", lambda: _NET.format(96) + "[route]\nlayers=-1\n" * 40_000),
    "cfg of 32,000 pixels": _text("a.cfg", _NET.format(32_000) + _CONVOLUTION.format(64, 3)),
    "cfg of 10^9 filters": _text("a.cfg", _NET.format(96) + _CONVOLUTION.format(10**9, 1)),
    "cfg with a kernel of 4,001": _text("a.cfg", _NET.format(96) + _CONVOLUTION.format(8, 4001)),
    "cfg with a pool of 4,001": _text("a.cfg", _NET.format(96) + "[maxpool]\nsize=4001\nstride=1\n"),
    "cfg that enlarges 4,096 times": _text("a.cfg", _NET.format(96) + "[upsample]\nstride=64\n" * 2),
    "cfg in one line": _text("a.cfg", lambda: "[net]\nwidth=" + "9" * 900_000),
    "model of 32,000 pixels": _model(_wide_model),
    "model with a compressed array of 16 GB": _model(_chunked_model),
    "model that claims 4 TB": _model(_claiming_model),
    "picture of 1x178,000,000": _bytes("a.png", lambda: _png(1, 178_000_000)),
    "picture of 178,000,000x1": _bytes("a.png", lambda: _png(178_000_000, 1)),
    "picture of 30,000x30,000": _bytes("a.png", lambda: _png(30_000, 30_000)),
    "picture of 13,000x13,000": _bytes("a.png", lambda: _png(13_000, 13_000)),
    "picture with 900 EXIF segments": _bytes("a.jpg", _jpeg),
    "video as a GIF of 60,000x60,000": _bytes("a.gif", lambda: _gif(60_000, 60_000)),
    "video as a GIF of 6,000x6,000": _bytes("a.gif", lambda: _gif(6_000, 6_000)),
    "video of 8192x8192": _large_video("libx264", 8192, 8192),
    "video of 8192x4320": _large_video("libx264", 8192, 4320),
    "log with a line of 10,000 boxes": _text("a.jsonl", lambda: _log(1, 10_000)),
    "log with a rate of 1e999999999": _text("a.jsonl", _raised("1e999999999")),
    "log with a rate of 1/10^4000": _text("a.jsonl", _raised("1/1" + "0" * 4000)),
    "log nested deeply": _text("a.jsonl", lambda: "[" * 500_000 + "\n"),
    "log of 5,000 frames": _text("a.jsonl", lambda: _log(5_000, 1)),
    "dataset of 10^12 classes": _text("a.data", "classes=999999999999\ntrain=a\nvalid=a\nnames=b\n"),
    "dataset nested deeply": _text("a.json", lambda: "[" * 500_000),
    "dataset with an entity bomb": _text("a.xml", lambda: _ENTITIES),
    "dataset of 100,000 columns": _text("a.csv", lambda: ",".join(["image"] * 100_000)),
    "dataset with a YAML of aliases": _text("data.yaml", lambda: _ALIASES),
    "names of 400,000 lines": _text("a.names", lambda: "x\n" * 400_000),
    "names in one line": _bytes("a.names", lambda: np.full(900_000, 65, np.uint8).tobytes()),
}
