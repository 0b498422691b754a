"""Compare the outputs of two checkouts: digests of models, detections, logs and video packets.

    python -m benchmarks.same_outputs record CHECKOUT ASSETS OUT.json
    python -m benchmarks.same_outputs compare BEFORE.json AFTER.json

`ASSETS` contains the folders `weights`, `names`, `images` and `videos`. Each command runs in an empty folder with
relative names, so that paths inside logs are the same in both.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import h5py
from tqdm import tqdm

NETWORKS = {
    "yolo-fastest-1.1-xl": "coco",
    "MobileNetV2-YOLOv3-Nano-coco": "coco",
    "yolov3-tiny-grocery": "grocery",
    "yoloface-50k": "face",
    "tiny": "imagenet",
}
MODEL = "yolo-fastest-1.1-xl.h5"
VARIANTS = {
    "every": ["--every", "3"],
    "still": ["--every", "4", "--carry", "still"],
    "skip-still": ["--skip-still"],
    "section": ["--start", "3", "--end", "9.5"],
    "rect": ["--shape", "rect", "--confidence", "0.1"],
    "hevc": ["--codec", "hevc"],
}
EXPORTS = ("csv", "coco", "mot", "yolo", "darknet", "labelstudio")
RENAMED = {b'"carried":true': b'"propagated":true'}
"""Keys of the log that newer versions write under another name."""


ADDED = {"model", "copy"}
"""Keys of `image --json` that older versions do not write."""


def commands(assets: Path) -> Iterator[tuple[str, ...]]:
    """Yield every command to run, in order; later ones use the output of earlier ones."""
    for network, names in NETWORKS.items():
        source = f"assets/weights/{network}"
        yield (
            "convert",
            f"{source}.cfg",
            f"{source}.weights",
            f"{network}.h5",
            "--names",
            f"assets/names/{names}.names",
        )
    for network in list(NETWORKS)[:4]:
        model = ("--model", f"{network}.h5")
        yield ("image", "assets/images", *model, "--out", f"out-{network}", "--json", f"{network}.json")
        yield ("image", "assets/images", *model, "--interpolation", "darknet", "--json", f"{network}-darknet.json")
    for video in sorted((assets / "videos").iterdir()):
        suffix = ".webm" if video.suffix == ".webm" else ".mp4"
        out = f"{video.stem}{suffix}"
        yield ("video", f"assets/videos/{video.name}", out, "--log", f"{video.stem}.jsonl", "--model", MODEL)
    car = "assets/videos/car-detection.mp4"
    for name, options in VARIANTS.items():
        yield ("video", car, f"car-{name}.mp4", "--log", f"car-{name}.jsonl", "--model", MODEL, *options)
    for kind in EXPORTS:
        yield ("export", "car-detection.jsonl", f"car.{kind}", "--to", kind)
    yield ("redraw", car, "car-detection.jsonl", "redrawn.mp4", "--confidence", "0.5")
    yield ("convert", "yolo-fastest-1.1-xl.h5", "back.cfg", "back.weights")


def digests(path: Path) -> dict[str, str]:
    """Return SHA-256 digests of what a file says, by a suffix of its name.

    What newer versions add is left out: keys of JSON, the digest inside a model file, columns of labels. A video has
    one digest for the timestamps of its frames and one for the packets of each stream.
    """
    if path.suffix in (".mp4", ".webm"):
        return _packets(path)
    if path.suffix == ".h5":
        return {"": _arrays(path)}
    data = path.read_bytes()
    if path.suffix == ".jsonl":
        for old, new in RENAMED.items():
            data = data.replace(old, new)
        data = re.sub(rb'"model_sha256":"[0-9a-f]*"', b"", data)
    elif path.suffix == ".json":
        data = b"\n".join(_without_added(line) for line in data.splitlines())
    elif path.suffix == ".txt" and path.parent.suffix == ".yolo":
        data = b"\n".join(b" ".join(line.split()[:5]) for line in data.splitlines())
    return {"": hashlib.sha256(data).hexdigest()}


def _without_added(line: bytes) -> bytes:
    try:
        record = json.loads(line)
    except ValueError:
        return line
    return json.dumps({key: value for key, value in record.items() if key not in ADDED}).encode()


def _packets(path: Path) -> dict[str, str]:
    found: dict[str, Any] = {}
    with av.open(str(path)) as video:
        for packet in video.demux():
            if packet.size:
                stamp = f"{packet.stream.index} {packet.pts} {packet.duration} {packet.time_base}".encode()
                kind = f" {packet.stream.type}"
                found.setdefault(kind, hashlib.sha256()).update(stamp + bytes(packet))
                if packet.stream.type == "video":
                    found.setdefault(" times", hashlib.sha256()).update(stamp)
    return {kind: one.hexdigest() for kind, one in found.items()}


def _arrays(path: Path) -> str:
    found = hashlib.sha256()

    def add(name: str, item: object) -> None:
        if isinstance(item, h5py.Dataset):
            found.update(name.encode() + item[()].tobytes())

    with h5py.File(path) as file:
        file.visititems(add)
    return found.hexdigest()


def record(checkout: Path, assets: Path) -> dict[str, str]:
    """Run every command of a checkout; return digests of what it wrote and printed, by name."""
    found: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        (folder / "assets").symlink_to(assets.resolve())
        environment = {**os.environ, "PYTHONPATH": str(checkout.resolve()), "TF_CPP_MIN_LOG_LEVEL": "3"}
        for command in tqdm(list(commands(assets)), unit="command"):
            run = subprocess.run(
                [sys.executable, "-P", "-m", "detector", *command, "--quiet"]
                if command[0] in ("image", "video", "redraw")
                else [sys.executable, "-P", "-m", "detector", *command],
                cwd=folder,
                env=environment,
                capture_output=True,
                text=True,
                check=False,
            )
            found[" ".join(command)] = f"exit {run.returncode}"
            if command[0] == "image":
                found[" ".join(command) + " printed"] = hashlib.sha256(run.stdout.encode()).hexdigest()
        for path in sorted(folder.rglob("*")):
            if path.is_file() and "assets" not in path.relative_to(folder).parts:
                name = str(path.relative_to(folder))
                found.update({name + suffix: value for suffix, value in digests(path).items()})
    return found


def compare(before: dict[str, str], after: dict[str, str]) -> list[str]:
    """Return a line for each difference."""
    return [
        f"{name}: {before.get(name, 'missing')} before, {after.get(name, 'missing')} after"
        for name in sorted({*before, *after})
        if before.get(name) != after.get(name)
    ]


def main() -> None:
    """Run the command line above; return 1 if anything differs."""
    match sys.argv[1:]:
        case ["record", checkout, assets, out]:
            Path(out).write_text(json.dumps(record(Path(checkout), Path(assets)), indent=1))
        case ["compare", before, after]:
            first, second = (json.loads(Path(name).read_text()) for name in (before, after))
            different = compare(first, second)
            print("\n".join(different) or f"all {len(first)} are equal")
            sys.exit(bool(different))
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main()
