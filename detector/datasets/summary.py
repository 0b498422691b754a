"""Summarise a dataset: counts, sizes, duplicates, and images that are in two splits."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from convert.files import file_sha256
from detector.datasets.examples import Dataset, Example
from detector.datasets.pictures import size_of

_SHOWN = 5
"""Maximum duplicates that are listed by name."""


@dataclass(frozen=True)
class SplitSummary:
    """Counts of one split."""

    pictures: int
    without_boxes: int
    without_labels: int
    """Number of images without a label file; they are included in those without boxes."""

    boxes: tuple[int, ...]
    """Per class."""


@dataclass(frozen=True)
class DatasetSummary:
    """Counts, sizes and duplicates of a dataset."""

    names: tuple[str, ...]
    splits: dict[str, SplitSummary]
    sizes: tuple[tuple[int, int], ...]
    """Width and height of the smallest, the median and the largest image, by area."""

    box_sides: tuple[float, float, float]
    """Square root of a box's fraction of its image: the tenth, median and ninetieth percentile."""

    duplicates: tuple[tuple[Path, ...], ...]
    """Groups of images with the same bytes, within one split."""

    leaks: tuple[tuple[Path, ...], ...]
    """Groups of images with the same bytes in several splits."""

    def lines(self) -> list[str]:
        """Return the summary as text."""
        lines = _aligned(self._rows())
        if self.sizes:
            sizes = ", ".join(f"{width}x{height}" for width, height in self.sizes)
            lines.append(f"sizes: {sizes} (smallest, median, largest)")
        if any(self.box_sides):
            sides = ", ".join(f"{side:.1%}" for side in self.box_sides)
            lines.append(f"box sides: {sides} of the picture's (tenth, median and ninetieth percentile)")
        for what, groups in (("the same in one split", self.duplicates), ("the same in several splits", self.leaks)):
            lines.append(f"pictures that are {what}: {sum(map(len, groups))}")
            lines += ["  " + " = ".join(map(str, group)) for group in groups[:_SHOWN]]
            if len(groups) > _SHOWN:
                lines.append(f"  … and {len(groups) - _SHOWN} more")
        return lines

    def _rows(self) -> list[list[str]]:
        """Return a row for each count, with a column for each split."""
        splits = list(self.splits.values())
        return [
            ["", *self.splits],
            ["pictures", *(str(split.pictures) for split in splits)],
            ["  without objects", *(str(split.without_boxes) for split in splits)],
            ["  without a label file", *(str(split.without_labels) for split in splits)],
            ["boxes", *(str(sum(split.boxes)) for split in splits)],
            *([f"  {name}", *(str(split.boxes[number]) for split in splits)] for number, name in enumerate(self.names)),
        ]


def summarise(dataset: Dataset, *, progress: Callable[[Iterable[Any]], Iterable[Any]] = iter) -> DatasetSummary:
    """Summarise a dataset. Images with as many bytes as another are read whole; `progress` wraps that loop."""
    parts = {"train": dataset.train, "valid": dataset.valid, "test": dataset.test}
    parts = {name: part for name, part in parts.items() if part}
    everything = [example for part in parts.values() for example in part]
    unique = {example.path: example for example in everything}
    sizes = sorted((size_of(example) for example in unique.values()), key=lambda size: size[0] * size[1])
    chosen = [sizes[0], sizes[len(sizes) // 2], sizes[-1]] if sizes else []
    areas = np.concatenate([example.boxes[:, 2] * example.boxes[:, 3] for example in everything] or [np.zeros(0)])
    sides = np.sqrt(np.percentile(areas, [10, 50, 90])) if len(areas) else np.zeros(3)
    duplicates, leaks = _same(parts, _digests(unique, progress))
    return DatasetSummary(
        dataset.names,
        {name: _count(part, len(dataset.names)) for name, part in parts.items()},
        tuple(chosen),
        (float(sides[0]), float(sides[1]), float(sides[2])),
        duplicates,
        leaks,
    )


def _count(examples: Sequence[Example], classes: int) -> SplitSummary:
    kinds = np.concatenate([example.class_id for example in examples] or [np.zeros(0, np.int64)])
    return SplitSummary(
        len(examples),
        sum(not len(example.boxes) for example in examples),
        sum(not example.labelled for example in examples),
        tuple(np.bincount(kinds, minlength=classes).tolist()),
    )


def _digests(paths: Iterable[Path], progress: Callable[[Iterable[Any]], Iterable[Any]]) -> dict[Path, str]:
    """Return the digest of each image that has as many bytes as another one."""
    by_bytes: dict[int, list[Path]] = defaultdict(list)
    for path in paths:
        by_bytes[path.stat().st_size].append(path)
    chosen = [path for same in by_bytes.values() if len(same) > 1 for path in same]
    with ThreadPoolExecutor() as pool:
        return dict(zip(chosen, progress(pool.map(file_sha256, chosen)), strict=True))


def _same(
    parts: dict[str, tuple[Example, ...]], digests: dict[Path, str]
) -> tuple[tuple[tuple[Path, ...], ...], tuple[tuple[Path, ...], ...]]:
    """Return groups of images with the same bytes: within one split, and in several."""
    groups: dict[str, list[tuple[str, Path]]] = defaultdict(list)
    for name, part in parts.items():
        for example in part:
            groups[digests.get(example.path, str(example.path))].append((name, example.path))
    several = [group for group in groups.values() if len(group) > 1]
    within = [group for group in several if len({name for name, _ in group}) == 1]
    across = [group for group in several if len({name for name, _ in group}) > 1]
    return (
        tuple(tuple(path for _, path in group) for group in within),
        tuple(tuple(path for _, path in group) for group in across),
    )


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join([row[0].ljust(widths[0]), *(cell.rjust(w) for cell, w in zip(row[1:], widths[1:], strict=True))])
        for row in rows
    ]
