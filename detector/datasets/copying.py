"""Copy images to a new folder, for the writers of all formats."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from convert.files import make_folder, write_whole
from detector.datasets.examples import Dataset, Example
from detector.datasets.named import NamedBox
from detector.datasets.pictures import size_of
from detector.errors import OutputError
from detector.heads.boxes import to_edges

SPLITS = ("train", "valid", "test")
Progress = Callable[[Iterable[Any]], Iterable[Any]]


@dataclass(frozen=True)
class CopiedPicture:
    """An image in its new folder."""

    split: str
    """`train`, `valid` or `test`."""

    path: PurePosixPath
    """Relative to the new folder."""

    width: int
    """Width of the image as displayed, in pixels; so is `height`."""

    height: int
    example: Example

    def boxes(self, names: tuple[str, ...]) -> list[NamedBox]:
        """Its boxes in pixels."""
        size = np.array([self.width, self.height] * 2, np.float64)
        edges = to_edges(self.example.boxes.astype(np.float64)) * size
        kinds = self.example.class_id.tolist()
        return [
            NamedBox(names[kind], left, top, right, bottom, str(self.path))
            for kind, (left, top, right, bottom) in zip(kinds, edges.tolist(), strict=True)
        ]


def check_new_folder(folder: Path, *, inputs: Iterable[Path] = ()) -> None:
    """Raise `OutputError` unless `folder` is new or empty: a dataset is never changed in place."""
    try:
        taken = folder.exists() and (not folder.is_dir() or any(folder.iterdir()))
    except OSError as error:
        raise OutputError(f"{folder}: cannot be written: {error.strerror or error}") from None
    if taken:
        raise OutputError(f"{folder}: exists already; name a new folder")


def copy_pictures(dataset: Dataset, folder: Path, place: str, progress: Progress = iter) -> list[CopiedPicture]:
    """Copy the images to `place` within `folder`, where `{split}` stands for the split's name.

    The second of two images with the same name gets a number. An image that is in two splits is copied twice.
    """
    copied: list[CopiedPicture] = []
    taken: set[PurePosixPath] = set()
    chosen = [(split, example) for split in SPLITS for example in _examples(dataset, split)]
    for split, example in progress(chosen):
        base = PurePosixPath(place.format(split=split)) / example.path.name
        path, number = base, 2
        # Labels have the image's name with another suffix, so a.jpg and a.png would share one label file.
        while path.with_suffix("") in taken:
            path, number = base.with_name(f"{base.stem}-{number}{base.suffix}"), number + 1
        taken.add(path.with_suffix(""))
        make_folder(folder / path.parent)
        write_whole(folder / path, example.path.read_bytes())
        copied.append(CopiedPicture(split, path, *size_of(example), example))
    return copied


def write_text(path: Path, text: str) -> None:
    """Write a text file as UTF-8."""
    write_whole(path, text.encode("utf-8", "surrogateescape"))


def _examples(dataset: Dataset, split: str) -> tuple[Example, ...]:
    return {"train": dataset.train, "valid": dataset.valid, "test": dataset.test}[split]
