"""Measure the forward pass alone: this project's engines and their peers, alternating."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.networks import Measured
from benchmarks.report import table
from convert.opened_model import OpenedModel
from detector.engines.cache import compiled
from detector.engines.opening import open_engine

Picture = NDArray[np.float32]
Contender = tuple[str, Callable[[Picture], Any]]
"""A function that runs a (1, height, width, 3) image, and its name; a peer's begins with a capital."""

ENGINES = ("litert", "openvino", "onnxruntime", "keras")


def contenders(network: Measured, threads: int, skip: Collection[str] = ()) -> Iterator[Contender]:
    """Yield all contenders that are not skipped; each is opened when it is requested."""
    peers = {"OpenCV, Darknet importer": _opencv, "ONNX Runtime": _onnxruntime, "OpenVINO, from ONNX": _openvino}
    for name in ENGINES:
        if name not in skip:
            yield name, open_engine(name, OpenedModel.read(network.model), threads=threads).run
    for name, make in peers.items():
        if name not in skip:
            yield name, make(network, threads)
    yield from (contender for contender in _tensorflow(network) if contender[0] not in skip)


def _opencv(network: Measured, threads: int) -> Callable[[Picture], Any]:
    import cv2

    cv2.setNumThreads(threads)
    net = cv2.dnn.readNetFromDarknet(str(network.cfg), str(network.weights))
    names = net.getUnconnectedOutLayersNames()

    def run(picture: Picture) -> Any:
        net.setInput(np.ascontiguousarray(picture.transpose(0, 3, 1, 2)))
        return net.forward(names)

    return run


def _onnxruntime(network: Measured, threads: int) -> Callable[[Picture], Any]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(compiled(network.model, "onnx"), options)
    name = session.get_inputs()[0].name
    return lambda picture: session.run(None, {name: np.ascontiguousarray(picture.transpose(0, 3, 1, 2))})


def _openvino(network: Measured, threads: int) -> Callable[[Picture], Any]:
    import openvino

    core = openvino.Core()
    model = core.read_model(compiled(network.model, "onnx"))
    options = {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
    request = core.compile_model(model, "CPU", options).create_infer_request()
    return lambda picture: request.infer([np.ascontiguousarray(picture.transpose(0, 3, 1, 2))])


def _tensorflow(network: Measured) -> Iterator[Contender]:
    import tensorflow as tf

    from detector.engines.keras import load_model

    model = load_model(network.model)
    graph = tf.function(lambda picture: model(picture, training=False))
    yield "TensorFlow graph", lambda picture: [head.numpy() for head in tf.nest.flatten(graph(picture))]
    yield "Keras predict", lambda picture: model.predict(picture, verbose=0)


def measure(
    network: Measured, threads: int, seconds: float, *, skip: Collection[str] = ()
) -> tuple[str, dict[str, float]]:
    """Return a table for one network, and each contender's median in milliseconds."""
    picture = np.random.default_rng(3).uniform(0, 1, (1, network.size, network.size, 3)).astype(np.float32)
    runs = dict(contenders(network, threads, skip))
    wall: dict[str, list[float]] = {name: [] for name in runs}
    processor: dict[str, list[float]] = {name: [] for name in runs}
    for run in runs.values():
        run(picture)
        run(picture)
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        for name, run in runs.items():
            run(picture)  # a thread pool that was just displaced by another one needs a call to recover
            began = time.perf_counter()
            for _ in range(10):
                start, used = time.perf_counter(), time.process_time()
                run(picture)
                processor[name].append(time.process_time() - used)
                wall[name].append(time.perf_counter() - start)
                if time.perf_counter() - began > 0.1:
                    break
    medians = {name: float(np.median(values)) * 1e3 for name, values in wall.items()}
    return _table(network, wall, processor, threads), medians


def plot(medians: dict[str, dict[str, float]], path: Path) -> None:
    """Plot bars of each network's contenders, against the best peer."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4 * len(medians), 3.2), layout="constrained")
    for number, (network, times) in enumerate(medians.items(), 1):
        axes = figure.add_subplot(1, len(medians), number)
        names = sorted((name for name in times if name != "Keras predict"), key=times.__getitem__, reverse=True)
        bars = axes.barh(
            names,
            [times[name] for name in names],
            color=["#9aa5b1" if name[0].isupper() else "#2b7bba" for name in names],
        )
        axes.bar_label(bars, [f"{times[name]:.1f}" for name in names], padding=3, fontsize=8)
        axes.margins(x=0.15)
        axes.set_title(network, fontsize=10)
        axes.set_xlabel("ms per picture, median")
        axes.tick_params(axis="y", labelsize=8)
    figure.savefig(path, dpi=110)


def _table(network: Measured, wall: dict[str, list[float]], processor: dict[str, list[float]], threads: int) -> str:
    rate = sgemm_gigaflops()
    walls = {name: float(np.median(values)) for name, values in wall.items()}
    processors = {name: float(np.median(values)) for name, values in processor.items()}
    peers = [name for name in wall if name[0].isupper()]
    best_wall, best_processor = (min(times[name] for name in peers) for times in (walls, processors))
    rows = [
        (
            name,
            f"{walls[name] * 1e3:.1f}",
            f"{np.percentile(wall[name], 10) * 1e3:.1f}",
            f"{walls[name] / best_wall:.2f}",
            f"{processors[name] * 1e3:.1f}",
            f"{processors[name] / best_processor:.2f}",
            f"{network.gigaflops / rate / processors[name]:.0%}",
            f"{peak_megabytes(network, name, threads):.0f}" if name in ENGINES else "",
        )
        for name in sorted(processors, key=processors.__getitem__)
    ]
    head = (
        "runtime", "median ms", "fastest tenth ms", "against best peer", "CPU ms", "CPU against best peer",
        "of sgemm's rate", "peak MB",
    )  # fmt: skip
    note = (
        f"{network.gigaflops:.2f} GFLOP per picture; sgemm {rate:.0f} GFLOP/s per core; {len(wall['litert'])} passes."
    )
    return f"### {network.name}\n\n{note}\n\n{table(head, rows)}"


def sgemm_gigaflops(side: int = 1536) -> float:
    """Return the GFLOP/s of matrix multiplication on one core: the best of twelve, by processor time."""
    matrix = np.random.default_rng(0).standard_normal((side, side), np.float32)
    best = float("inf")
    for _ in range(12):
        began = time.process_time()
        matrix @ matrix
        best = min(best, time.process_time() - began)
    return 2 * side**3 / best / 1e9


def peak_megabytes(network: Measured, engine: str, threads: int) -> float:
    """Return the peak memory of a process that opens an engine, with its network compiled before, and runs it twice."""
    program = """
import sys
import numpy as np
from pathlib import Path
from convert.opened_model import OpenedModel
from detector.engines.opening import open_engine
name, model, size, threads = sys.argv[1:]
engine = open_engine(name, OpenedModel.read(model), threads=int(threads))
for _ in range(2):
    engine.run(np.zeros((1, int(size), int(size), 3), np.float32))
print([line.split()[1] for line in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in line][0])
"""
    command = [sys.executable, "-c", program, engine, str(network.model), str(network.size), str(threads)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[1])
    return int(done.stdout.split()[-1]) / 1024
