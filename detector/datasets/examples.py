"""Labelled pictures in memory, and the list of everything that is wrong with them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from detector.errors import DatasetError

MOST_PROBLEMS = 1000
"""Lines of one error message."""


@dataclass(frozen=True, eq=False)
class Example:
    """A picture and its labelled boxes."""

    path: Path
    boxes: NDArray[np.float32]
    """(n, 4) centre x, centre y, width, height as fractions of the picture."""

    class_id: NDArray[np.int64]
    crowd: NDArray[np.bool_]
    """Regions that hold many objects of one class (COCO's `iscrowd`): ignored in training and in evaluation."""

    area: NDArray[np.float32] | None = None
    """Pixels that each object covers, where the labels say (COCO's `area`)."""

    labelled: bool = True
    """False where the picture has no label file at all; it then counts as a picture without objects."""

    size: tuple[int, int] | None = None
    """Width and height of the picture in pixels, where the labels say; the picture's own must agree."""

    @classmethod
    def from_rows(
        cls, path: Path, rows: Sequence[tuple[int, float, float, float, float]], *, labelled: bool = True
    ) -> Example:
        """Make one from (class id, centre x, centre y, width, height) rows."""
        table = np.array(rows, np.float32).reshape(-1, 5)
        class_id = np.array([row[0] for row in rows], np.int64)
        return cls(path, table[:, 1:], class_id, np.zeros(len(table), bool), labelled=labelled)


@dataclass(frozen=True)
class Dataset:
    """Class names, pictures to train on and pictures to validate on."""

    names: tuple[str, ...]
    train: tuple[Example, ...]
    valid: tuple[Example, ...]
    test: tuple[Example, ...] = ()
    """Pictures set aside for a last measurement, where the labels name any."""

    notes: tuple[str, ...] = ()
    """Remarks for the user, a sentence each."""

    def __str__(self) -> str:
        boxes = sum(len(example.boxes) for example in self.train)
        return (
            f"{len(self.train)} training pictures with {boxes} boxes of {len(self.names)} classes, "
            f"{len(self.valid)} validation pictures"
        )


@dataclass(frozen=True)
class Splits:
    """What a reader finds: class names and the pictures of each split."""

    names: tuple[str, ...]
    train: list[Example] = field(default_factory=list)
    valid: list[Example] = field(default_factory=list)
    test: list[Example] = field(default_factory=list)

    def of(self, split: str) -> list[Example]:
        """The pictures of `train`, `valid` or `test`."""
        return {"train": self.train, "valid": self.valid, "test": self.test}[split]


@dataclass
class Problems:
    """The errors found in a dataset so far."""

    lines: list[str] = field(default_factory=list)
    clip: bool = False
    """Clip boxes that leave their picture instead of reporting them."""

    clipped: int = 0
    """Boxes that were clipped."""

    def add(self, place: object, what: str) -> None:
        """Add an error; `place` is a file, with a line number where there is one."""
        self.lines.append(f"{place}: {what}")

    def raise_if_any(self) -> None:
        """Raise `DatasetError` that lists them all."""
        if not self.lines:
            return
        shown = self.lines[:MOST_PROBLEMS]
        if len(self.lines) > len(shown):
            shown.append(f"… and {len(self.lines) - len(shown)} more")
        count = "one error" if len(self.lines) == 1 else f"{len(self.lines)} errors"
        raise DatasetError(f"the dataset has {count} that must be corrected first:", *shown)
