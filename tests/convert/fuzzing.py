"""Seeded mutations of a cfg and of weights; each conversion must end well, or in one of the project's own errors.

    python tests/convert/fuzzing.py [--cfgs 2000] [--weights 1000] [--seed 0]

A case fails when it raises anything else, takes more than 5 s or 1 GB, or gives a model from a file of another size.
"""

from __future__ import annotations

import argparse
import gc
import random
import resource
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))

from convert.cfg import read_cfg
from convert.conversion import convert
from convert.errors import Yolo3Error
from convert.inspection import inspect
from convert.keras_import import import_keras
from convert.layers import KINDS, KNOWN
from convert.layers.activation import ACTIVATIONS
from convert.network import plan
from convert.weights import Header

SECONDS = 5
BYTES = 1 << 30
MOST_FLOATS = 300_000
"""Above that a mutated cfg is planned and not built: it would only take time."""

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


class TooSlow(BaseException):
    """Raised by the alarm."""


def mutated_cfg(rng: random.Random) -> bytes:
    """The cfg with one to four accidents."""
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
    """The sound file after an accident."""
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


def outcome(cfg: Path, weights: Path, model: Path) -> str:
    """How one conversion ended: `converted`, or the name of the project's error."""
    try:
        network = plan(read_cfg(cfg))
        inspect(cfg)
        if network.parameter_count > MOST_FLOATS or sum(layer.shape.size for layer in network.layers) > 50_000_000:
            return "planned"
        if weights.stat().st_size != Header().size_bytes + 4 * network.parameter_count:
            convert(cfg, weights, model, verify=False)
            raise AssertionError("a model was made of weights of another size")
        convert(cfg, weights, model)
    except Yolo3Error as error:
        assert str(error).strip(), "an error without a word"
        if type(error).__name__ == "VerificationError":
            raise AssertionError(str(error)) from None
        return type(error).__name__
    return "converted"


def cases(kind: str, count: int, seed: int, folder: Path) -> Iterator[tuple[int, Path, Path]]:
    """The files of each case; the weights of a cfg that can be planned have its size every other time."""
    cfg, weights = folder / "net.cfg", folder / "net.weights"
    cfg.write_text(CFG)
    sound = sound_weights(cfg)
    for number in range(seed, seed + count):
        rng = random.Random(number)
        if kind == "weights":
            weights.write_bytes(mutated_weights(rng, sound))
        else:
            cfg.write_bytes(mutated_cfg(rng))
            weights.write_bytes((number % 2 and sound_weights(cfg)) or sound)
        yield number, cfg, weights


def sound_weights(cfg: Path) -> bytes:
    """Weights of the size that the cfg needs; empty when it cannot be planned or needs too many."""
    try:
        floats = plan(read_cfg(cfg)).parameter_count
    except Yolo3Error:
        return b""
    if floats > MOST_FLOATS:
        return b""
    return Header().pack() + np.random.default_rng(0).uniform(0.1, 1, floats).astype("<f4").tobytes()


def run(kind: str, count: int, seed: int, folder: Path) -> tuple[Counter[str], list[str]]:
    """How often each ending came up, and what went wrong."""
    import_keras()  # its start is no conversion's time
    endings: Counter[str] = Counter()
    wrong: list[str] = []

    def ring(number: int, frame: object) -> None:
        raise TooSlow

    before = signal.signal(signal.SIGALRM, ring)
    try:
        for number, cfg, weights in cases(kind, count, seed, folder):
            peak, start = _peak_bytes(), time.monotonic()
            signal.alarm(SECONDS)
            try:
                endings[outcome(cfg, weights, folder / "net.h5")] += 1
            except TooSlow:
                wrong.append(f"{kind} {number}: more than {SECONDS} s")
            except Exception as error:  # noqa: BLE001 - anything at all is what is looked for
                wrong.append(f"{kind} {number}: {type(error).__name__}: {str(error)[:300]}")
            finally:
                signal.alarm(0)
            if _peak_bytes() - peak > BYTES:
                wrong.append(f"{kind} {number}: more than {BYTES >> 20} MB in {time.monotonic() - start:.1f} s")
            if "keras" in sys.modules and number % 20 == 0:
                sys.modules["keras"].backend.clear_session()
                gc.collect()
    finally:
        signal.signal(signal.SIGALRM, before)
    return endings, wrong


def _peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main() -> int:
    """Run as a command; the exit code is 1 when anything went wrong."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cfgs", type=int, default=2000)
    parser.add_argument("--weights", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    failed = 0
    for kind, count in (("cfg", options.cfgs), ("weights", options.weights)):
        with tempfile.TemporaryDirectory() as folder:
            endings, wrong = run(kind, count, options.seed, Path(folder))
        print(f"{count} mutated {kind}: {', '.join(f'{name} {times}' for name, times in endings.most_common())}")
        for line in wrong:
            print(line)
        failed += len(wrong)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
