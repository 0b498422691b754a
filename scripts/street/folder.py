"""Write drawn streets as a folder of labelled images in Darknet's format."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from convert.files import make_folder, write_whole
from detector.images.reading import write_picture
from scripts.street.render import NAMES, draw_shot
from scripts.street.stage import random_street

SIZES = ((640, 360), (640, 360), (640, 360), (960, 540), (480, 270))
"""Several sizes, so that scaling down to the network's input aliases in different ways."""

PARTS = {"train": 0, "valid": 1_000_000, "test": 2_000_000}
"""The first seed of each part, so that no image is in two."""


def write_folder(
    folder: Path,
    counts: dict[str, int],
    *,
    progress: Callable[[Iterable[Any]], Iterable[Any]] = iter,
) -> Path:
    """Draw the images of each of `PARTS` and return the `.data` file; existing images are kept."""
    pictures, labels = folder / "images", folder / "labels"
    for place in (pictures, labels):
        make_folder(place)
    seeds = [PARTS[part] + number for part, count in counts.items() for number in range(count)]
    missing = [seed for seed in seeds if not (labels / f"{seed}.txt").exists()]
    with ProcessPoolExecutor(os.process_cpu_count() if hasattr(os, "process_cpu_count") else os.cpu_count()) as pool:
        for _ in progress(pool.map(partial(_write, folder), missing, chunksize=16)):
            pass
    for part, count in counts.items():
        names = [f"images/{PARTS[part] + number}.jpg" for number in range(count)]
        _write_text(folder / f"{part}.txt", "\n".join(names) + "\n")
    _write_text(folder / "street.names", "\n".join(NAMES) + "\n")
    data = folder / "street.data"
    _write_text(data, f"classes = {len(NAMES)}\ntrain = train.txt\nvalid = valid.txt\nnames = street.names\n")
    if "test" in counts:
        tested = f"classes = {len(NAMES)}\ntrain = test.txt\nvalid = test.txt\nnames = street.names\n"
        _write_text(folder / "test.data", tested)
    return data


def _write(folder: Path, seed: int) -> None:
    width, height = SIZES[seed % len(SIZES)]
    shot = draw_shot(random_street(seed, width, height))
    lines = []
    for class_id, (left, top, right, bottom) in zip(shot.class_id, shot.xyxy.tolist(), strict=True):
        centre = (left + right) / 2 / width, (top + bottom) / 2 / height
        size = (right - left) / width, (bottom - top) / height
        lines.append(" ".join([str(class_id), *(f"{part:.6f}" for part in (*centre, *size))]))
    write_picture(folder / "images" / f"{seed}.jpg", shot.picture)
    # The labels are written last: an image without them is drawn again.
    _write_text(folder / "labels" / f"{seed}.txt", "".join(line + "\n" for line in lines))


def _write_text(path: Path, text: str) -> None:
    write_whole(path, text.encode())
