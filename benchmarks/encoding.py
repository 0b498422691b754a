"""Compare encoder presets: time, bytes and similarity for the same frames."""

from __future__ import annotations

import time
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.report import table
from detector.detections import Detections
from detector.images.planes import Planes
from detector.video.reading.video_file import VideoFile
from detector.video.writing.codecs import VideoSettings
from detector.video.writing.video_writer import VideoWriter

PRESETS = (None, "ultrafast", "superfast", "veryfast", "faster", "medium")
FRAMES = 200
Plane = NDArray[np.float32]
_COMPARED_EVERY = 5


def measure(video: Path, folder: Path, *, rounds: int) -> str:
    """Return a table of the presets of H.264 at its usual quality, every preset in every round."""
    used: dict[str | None, list[float]] = {preset: [] for preset in PRESETS}
    for _ in range(rounds):
        for preset, seconds in used.items():
            seconds.append(_encode(video, folder / f"{preset}.mp4", preset))
    base = np.median(used["veryfast"])
    rows = []
    for preset, seconds in used.items():
        path = folder / f"{preset}.mp4"
        decibels, similarity = likeness(video, path)
        rows.append(
            (
                preset or "ours",
                f"{np.median(seconds) * 1e3:.2f}",
                f"{np.median(seconds) / base:.2f}",
                f"{path.stat().st_size / 1024:.0f}",
                f"{decibels:.1f}",
                f"{similarity:.4f}",
            )
        )
    head = ("preset", "CPU ms a frame, decoding included", "against veryfast", "kB", "PSNR, dB", "SSIM")
    return f"### Encoder presets: {FRAMES} frames of {video.name}\n\n{table(head, rows)}"


def _encode(video: Path, path: Path, preset: str | None) -> float:
    """Return the CPU seconds per frame to read and to write."""
    began = time.process_time()
    with VideoFile(video) as source:
        writer = VideoWriter(path, source.info, settings=VideoSettings(preset=preset), overwrite=True)
        with writer:
            for frame in islice(source, FRAMES):
                writer.write(frame, Detections.empty())
    return (time.process_time() - began) / FRAMES


def likeness(video: Path, copy: Path) -> tuple[float, float]:
    """Return the peak signal-to-noise ratio in decibels, and the structural similarity, of two videos' luma."""
    errors, similarities = [], []
    with VideoFile(video) as one, VideoFile(copy) as other:
        pairs = zip(islice(one, FRAMES), other, strict=True)
        for before, after in islice(pairs, 0, None, _COMPARED_EVERY):
            old, new = _luma(before.image), _luma(after.image)
            errors.append(float(np.square(old - new).mean()))
            similarities.append(_similarity(old, new))
    return float(10 * np.log10(255**2 / np.mean(errors))), float(np.mean(similarities))


def _similarity(old: Plane, new: Plane) -> float:
    """Return the SSIM (Wang et al. 2004): a Gaussian window of 11 pixels, its two constants for 8 bits."""
    first, second = (0.01 * 255) ** 2, (0.03 * 255) ** 2

    def mean(plane: Any) -> Any:
        return cv2.GaussianBlur(plane, (11, 11), 1.5)

    a, b = mean(old), mean(new)
    spread = mean(old * old) - a * a + mean(new * new) - b * b
    together = mean(old * new) - a * b
    return float(np.mean((2 * a * b + first) * (2 * together + second) / ((a * a + b * b + first) * (spread + second))))


def _luma(image: Planes | NDArray[np.uint8]) -> Plane:
    assert isinstance(image, Planes)
    return image.luma.astype(np.float32)
