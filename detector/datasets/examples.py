"""Hold labelled images in memory, and collect everything that is wrong with them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from detector.errors import DatasetError

MOST_PROBLEMS = 1000
"""Maximum lines of an error message."""


@dataclass(frozen=True, eq=False)
class Example:
    """An image and its labelled boxes."""

    path: Path
    boxes: NDArray[np.float32]
    """(n, 4) centre x, centre y, width, height as fractions of the image."""

    class_id: NDArray[np.int64]
    crowd: NDArray[np.bool_]
    """Regions with many objects of one class (COCO's `iscrowd`): ignored in training and in evaluation."""

    area: NDArray[np.float32] | None = None
    """Pixels that each object covers, if the labels state them (COCO's `area`)."""

    labelled: bool = True
    """False if the image has no label file at all; it then counts as an image without objects."""

    size: tuple[int, int] | None = None
    """Width and height of the image in pixels as displayed: those that the labels state, which the image's own must
    match, and the image's own once it has been checked."""

    @classmethod
    def from_rows(
        cls, path: Path, rows: Sequence[tuple[int, float, float, float, float]], *, labelled: bool = True
    ) -> Example:
        """Make an example from (class id, centre x, centre y, width, height) rows."""
        table = np.array(rows, np.float32).reshape(-1, 5)
        return cls(path, table[:, 1:], table[:, 0].astype(np.int64), np.zeros(len(table), bool), labelled=labelled)


@dataclass(frozen=True)
class Dataset:
    """Class names, training images and validation images."""

    names: tuple[str, ...]
    train: tuple[Example, ...]
    valid: tuple[Example, ...]
    test: tuple[Example, ...] = ()
    """Images set aside for a final measurement, if the labels name any."""

    notes: tuple[str, ...] = ()
    """Notes for the user, one sentence each."""

    def __str__(self) -> str:
        boxes = sum(len(example.boxes) for example in self.train)
        return (
            f"{len(self.train)} training pictures with {boxes} boxes of {len(self.names)} classes, "
            f"{len(self.valid)} validation pictures"
        )


@dataclass(frozen=True)
class Splits:
    """The result of a reader: class names and the images of each split."""

    names: tuple[str, ...]
    train: list[Example] = field(default_factory=list)
    valid: list[Example] = field(default_factory=list)
    test: list[Example] = field(default_factory=list)

    def of(self, split: str) -> list[Example]:
        """Return the images of `train`, `valid` or `test`."""
        return {"train": self.train, "valid": self.valid, "test": self.test}[split]


@dataclass
class Problems:
    """The errors found in a dataset so far."""

    lines: list[str] = field(default_factory=list)
    clip: bool = False
    """Clip boxes that exceed their image instead of reporting them."""

    clipped: int = 0
    """Number of boxes that were clipped."""

    def add(self, place: object, what: str) -> None:
        """Add an error; `place` is a file, with a line number if there is one."""
        self.lines.append(f"{place}: {what}")

    def raise_if_any(self) -> None:
        """Raise `DatasetError` with all errors."""
        if not self.lines:
            return
        shown = self.lines[:MOST_PROBLEMS]
        if len(self.lines) > len(shown):
            shown.append(f"… and {len(self.lines) - len(shown)} more")
        count = "one error" if len(self.lines) == 1 else f"{len(self.lines)} errors"
        raise DatasetError(f"the dataset has {count} that must be corrected first:", *shown)
