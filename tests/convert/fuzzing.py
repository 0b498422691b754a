"""Seeded accidents with a cfg, weights and .h5 models; each must end well, or in one of the project's own errors.

    python tests/convert/fuzzing.py [--cfgs 2000] [--weights 2000] [--h5 2000] [--models 500] [--seed 0]

`h5` are accidents with the bytes of a model, `models` with its structure. A case fails when it raises anything else,
ends the process, takes more than 10 s of computing or 1 GB, or gives a model from a file of another size.
"""

from __future__ import annotations

import argparse
import gc
import random
import resource
import select
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks.mutations import CFG, mutate_model, mutated_bytes, mutated_cfg, mutated_weights
from convert.cfg import read_cfg
from convert.conversion import convert
from convert.errors import Yolo3Error
from convert.export import export_weights
from convert.inspection import inspect
from convert.keras_import import import_keras
from convert.model_file import check_layers, read_description, read_variables
from convert.network import plan
from convert.weights import Header, WeightsReader

SECONDS = 10
BYTES = 1 << 30
MOST_FLOATS = 300_000
"""Above that a mutated cfg is planned and not built: it would only take time."""

HANG_SECONDS = 120
"""Of silence, on a machine that is busy with other things too."""


def outcome(cfg: Path, weights: Path, model: Path) -> str:
    """How one conversion ended: `converted`, or the name of the project's error."""
    try:
        network = plan(read_cfg(cfg))
        inspect(cfg)
        if network.parameter_count > MOST_FLOATS or sum(layer.shape.size for layer in network.layers) > 50_000_000:
            return "planned"
        with WeightsReader.open(weights) as reader:
            fits = reader.total == network.parameter_count and not reader.odd_bytes
        if not fits:
            convert(cfg, weights, model, verify=False)
            raise AssertionError("a model was made of weights of another size")
        convert(cfg, weights, model)
    except Yolo3Error as error:
        assert str(error).strip(), "an error without a word"
        if type(error).__name__ == "VerificationError":
            raise AssertionError(str(error)) from None
        return type(error).__name__
    return "converted"


def model_outcome(path: Path, *, load: bool) -> str:
    """How reading a model in every way ended: the errors' names, or `sound`."""
    found = set()

    def attempt(read: Callable[[], object]) -> bool:
        try:
            read()
        except Yolo3Error as error:
            assert str(error).startswith(str(path.parent)), str(error)
            found.add(type(error).__name__)
            return False
        return True

    out = path.parent / "out"
    attempt(lambda: read_description(path))
    attempt(lambda: read_variables(path, digest=False))
    attempt(lambda: inspect(path))
    attempt(lambda: export_weights(path, out.with_suffix(".cfg"), out.with_suffix(".weights")))
    for suffix in (".cfg", ".weights"):
        out.with_suffix(suffix).unlink(missing_ok=True)
    if attempt(lambda: check_layers(path, digest=False)) and load:
        try:
            import_keras().models.load_model(path, compile=False, safe_mode=True)
        except (ValueError, TypeError, KeyError, AttributeError, OSError, IndexError) as error:
            # With its digest, which a conversion writes, the file would not have come this far.
            found.add(f"Keras: {type(error).__name__}")
    return " ".join(sorted(found)) or "sound"


def cases(kind: str, count: int, seed: int, folder: Path) -> Iterator[tuple[int, Path, Path]]:
    """The files of each case; the weights of a cfg that can be planned have its size every other time."""
    cfg, weights = folder / "net.cfg", folder / "net.weights"
    cfg.write_text(CFG)
    sound = sound_weights(cfg)
    model = folder / "net.h5"
    if kind in ("h5", "models"):
        weights.write_bytes(sound)
        model.unlink(missing_ok=True)
        convert(cfg, weights, model, verify=False)
        sound_model = model.read_bytes()
    for number in range(seed, seed + count):
        rng = random.Random(number)
        if kind == "weights":
            weights.write_bytes(mutated_weights(rng, sound))
        elif kind == "h5":
            model.write_bytes(mutated_bytes(rng, sound_model))
        elif kind == "models":
            model.write_bytes(sound_model)
            mutate_model(rng, model)
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


def work(kind: str, count: int, seed: int, folder: Path) -> None:
    """Do the cases in this process, and print a line after each."""
    if kind in ("cfg", "weights"):
        import_keras()  # its start is no conversion's time
    for number, cfg, weights in cases(kind, count, seed, folder):
        peak, start = _peak_bytes(), time.process_time()
        try:
            if kind in ("h5", "models"):
                ending = model_outcome(folder / "net.h5", load=kind == "models" and number % 10 == 0)
            else:
                ending = outcome(cfg, weights, folder / "net.h5")
        except Exception as error:  # noqa: BLE001 - anything at all is what is looked for
            ending = f"! {type(error).__name__}: {str(error)[:300]!r}"
        seconds, grown = time.process_time() - start, _peak_bytes() - peak
        if seconds > SECONDS or (grown > BYTES and "keras" in sys.modules):
            ending = f"! {ending}: {seconds:.1f} s, {grown >> 20} MB"
        print(number, ending, flush=True)
        if "keras" in sys.modules and number % 20 == 0:
            sys.modules["keras"].backend.clear_session()
            gc.collect()


def run(kind: str, count: int, seed: int, folder: Path) -> tuple[Counter[str], list[str]]:
    """Do the cases in a process of their own; how often each ending came, and what went wrong."""
    endings: Counter[str] = Counter()
    wrong: list[str] = []
    last, end = seed - 1, seed + count
    while last + 1 < end:
        command = [sys.executable, __file__, "--worker", kind, str(end - last - 1), str(last + 1), str(folder)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as worker:
            assert worker.stdout is not None
            assert worker.stderr is not None
            while select.select([worker.stdout], [], [], HANG_SECONDS)[0] and (line := worker.stdout.readline()):
                number, _, ending = line.rstrip("\n").partition(" ")
                last = int(number)
                if ending.startswith("!"):
                    wrong.append(f"{kind} {number}: {ending}")
                else:
                    endings[ending] += 1
            worker.kill()
            complaint = worker.stderr.read()[-300:]
        if last + 1 < end:
            last += 1
            wrong.append(f"{kind} {last}: the process ended with {worker.returncode}, or hung: {complaint}")
    return endings, wrong


def _peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main() -> int:
    """Run as a command; the exit code is 1 when anything went wrong."""
    if sys.argv[1:2] == ["--worker"]:
        kind, count, seed, folder = sys.argv[2:]
        work(kind, int(count), int(seed), Path(folder))
        return 0
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cfgs", type=int, default=2000)
    parser.add_argument("--weights", type=int, default=2000)
    parser.add_argument("--h5", type=int, default=2000)
    parser.add_argument("--models", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    counts = {"cfg": options.cfgs, "weights": options.weights, "h5": options.h5, "models": options.models}
    failed = 0
    for kind, count in counts.items():
        with tempfile.TemporaryDirectory() as folder:
            endings, wrong = run(kind, count, options.seed, Path(folder))
        print(f"{count} mutated {kind}: {', '.join(f'{name} {times}' for name, times in endings.most_common())}")
        for line in wrong:
            print(line)
        failed += len(wrong)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
