"""Compare this project with its peers, in forward passes and videos, and write docs/performance.md."""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path

from benchmarks import encoding, forward, networks, scaling, stages, video
from benchmarks.report import PAGE, machine, put
from detector.engines.base import available_cores

INTRODUCTION = """
## Speed

Written by `scripts/benchmark`. Everything in one table ran in one process, alternating, on the same input, so that
load on the machine slows all rows alike; compare ratios first. CPU time is the work of all threads of the process and
hardly depends on other load; with more than one thread it includes busy waiting. `litert`, `openvino`, `onnxruntime`
and `keras` are the engines of yolo3; capitalised names are the same runtimes, and others, used directly. Generated
weights are used where a network's own are not given, because speed does not depend on them. Peak memory is that of a
process that opens an engine, whose network was compiled before, and runs it.

![Time per picture by network and engine; the engines of yolo3 are blue](forward.png)
"""


PARTS = ["forward", "stages", "video", "encoding", "scaling"]


def main() -> None:
    """Measure, and write the sections of docs/performance.md."""
    parser = argparse.ArgumentParser(description=__doc__, prog="scripts/benchmark")
    parser.add_argument(
        "--network", action="append", nargs="+", metavar="PART", default=None,
        help="CFG SIZE [WEIGHTS]; may be repeated; default is yolov3-tiny and yolov3 at 416",
    )  # fmt: skip
    parser.add_argument("--picture", type=Path, help="a photo for the stages and whole processes")
    parser.add_argument("--video", type=Path, help="a video for the end-to-end part")
    parser.add_argument("--frames", type=int, default=0, help="use only this many frames for networks over 10 GFLOP")
    parser.add_argument("--rounds", type=int, default=3, help="of the video")
    parser.add_argument("--seconds", type=float, default=60, help="seconds of forward passes per network")
    parser.add_argument("--only", nargs="+", choices=PARTS, help="measure only these")
    parser.add_argument("--skip", nargs="+", default=[], metavar="NAME", help="leave out these rows of `forward`")
    parser.add_argument("--threads", type=int, default=available_cores())
    options = parser.parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.update(TF_NUM_INTRAOP_THREADS=str(options.threads), OMP_NUM_THREADS=str(options.threads))
    chosen = options.network or [[networks.CONFIGS / f"{name}.cfg", "416"] for name in ("yolov3-tiny", "yolov3")]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        measured = [
            networks.prepare(Path(cfg), Path(weights[0]) if weights else None, int(size), folder)
            for cfg, size, *weights in chosen
        ]
        only = options.only or PARTS
        put("speed", INTRODUCTION)
        medians = {}
        for network in measured if "forward" in only else []:
            text, medians[network.name] = forward.measure(network, options.threads, options.seconds, skip=options.skip)
            put(f"forward {network.name}", f"{text}\n\n{_circumstances(options.threads)}")
        if medians:
            forward.plot(medians, PAGE.with_name("forward.png"))
        if options.picture and "stages" in only:
            rows = [stages.stages(network, options.picture, options.threads) for network in measured]
            table = stages.stage_table(rows)
            largest = max(measured, key=lambda network: network.gigaflops)
            processes = stages.processes(measured[0], options.picture, largest, folder)
            put(
                "stages",
                "\n\n".join([table, processes, _circumstances(options.threads)]),
            )
        for network in measured if options.video and "video" in only else []:
            clip = options.video
            if options.frames and network.gigaflops > 10:
                clip = video.shortened(clip, options.frames, folder)
            text = video.measure(network, clip, folder, rounds=options.rounds, threads=options.threads)
            if network is measured[-1]:
                text += "\n\n" + scaling.memory(network, clip)
            put(f"video {network.name}", f"{text}\n\n{_circumstances(options.threads)}")
        if options.video and "encoding" in only:
            text = encoding.measure(options.video, folder, rounds=options.rounds)
            put("encoding", f"{text}\n\n{_circumstances(options.threads)}")
        if "scaling" in only:
            parts = [
                part(measured[0], folder) for part in (scaling.picture_sizes, scaling.place_in_video, scaling.sources)
            ]
            put("scaling", "\n\n".join([*parts, _circumstances(options.threads)]))


def _circumstances(threads: int) -> str:
    return f"{machine()} Threads for the network: {threads}."


if __name__ == "__main__":
    main()
