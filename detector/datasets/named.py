"""Hold labels that name their classes, with boxes in pixels, and number the classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from detector.datasets.boxes import checked_edges
from detector.datasets.examples import Example, Problems, Splits
from detector.heads.boxes import to_centres

SLACK_PIXELS = 1.0
"""Pixels by which a box may exceed its image: tools disagree on whether pixels are counted from 0 or from 1."""

SPLIT_NAMES = {
    "": "train",
    "default": "train",
    "train": "train",
    "training": "train",
    "trainval": "train",
    "val": "valid",
    "valid": "valid",
    "validation": "valid",
    "test": "test",
}
"""The names of the training, validation and test images in various formats."""


@dataclass(frozen=True)
class NamedBox:
    """A box in pixels of its image."""

    name: str
    left: float
    top: float
    right: float
    bottom: float
    place: str
    """Its position in the file, for messages."""


@dataclass(frozen=True)
class NamedPicture:
    """An image with its boxes."""

    path: Path
    width: int
    height: int
    split: str = "train"
    boxes: list[NamedBox] = field(default_factory=list)


def to_splits(
    pictures: Sequence[NamedPicture], declared: Sequence[str], wanted: tuple[str, ...], problems: Problems
) -> Splits:
    """Number the classes, and check the boxes; invalid ones are added to `problems` and left out.

    Class ids follow `wanted`, a network's names, if every class is among them; otherwise `declared`, the order given by
    the labels; otherwise the alphabet.
    """
    used = {box.name for picture in pictures for box in picture.boxes}
    declared = tuple(dict.fromkeys(declared))
    if wanted and used | set(declared) <= set(wanted):
        names = wanted
    elif declared:
        names = (*declared, *sorted(used - set(declared)))
    else:
        names = tuple(sorted(used))
    ids = {name: number for number, name in enumerate(names)}
    splits = Splits(names)
    for picture in pictures:
        splits.of(picture.split).append(_example(picture, ids, problems))
    return splits


def _example(picture: NamedPicture, ids: dict[str, int], problems: Problems) -> Example:
    width, height = picture.width, picture.height
    edges, kinds = [], []
    for box in picture.boxes:
        shown = f"({box.left:g}, {box.top:g}, {box.right:g}, {box.bottom:g})"
        parts = box.left / width, box.top / height, box.right / width, box.bottom / height
        slack = SLACK_PIXELS / min(width, height)
        checked = checked_edges(parts, box.place, shown, problems, slack=slack)
        if checked is not None:
            edges.append(checked)
            kinds.append(ids[box.name])
    boxes = to_centres(np.array(edges, np.float64).reshape(-1, 4))
    class_id = np.array(kinds, np.int64)
    return Example(picture.path, boxes, class_id, np.zeros(len(edges), bool), size=(width, height))
