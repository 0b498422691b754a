"""What a classifier says of a picture: a probability for each class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from detector.errors import SettingsError


class RankedClass(NamedTuple):
    """One class with its probability."""

    class_id: int
    name: str
    probability: float


@dataclass(frozen=True, eq=False)
class Classification:
    """The probabilities of one picture."""

    probabilities: NDArray[np.float32]
    """(classes,), 0 to 1."""

    names: tuple[str, ...]
    """Class names, one for each probability."""

    def __post_init__(self) -> None:
        if self.probabilities.shape != (len(self.names),):
            raise ValueError(f"{len(self.names)} names for probabilities of shape {self.probabilities.shape}")

    def top(self, count: int = 5) -> list[RankedClass]:
        """The `count` most probable classes, best first; equal ones in the order of their ids."""
        order = np.argsort(-self.probabilities, kind="stable")[:count].tolist()
        return [RankedClass(index, self.names[index], float(self.probabilities[index])) for index in order]

    def as_records(self, count: int = 5) -> list[dict[str, object]]:
        """One JSON-ready object for each of the `count` best classes; probabilities to six places."""
        return [{**one._asdict(), "probability": round(one.probability, 6)} for one in self.top(count)]

    def __repr__(self) -> str:
        return f"Classification({', '.join(f'{one.name} {one.probability:.3f}' for one in self.top())})"


AVERAGE = "average"
"""What the average of several models is called in tables and plots."""


def with_average(by_model: Mapping[str, Classification]) -> dict[str, Classification]:
    """The classifications of one picture by several models, in one order of classes, and their average first.

    Networks from Darknet and from Keras number ImageNet's classes differently, so classes are matched by name; of two
    classes with one name (ImageNet has two cranes) the first is matched with the first. The order is that of the first
    model. One model comes back alone. Raises `SettingsError` when the models' classes differ.
    """
    models = iter(by_model.items())
    first_name, first = next(models)
    keys = _keys(first.names)
    aligned = {first_name: first}
    for name, one in models:
        places = {key: index for index, key in enumerate(_keys(one.names))}
        if places.keys() != set(keys):
            raise SettingsError(
                f"{name} has other classes than {first_name} ({len(one.names)}, not the same {len(keys)}); "
                "models are compared on the same classes only, so classify with one at a time"
            )
        aligned[name] = Classification(one.probabilities[[places[key] for key in keys]], first.names)
    if len(aligned) == 1:
        return aligned
    mean = np.stack([one.probabilities for one in aligned.values()]).mean(axis=0)
    return {AVERAGE: Classification(mean, first.names), **aligned}


def _keys(names: Sequence[str]) -> list[tuple[str, int]]:
    """Each name with how many of the same came before it."""
    seen: dict[str, int] = {}
    keys = []
    for name in names:
        keys.append((name, seen.get(name, 0)))
        seen[name] = seen.get(name, 0) + 1
    return keys
