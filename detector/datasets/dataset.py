"""Labelled pictures, in Darknet's form or COCO's; every mistake in them is found before any work and told at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from detector.errors import DatasetError

_ORIENTATION_TAG = 0x0112
_ON_ITS_SIDE = (5, 6, 7, 8)

MOST_PROBLEMS = 1000
"""Lines of one error message."""


@dataclass(frozen=True, eq=False)
class Example:
    """A picture and what is in it."""

    path: Path
    boxes: NDArray[np.float32]
    """(n, 4) centre x, centre y, width, height as parts of the picture."""

    class_id: NDArray[np.int64]
    crowd: NDArray[np.bool_]
    """Regions that hold many of one class; neither trained on nor held against a detector (COCO's `iscrowd`)."""

    area: NDArray[np.float32] | None = None
    """Pixels that each thing covers, where the data say (COCO's `area`)."""

    @classmethod
    def of(cls, path: Path, rows: Sequence[tuple[int, float, float, float, float]]) -> Example:
        """From (class id, centre x, centre y, width, height) rows."""
        table = np.array(rows, np.float32).reshape(-1, 5)
        return cls(path, table[:, 1:], table[:, 0].astype(np.int64), np.zeros(len(table), bool))


@dataclass(frozen=True)
class Dataset:
    """Pictures to train on and pictures to judge by."""

    names: tuple[str, ...]
    train: tuple[Example, ...]
    valid: tuple[Example, ...]
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        boxes = sum(len(example.boxes) for example in self.train)
        return (
            f"{len(self.train)} pictures to train on with {boxes} boxes of {len(self.names)} classes, "
            f"{len(self.valid)} to judge by"
        )


@dataclass
class Problems:
    """What is wrong with a dataset, gathered line by line."""

    lines: list[str] = field(default_factory=list)

    def add(self, place: object, what: str) -> None:
        """One more mistake; `place` is a file, and a line where there is one."""
        self.lines.append(f"{place}: {what}")

    def raise_if_any(self) -> None:
        """Raise `DatasetError` with all of them."""
        if not self.lines:
            return
        shown = self.lines[:MOST_PROBLEMS]
        if len(self.lines) > len(shown):
            shown.append(f"… and {len(self.lines) - len(shown)} more")
        count = "one mistake" if len(self.lines) == 1 else f"{len(self.lines)} mistakes"
        raise DatasetError(f"the data have {count}; mend them and start again:", *shown)


def read_dataset(
    data: Path | str,
    *,
    valid: Path | str | None = None,
    pictures: Path | str | None = None,
    names: tuple[str, ...] = (),
    progress: Callable[[Iterable[Any]], Iterable[Any]] = iter,
) -> Dataset:
    """Read labelled pictures: a Darknet `.data` file, or COCO's `.json` (with `valid` another one to judge by).

    `pictures` is the folder of a COCO file's pictures. `names`, a network's own, put COCO's categories in its order.
    Without pictures to judge by, those to train on are used, and a note says so. Every picture is opened once;
    `progress` wraps that. Raises `DatasetError` with all mistakes.
    """
    from detector.datasets.coco import read_coco
    from detector.datasets.darknet import read_darknet

    data, problems = Path(data), Problems()
    if not data.is_file():
        what = "a folder" if data.is_dir() else "no such file"
        raise DatasetError(f"{data}: {what}; expected Darknet's .data file or COCO's .json")
    notes: list[str] = []
    if data.suffix == ".json":
        folder = Path(pictures) if pictures else None
        names, train = read_coco(data, folder, names, problems)
        judged = read_coco(Path(valid), folder, names, problems)[1] if valid else []
    else:
        names, train, judged = read_darknet(data, problems)
    if not train and not problems.lines:
        problems.add(data, "no pictures to train on")
    if not judged:
        notes.append("no pictures to judge by: those trained on are used, which flatters the result")
        judged = train
    check_pictures([*train, *(judged if judged is not train else [])], problems, progress)
    problems.raise_if_any()
    return Dataset(names, tuple(train), tuple(judged), tuple(notes))


def check_pictures(
    examples: Sequence[Example], problems: Problems, progress: Callable[[Iterable[Any]], Iterable[Any]] = iter
) -> None:
    """Open every picture and read it to its end, at an eighth of its size where JPEG allows."""
    paths = list(dict.fromkeys(example.path for example in examples))
    with ThreadPoolExecutor() as pool:
        for path, reason in zip(paths, progress(pool.map(_reason, paths)), strict=False):
            if reason:
                problems.add(path, reason)


def displayed_size(path: Path) -> tuple[int, int]:
    """Width and height of a picture as it is displayed: EXIF rotation applied."""
    with Image.open(path) as image:
        turned = image.getexif().get(_ORIENTATION_TAG, 1) in _ON_ITS_SIDE
        return (image.height, image.width) if turned else (image.width, image.height)


def _reason(path: Path) -> str:
    try:
        with Image.open(path) as image:
            image.draft("RGB", (max(1, image.width // 8), max(1, image.height // 8)))
            image.load()
    except FileNotFoundError:
        return "no such picture"
    except Exception as error:  # noqa: BLE001 - decoders fail in as many ways as files can be broken
        return f"the picture does not open ({' '.join(str(error).split())})"
    return ""
