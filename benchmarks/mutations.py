"""Mutate the files that yolo3 reads, by seed: cfgs, weights and .h5 models, by bytes and by structure.

Each function gets a `random.Random`, so that a seed gives the same file again.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from convert.layers import KINDS, KNOWN
from convert.layers.activation import ACTIVATIONS

CFG = """[net]
width=32
height=32
channels=3

[convolutional]
batch_normalize=1
filters=8
size=3
stride=2
pad=1
activation=leaky

[maxpool]
size=2
stride=2

[convolutional]
filters=8
size=1
activation=mish

[shortcut]
from=-2
activation=linear

[upsample]
stride=2

[route]
layers=-1,0

[avgpool]

[route]
layers=-2

[convolutional]
filters=21
size=1
stride=1
pad=1
activation=linear

[yolo]
mask=0,1,2
anchors=10,13, 16,30, 33,23, 30,61
classes=2
num=4
"""

VALUES = """
    -1 0 1 2 3 4 5 7 8 16 21 32 33 64 255 1000 65536 2147483647 2147483648 -2147483648 99999999999999999999 1e9 1e400
    0.5 -0.5 nan inf 1,2 -1,-2 0,1,2 -1,-1 , ,, 1, x # ; = [ ] é \u0663 none yes per_channel softmax relu default linear
""".split()
KEYS = """
    filters size stride pad padding groups dilation stride_x stride_y batch_normalize activation antialiasing from
    layers groups group_id weights_type weights_normalization classes num mask anchors output maxpool_depth out_channels
    scale temperature spatial side coords softmax tree share_index reverse extra crop_width crop_height atoms scale_wh
    width height channels cbn xnor new_coords nms_kind scale_x_y probability
""".split()

JSON_VALUES: tuple[Any, ...] = (
    *(None, True, -1, 0, 1, 3, 32000, 2**31, 10**30, 0.5, float("nan"), float("inf")),
    *("", "x", "\x1b[2J", "a" * 5000, [], [[]], {}, [1, 2], [None]),
)


def mutated_cfg(rng: random.Random) -> bytes:
    """Return the cfg with one to four mutations."""
    lines = CFG.split("\n")
    for _ in range(rng.randint(1, 4)):
        accident, at = rng.randrange(9), rng.randrange(len(lines))
        key, equals, _ = lines[at].partition("=")
        if accident == 0 and equals:
            lines[at] = f"{key}={rng.choice(VALUES)}"
        elif accident == 1:
            lines.insert(at, f"{rng.choice(KEYS)}={rng.choice([*VALUES, *ACTIVATIONS])}")
        elif accident == 2:
            lines.insert(at, f"[{rng.choice([*KNOWN, *KINDS, 'net', 'conv', 'convolutionel', ''])}]")
        elif accident == 3:
            del lines[at]
        elif accident == 4:
            lines.insert(at, lines[rng.randrange(len(lines))])
        elif accident == 5:
            lines[at] = "".join(rng.sample(lines[at], len(lines[at])))
        elif accident == 6:
            lines = lines[:at] or [""]
        elif accident == 7:
            lines[at] = lines[at] + chr(rng.randrange(1, 0x3000))
        elif accident == 8 and equals:
            lines[at] = f"{key}={rng.randint(-5, 400)}"
        if not lines:
            lines = [""]
    data = "\n".join(lines).encode("utf-8", "replace")
    if rng.random() < 0.1:
        place = rng.randrange(len(data) + 1)
        data = data[:place] + rng.randbytes(rng.randint(1, 8)) + data[place:]
    return data


def mutated_weights(rng: random.Random, sound: bytes) -> bytes:
    """Return the valid file after a mutation."""
    data = bytearray(sound)
    accident, at = rng.randrange(8), rng.randrange(len(data))
    if accident == 0:
        return bytes(data[:at])
    if accident == 1:
        return bytes(data + rng.randbytes(rng.randint(1, 64)))
    if accident == 2:
        data[at : at + 1] = rng.randbytes(rng.randint(0, 8))
    elif accident == 3:
        data[: rng.randint(1, 24)] = rng.randbytes(rng.randint(1, 24))
    elif accident == 4:
        return bytes(data).replace(b"\n", b"\r\n")
    elif accident == 5:
        at = 20 + (at - 20) // 4 * 4 if at >= 20 else 20
        data[at : at + 4] = np.array([rng.choice([np.nan, np.inf, -1e38, 1e-40])], "<f4").tobytes()
    elif accident == 6:
        return rng.randbytes(rng.randint(0, 200))
    else:
        for _ in range(20):
            data[rng.randrange(len(data))] = rng.randrange(256)
    return bytes(data)


def mutated_bytes(rng: random.Random, sound: bytes) -> bytes:
    """Return a file with mutated bytes: cut, flipped, overwritten, shifted, or partly emptied."""
    data = bytearray(sound)
    accident, at = rng.randrange(7), rng.randrange(len(data))
    if accident == 0:
        return bytes(data[:at])
    if accident == 1:
        for _ in range(rng.choice([1, 1, 2, 8, 64])):
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    elif accident == 2:
        data[at : at + 8] = rng.choice([2**64 - 1, 2**63, 2**40, 2**31, 0, 1, len(data)]).to_bytes(8, "little")
    elif accident == 3:
        data[at : at + rng.randint(1, 64)] = rng.randbytes(rng.randint(0, 64))
    elif accident == 4:
        length = rng.choice([16, 512, 4096])
        data[at : at + length] = bytes(length)
    elif accident == 5:  # near the start, where the structure is
        for _ in range(4):
            data[rng.randrange(min(len(data), 4096))] = rng.randrange(256)
    else:
        other = rng.randrange(len(data))
        data[at : at + 256] = data[other : other + 256]
    return bytes(data)


def mutate_model(rng: random.Random, path: Path) -> None:
    """Mutate the structure of a valid .h5 model: its groups, arrays, attributes, description or layers."""
    with h5py.File(path, "r+") as file:
        rng.choice(MODEL_ACCIDENTS)(rng, file)


def _objects(file: h5py.File, kind: type) -> list[str]:
    found: list[str] = []
    file.visititems(lambda name, item: found.append(name) if isinstance(item, kind) else None)
    return sorted(found)


def _array(rng: random.Random, file: h5py.File) -> str:
    return rng.choice(_objects(file, h5py.Dataset))


def _lose(rng: random.Random, file: h5py.File) -> None:
    del file[rng.choice([*_objects(file, h5py.Dataset), *_objects(file, h5py.Group)])]


def _rename(rng: random.Random, file: h5py.File) -> None:
    name = _array(rng, file)
    file.move(name, name + rng.choice(["_", ":0", "\x1b"]))


def _other_array(rng: random.Random, file: h5py.File) -> None:
    name = _array(rng, file)
    old = file[name][()]
    del file[name]
    choice = rng.randrange(9)
    if choice == 0:
        file.create_dataset(name, (1 << rng.randint(20, 45),), "<f4")
    elif choice == 1:
        file.create_dataset(name, (1 << rng.randint(20, 36),), "<f4", chunks=(1 << 16,), compression="gzip")
    elif choice == 2:
        file[name] = old.reshape(-1)[: rng.randint(0, old.size)]
    elif choice == 3:
        file[name] = old.astype(rng.choice(["<f8", ">f4", "<f2", "<i4", "|u1", "<c8"]))
    elif choice == 4:
        file[name] = rng.choice([float("nan"), float("inf"), 1e38]) * np.ones_like(old)
    elif choice == 5:
        file[name] = "a text"
    elif choice == 6:
        file.create_group(name)
    elif choice == 7:
        file[name] = rng.choice([h5py.SoftLink("/"), h5py.SoftLink("/nowhere"), h5py.ExternalLink("/etc/passwd", "/")])
    else:
        file[name] = np.zeros((0, *old.shape), "<f4")


def _second_link(rng: random.Random, file: h5py.File) -> None:
    file[f"model_weights/{rng.randrange(9)}"] = file[rng.choice([*_objects(file, h5py.Group), _array(rng, file)])]


def _other_attribute(rng: random.Random, file: h5py.File) -> None:
    item = file[rng.choice(["/", *_objects(file, h5py.Group)])]
    names = sorted(item.attrs) or ["names"]
    value = rng.choice(
        [0, -1.5, "x", b"\xff\xfe", np.zeros(1000), np.array([b"a", b"bb"]), h5py.Empty("f"), "x" * 100_000]
    )
    item.attrs[rng.choice(names)] = value


def _no_attribute(rng: random.Random, file: h5py.File) -> None:
    item = file[rng.choice(["/", *_objects(file, h5py.Group)])]
    if names := sorted(item.attrs):
        del item.attrs[rng.choice(names)]


def _in_json(attribute: str) -> Callable[[random.Random, h5py.File], None]:
    def change(rng: random.Random, file: h5py.File) -> None:
        text = str(file.attrs[attribute])
        if rng.random() < 0.15:
            at = rng.randrange(len(text))
            file.attrs[attribute] = (
                text[:at] + rng.choice(["", "[" * 5000, '"', "}", "\x01", "1" * 5000]) + text[at + 1 :]
            )
            return
        data = json.loads(text)
        places: list[tuple[Any, Any]] = []

        def collect(value: Any) -> None:
            for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
                places.append((value, key))
                if isinstance(inner, (dict, list)):
                    collect(inner)

        collect(data)
        for _ in range(rng.randint(1, 3)):
            holder, key = rng.choice(places)
            accident = rng.randrange(4)
            if accident == 0 and isinstance(holder, dict):
                holder.pop(key, None)
            elif accident == 1 and isinstance(holder, list):
                holder.append(rng.choice(JSON_VALUES))
            elif (accident == 2 and isinstance(holder, dict)) or isinstance(holder, dict) or key < len(holder):
                holder[key] = rng.choice(JSON_VALUES)
        file.attrs[attribute] = json.dumps(data)

    return change


MODEL_ACCIDENTS: tuple[Callable[[random.Random, h5py.File], None], ...] = (
    _lose,
    _rename,
    _other_array,
    _other_array,
    _second_link,
    _other_attribute,
    _no_attribute,
    _in_json("yolo3"),
    _in_json("yolo3"),
    _in_json("model_config"),
    _in_json("model_config"),
)
"""The mutations of a model; those with most variety are listed twice."""
