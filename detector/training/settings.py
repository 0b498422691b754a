"""Define the training settings: one frozen dataclass, from which the command line's options are built too."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal, get_args, get_origin, get_type_hints

from detector.errors import SettingsError

Optimiser = Literal["sgd", "adam"]
Schedule = Literal["cosine", "darknet"]

FREE_ON_RESUME = ("epochs", "judge_every", "patience")
"""Settings that may change when a run is resumed."""

_BEFORE = {"mosaic_fade": 0.0}
"""What held before a setting existed, where its default is another."""


RATE, GENTLE_RATE = 2e-3, 1e-3
"""Learning rates from random and from trained weights."""

LEAST_BATCH, MOST_BATCH = 2, 16
STEPS_WANTED = 50
"""Number of steps that an epoch should have, as far as these bounds of the batch allow."""


@dataclass(frozen=True)
class TrainSettings:
    """Options of a training run; each field's `help` describes it. Raise `SettingsError` for a value out of range."""

    epochs: int = field(default=100, metadata={"help": "passes over the training pictures"})
    batch: int = field(
        default=0, metadata={"help": "pictures per step; 0: 16, and fewer where an epoch would have less than 50 steps"}
    )
    optimiser: Optimiser = field(default="adam", metadata={"help": "sgd is Darknet's, with the cfg's momentum"})
    learning_rate: float = field(
        default=0.0,
        metadata={"help": "highest learning rate, after the warm-up; 0: 0.002 from random weights, otherwise 0.001"},
    )
    final_rate: float = field(
        default=0.02, metadata={"help": "fraction of the learning rate at the end of the cosine schedule"}
    )
    schedule: Schedule = field(
        default="cosine", metadata={"help": "how the rate falls; darknet takes steps and scales from the cfg"}
    )
    warm_up: int = field(
        default=200, metadata={"help": "steps in which the rate rises; at most a tenth of the training"}
    )
    decay: float = field(default=5e-4, metadata={"help": "weight decay"})
    average: float = field(
        default=0.999, metadata={"help": "decay of the exponential moving average of the weights; 0 for none"}
    )
    scale: float = field(default=0.3, metadata={"help": "random enlarging, shrinking and cropping, 0 to below 1"})
    flip: float = field(default=0.5, metadata={"help": "fraction of pictures mirrored, 0 to 1"})
    colour: float = field(default=0.4, metadata={"help": "random change of hue, saturation and brightness, 0 to 1"})
    mosaic: float = field(default=0.0, metadata={"help": "fraction of pictures composed of four, 0 to 1"})
    mosaic_fade: float = field(
        default=0.3, metadata={"help": "last fraction of the epochs, in which --mosaic falls to 0"}
    )
    copy_paste: float = field(
        default=0.0, metadata={"help": "fraction of pictures into which objects of another are pasted, 0 to 1"}
    )
    class_weights: str = field(
        default="none",
        metadata={"help": "auto gives rare classes more weight; or a file with a line NAME = WEIGHT for each class"},
    )
    label_smoothing: float | None = field(
        default=None, metadata={"help": "class targets of 1 - E/2 and E/2 instead of 1 and 0; default: the cfg's"}
    )
    multi_scale: bool = field(
        default=False, metadata={"help": "train on inputs of several sizes, as random=1 does in Darknet"}
    )
    freeze: int = field(default=0, metadata={"help": "number of the cfg's first layers that keep their weights"})
    judge_every: int = field(default=5, metadata={"help": "epochs between two measurements of average precision"})
    patience: int = field(
        default=0, metadata={"help": "stop after this many epochs without a better average precision; 0 for never"}
    )
    seed: int = field(default=0, metadata={"help": "the same seed gives the same pictures in the same order"})

    def __post_init__(self) -> None:
        for item in fields(self):
            value = getattr(self, item.name)
            hint = get_type_hints(TrainSettings)[item.name]
            words = get_args(hint) if get_origin(hint) is Literal else ()
            if words and value not in words:
                raise SettingsError(f"{item.name} {value!r} is not known; expected one of {', '.join(words)}")
        for name in ("epochs", "judge_every"):
            if getattr(self, name) < 1:
                raise SettingsError(f"{name} {getattr(self, name)} is out of range; expected at least 1")
        for name in ("flip", "mosaic", "mosaic_fade", "copy_paste", "average", "final_rate", "colour"):
            if not 0 <= getattr(self, name) <= 1:
                raise SettingsError(f"{name} {getattr(self, name)} is out of range; expected 0 to 1")
        for name, value in (("scale", self.scale), ("label_smoothing", self.label_smoothing or 0.0)):
            if not 0 <= value < 1:
                raise SettingsError(f"{name} {value} is out of range; expected 0 to below 1")
        if not self.class_weights:
            raise SettingsError("class_weights is empty; expected auto, none or a file")
        for name in ("learning_rate", "batch", "warm_up", "decay", "freeze", "patience", "seed"):
            if not getattr(self, name) >= 0:
                raise SettingsError(f"{name} {getattr(self, name)} is out of range; expected at least 0")

    def for_run(self, pictures: int, *, trained: bool = False) -> TrainSettings:
        """Return the settings with the batch and the learning rate meant for this many training images.

        `trained` is whether the run starts from trained weights. Those need smaller steps. From random weights a
        hundred images are too few to learn from in batches of 16, because the weights change once per batch.
        """
        batch = self.batch or min(MOST_BATCH, max(LEAST_BATCH, pictures // STEPS_WANTED))
        return replace(self, batch=batch, learning_rate=self.learning_rate or (GENTLE_RATE if trained else RATE))

    def mosaic_fraction(self, epoch: int) -> float:
        """Return the fraction of mosaics in an epoch, counted from 0: constant, then falling to 0 in the last one."""
        first = self.epochs * (1 - self.mosaic_fade)
        if epoch < first:
            return self.mosaic
        return self.mosaic * max(0.0, 1 - (epoch - first) / max(1.0, self.epochs - 1 - first))

    def as_json(self) -> dict[str, Any]:
        """A JSON-ready object."""
        return {item.name: getattr(self, item.name) for item in fields(self)}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> TrainSettings:
        """Return settings from their JSON form; one that is missing, as in an older file, is as it was then."""
        known = {item.name for item in fields(cls)}
        return cls(**_BEFORE | {name: value for name, value in values.items() if name in known})
