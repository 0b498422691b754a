"""Weigh classes: rare ones more, or as a file says."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from detector.datasets.examples import Dataset
from detector.datasets.text import read_text
from detector.errors import SettingsError

MOST_WEIGHT = 4.0
"""`auto` gives no class more than this times the weight of an average one, and none less than its inverse."""

_LARGEST = 1000.0


def class_weights(choice: str, dataset: Dataset) -> tuple[float, ...]:
    """Return a weight for each class of a dataset; none for `none`.

    `auto` is the inverse square root of a class's number of training boxes, such that the mean over all boxes is 1. Any
    other choice is a file with lines `NAME = WEIGHT`; classes that it does not name have a weight of 1. Raise
    `SettingsError`.
    """
    if choice == "none":
        return ()
    return _of_counts(dataset) if choice == "auto" else read_class_weights(Path(choice), dataset.names)


def read_class_weights(path: Path, names: Sequence[str]) -> tuple[float, ...]:
    """Read a file of weights. Raise `SettingsError` with the line of a mistake."""
    try:
        text = read_text(path)
    except FileNotFoundError:
        raise SettingsError(
            f"{path}: no such file; expected --class-weights auto, none, or a file with lines NAME = WEIGHT"
        ) from None
    found: dict[str, float] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        place = f"{path}, line {number}"
        name, equals, value = (part.strip() for part in line.rpartition("="))
        if not equals:
            raise SettingsError(f"{place}: {line.strip()[:80]!r}; expected NAME = WEIGHT, such as bicycle = 2.5")
        if name not in names:
            raise SettingsError(f"{place}: {name[:80]!r} is not a class of the dataset; expected {_listed(names)}")
        if name in found:
            raise SettingsError(f"{place}: {name} has a weight already, {found[name]:g}; remove one of them")
        found[name] = _weight(value, place)
    return tuple(found.get(name, 1.0) for name in names)


def weights_note(weights: Sequence[float], names: Sequence[str]) -> str:
    """Return the smallest and the largest weight in a sentence; empty without weights."""
    if not weights:
        return ""
    low, high = int(np.argmin(weights)), int(np.argmax(weights))
    return f"class weights from {weights[low]:.2f} ({names[low]}) to {weights[high]:.2f} ({names[high]})"


def _of_counts(dataset: Dataset) -> tuple[float, ...]:
    kinds = np.concatenate([example.class_id[~example.crowd] for example in dataset.train])
    counts = np.bincount(kinds, minlength=len(dataset.names))
    there = counts > 0
    weights = np.ones(len(counts))
    if not there.any():
        return tuple(weights.tolist())
    weights[there] = np.clip(np.sqrt(counts[there].mean() / counts[there]), 1 / MOST_WEIGHT, MOST_WEIGHT)
    weights[there] *= counts.sum() / (weights * counts).sum()
    return tuple(weights.tolist())


def _weight(text: str, place: str) -> float:
    try:
        weight = float(text)
    except ValueError:
        weight = math.nan
    if not 0 < weight <= _LARGEST:
        raise SettingsError(f"{place}: weight {text[:40]!r} is out of range; expected above 0, at most {_LARGEST:g}")
    return weight


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:10]) + (", …" if len(names) > 10 else "")
