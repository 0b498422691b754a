"""Measure a video from file to file: this project's frame loop against the usual OpenCV loop."""

from __future__ import annotations

import contextlib
import json
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.networks import Measured
from benchmarks.report import table
from detector.pipeline.annotate_video import VideoOptions, annotate_video
from detector.pipeline.outputs import Outputs
from detector.settings import Settings


def measure(network: Measured, video: Path, folder: Path, *, rounds: int, threads: int) -> str:
    """Return a table of frames per second, every way in every round."""
    size = str(network.size)
    ways: dict[str, Any] = {
        "OpenCV 4, sequential, square": lambda: sequential(network, video, folder / "theirs.mp4", threads),
        "yolo3 video, square, stretch": lambda: ours(network, video, folder, threads, size=size, resize="stretch"),
        "yolo3 video, rect": lambda: ours(network, video, folder, threads, size=size, shape="rect"),
        "yolo3 video, fit, stretch": lambda: ours(
            network, video, folder, threads, size=size, shape="fit", resize="stretch"
        ),
        "yolo3 video, rect, log only": lambda: ours(
            network, video, folder, threads, size=size, shape="rect", annotated=False
        ),
    }
    rates: dict[str, list[float]] = {name: [] for name in ways}
    around: dict[str, list[float]] = {name: [] for name in ways}
    processor: dict[str, list[float]] = {name: [] for name in ways}
    frames = frame_count(video)
    for _ in range(rounds):
        for name, run in ways.items():
            used = time.process_time()
            rate, share = run()
            rates[name].append(rate)
            around[name].append(share)
            processor[name].append((time.process_time() - used) / frames)
    base = next(iter(ways))
    rows = [
        (
            name,
            f"{np.median(rates[name]):.1f}",
            f"{np.median(np.array(rates[name]) / rates[base]):.2f}",
            f"{np.median(around[name]):.1%}",
            f"{np.median(processor[name]) * 1e3:.1f}",
            f"{np.median(np.array(processor[base]) / processor[name]):.2f}",
        )
        for name in ways
    ]
    head = (
        "",
        "frames/s",
        "against OpenCV",
        "of the time not in the network",
        "CPU ms a frame, opening included",
        "frames per CPU second, against OpenCV",
    )
    return f"### Video: {network.name} on {video.name}\n\n{table(head, rows)}"


def ours(
    network: Measured, video: Path, folder: Path, threads: int, *, annotated: bool = True, **choice: Any
) -> tuple[float, float]:
    """Return the frames per second of `yolo3 video`, annotated H.264 and the log, or the log alone.

    The second number is the fraction of the time in which the loop did not wait for the network.
    """
    outputs = Outputs(folder / "ours.mp4" if annotated else None, folder / "ours.jsonl", overwrite=True)
    settings = Settings(**{"engine": "litert", "threads": threads, **choice})
    options = VideoOptions(video, network.model, settings, outputs)
    summary = annotate_video(options, bar=lambda _: contextlib.nullcontext())
    return summary.frames_per_second, 1 - summary.stages["network"] / summary.seconds / summary.workers


def sequential(network: Measured, video: Path, out: Path, threads: int) -> tuple[float, float]:
    """Return the same figures for: read, stretch, forward, decode, NMS, draw, write mp4v, log; one after the other."""
    import cv2

    cv2.setNumThreads(threads)
    net = cv2.dnn.readNetFromDarknet(str(network.cfg), str(network.weights))
    names = net.getUnconnectedOutLayersNames()
    capture = cv2.VideoCapture(str(video))
    width, height = (int(capture.get(key)) for key in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
    codec = cv2.VideoWriter.fourcc(*"mp4v")
    writer = cv2.VideoWriter(str(out), codec, capture.get(cv2.CAP_PROP_FPS), (width, height))
    count, forward = 0, 0.0
    with out.with_suffix(".jsonl").open("w") as log:
        began = time.perf_counter()
        while True:
            more, frame = capture.read()
            if not more:
                break
            net.setInput(cv2.dnn.blobFromImage(frame, 1 / 255, (network.size, network.size), swapRB=True))
            start = time.perf_counter()
            rows = np.concatenate(net.forward(names))
            forward += time.perf_counter() - start
            scores = rows[:, 5:]
            kinds, best = scores.argmax(axis=1), scores.max(axis=1)
            rows, kinds, best = (array[best > 0.25] for array in (rows, kinds, best))
            sides = rows[:, 2:4] * [width, height]
            boxes = np.hstack([rows[:, :2] * [width, height] - sides / 2, sides])
            found = []
            kept = cv2.dnn.NMSBoxesBatched(boxes.tolist(), best.tolist(), kinds.tolist(), 0.25, 0.45)
            for index in np.asarray(kept, int).reshape(-1):
                x, y, w, h = boxes[index].round().astype(int).tolist()
                cv2.rectangle(frame, (x, y), (x + w, y + h), (0, 255, 0), 2)
                label = f"{kinds[index]} {best[index]:.2f}"
                cv2.putText(frame, label, (x, y - 4), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (0, 255, 0))
                found.append({"class_id": int(kinds[index]), "confidence": float(best[index]), "box": [x, y, w, h]})
            writer.write(frame)
            log.write(json.dumps({"frame": count, "detections": found}) + "\n")
            log.flush()
            count += 1
        writer.release()
        took = time.perf_counter() - began
        return count / took, 1 - forward / took


def frame_count(video: Path) -> int:
    """Return the number of frames of a video."""
    import av

    with av.open(str(video)) as source:
        return sum(packet.dts is not None for packet in source.demux(source.streams.video[0]))


def shortened(video: Path, frames: int, folder: Path) -> Path:
    """Copy the first frames of a video, without re-encoding."""
    import av

    path = folder / f"first-{frames}-{video.name}"
    with av.open(str(video)) as source, av.open(str(path), "w") as target:
        stream = source.streams.video[0]
        copy = target.add_stream_from_template(stream)
        for number, packet in enumerate(source.demux(stream)):
            if number >= frames or packet.dts is None:
                break
            packet.stream = copy
            target.mux(packet)
    return path
