"""Split images into training and validation images."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import replace

import numpy as np

from detector.datasets.examples import Dataset, Example
from detector.datasets.forms import Group
from detector.errors import DatasetError


def split_dataset(dataset: Dataset, fraction: float, *, group: Group = "none", seed: int = 0) -> Dataset:
    """Choose training images, about this fraction, and validation images from both of the dataset's lists.

    Test images are unchanged. Raise `DatasetError` if a list would be empty.
    """
    if not 0 < fraction < 1:
        raise DatasetError(f"split {fraction} is out of range; expected above 0 and below 1, such as 0.8")
    unique = {example.path: example for example in (*dataset.train, *dataset.valid)}
    groups: dict[str, list[Example]] = defaultdict(list)
    for example in unique.values():
        groups[_group(example, group)].append(example)
    names = sorted(groups)
    wanted = fraction * len(unique)
    train: list[Example] = []
    valid: list[Example] = []
    for number in np.random.default_rng(seed).permutation(len(names)).tolist():
        own = groups[names[number]]
        # A group goes to training as long as that brings the number of training images closer to the requested one.
        (train if abs(len(train) + len(own) - wanted) <= abs(len(train) - wanted) else valid).extend(own)
    if not train or not valid:
        raise DatasetError(f"{len(names)} groups of pictures cannot be split at {fraction}; expected pictures in both")
    order = {path: place for place, path in enumerate(unique)}
    for part in (train, valid):
        part.sort(key=lambda example: order[example.path])
    return replace(dataset, train=tuple(train), valid=tuple(valid))


def _group(example: Example, group: Group) -> str:
    if group == "folder":
        return str(example.path.parent)
    if group == "prefix":
        return str(example.path.parent / re.sub(r"\d+\D*$", "", example.path.stem))
    return str(example.path)
