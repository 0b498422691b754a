"""Measure everything around the network: the stages of one image, and the time of whole processes."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.networks import Measured
from benchmarks.report import table
from detector import Detector
from detector.heads.decode import decode
from detector.images.reading import read_picture

REPETITIONS = 100


def stages(network: Measured, picture: Path, threads: int) -> tuple[str, ...]:
    """Return a row: milliseconds of each stage of `Detector.detect`, and the part that is not the network."""
    detector = Detector.open(network.model, engine="litert", size=str(network.size), shape="rect", threads=threads)
    rgb = read_picture(picture)
    fit = detector.fit(rgb.shape[1], rgb.shape[0])
    batch = fit.network_input(rgb)[None]
    heads = [head[0] for head in detector.engine.run(batch)]
    heads_of = detector.description.heads
    steps: dict[str, Callable[[], Any]] = {
        "linear": lambda: fit.network_input(rgb),
        "darknet": lambda: fit.network_input(rgb, "darknet"),
        "network": lambda: detector.engine.run(batch),
        "decode": lambda: decode(heads, heads_of, confidence=0.25, width=fit.width, height=fit.height),
        "interpret": lambda: detector.interpret(heads, fit),
    }
    times: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(REPETITIONS if network.gigaflops < 10 else 10):
        for name, step in steps.items():
            began = time.perf_counter()
            step()
            times[name].append(time.perf_counter() - began)
    ms = {name: float(np.median(values)) * 1e3 for name, values in times.items()}
    around = (ms["linear"] + ms["interpret"]) / (ms["linear"] + ms["interpret"] + ms["network"])
    found = str(len(detector.interpret(heads, fit)))
    return (network.name, *[f"{value:.2f}" for value in ms.values()], found, f"{around:.1%}")


def stage_table(rows: list[tuple[str, ...]]) -> str:
    """Return the rows of `stages` as a table."""
    head = (
        "rect, milliseconds", "resize, linear", "resize, darknet", "network", "decode", "decode to boxes", "boxes",
        "all but the network",
    )  # fmt: skip
    return f"### Stage by stage\n\n{table(head, rows)}"


def processes(network: Measured, picture: Path, largest: Measured, folder: Path, *, rounds: int = 9) -> str:
    """Return a table of whole processes, from start to exit: seconds and peak memory."""
    convert = ["convert", largest.cfg, largest.weights, folder / "again.h5", "--quiet"]
    commands: dict[str, tuple[int, list[object]]] = {
        "yolo3 --help": (rounds, ["--help"]),
        f"yolo3 image, {network.name}": (rounds, ["image", picture, "--model", network.model, "--quiet"]),
        f"yolo3 convert, {largest.name}, {largest.weights.stat().st_size / 1e6:.0f} MB of weights": (3, convert),
    }
    rows = []
    for name, (times, arguments) in commands.items():
        took = [_process("from detector.__main__ import main; main()", arguments) for _ in range(times)]
        seconds, peaks = zip(*took, strict=True)
        rows.append((name, f"{np.median(seconds):.2f}", f"{min(seconds):.2f}", f"{max(peaks):.0f}"))
    _, alone = _process("import tensorflow, keras", [])
    rows.append(("import tensorflow, keras", "", "", f"{alone:.0f}"))
    return f"### Whole processes\n\n{table(('', 'median s', 'fastest s', 'peak MB'), rows)}"


def _process(program: str, arguments: Sequence[object]) -> tuple[float, float]:
    """Return the seconds that a Python program takes, and its peak memory, in MB of a million bytes."""
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", _TELLING + program, *map(str, arguments)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        check=True,
        cwd=Path(__file__).parents[1],
    )
    return time.perf_counter() - began, int(done.stderr.split()[-1]) * 1024 / 1e6


_TELLING = """
import atexit, sys
def tell():
    with open("/proc/self/status") as status:
        print([line.split()[1] for line in status if "VmHWM" in line][0], file=sys.stderr)
atexit.register(tell)
"""
"""Code that makes a program print its peak memory in kB as it exits; `getrusage` would include its parent's."""
