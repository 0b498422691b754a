"""How to train: one frozen dataclass, which the command line is built from too."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any, Literal, get_args, get_type_hints

from detector.errors import SettingsError

Optimiser = Literal["sgd", "adam"]
Schedule = Literal["cosine", "darknet"]


@dataclass(frozen=True)
class TrainSettings:
    """Choices of a training; each field's `help` says what it does. Raises `SettingsError` for one out of range."""

    epochs: int = field(default=100, metadata={"help": "how often every picture is seen"})
    batch: int = field(default=16, metadata={"help": "pictures per step"})
    optimiser: Optimiser = field(default="adam", metadata={"help": "sgd is Darknet's, with the cfg's momentum"})
    learning_rate: float = field(default=1e-3, metadata={"help": "after the warm-up"})
    final_rate: float = field(default=0.02, metadata={"help": "what part of the learning rate cosine ends with"})
    schedule: Schedule = field(
        default="cosine", metadata={"help": "how the rate falls; darknet takes steps and scales from the cfg"}
    )
    warm_up: int = field(default=200, metadata={"help": "steps in which the rate rises"})
    decay: float = field(default=5e-4, metadata={"help": "how strongly weights are drawn towards 0"})
    average: float = field(default=0.999, metadata={"help": "decay of the weights' moving average; 0 for none"})
    scale: float = field(default=0.3, metadata={"help": "how far pictures are enlarged, shrunk and cropped"})
    flip: float = field(default=0.5, metadata={"help": "how many pictures are mirrored, 0 to 1"})
    colour: float = field(default=0.4, metadata={"help": "how far hue, saturation and brightness vary"})
    mosaic: float = field(default=0.0, metadata={"help": "how many pictures are put together from four, 0 to 1"})
    freeze: int = field(default=0, metadata={"help": "this many of the cfg's first layers keep their weights"})
    judge_every: int = field(default=5, metadata={"help": "epochs between two measures of average precision"})
    seed: int = field(default=0, metadata={"help": "the same seed gives the same pictures in the same order"})

    def __post_init__(self) -> None:
        for item in fields(self):
            value = getattr(self, item.name)
            words = get_args(get_type_hints(TrainSettings)[item.name])
            if words and value not in words:
                raise SettingsError(f"{item.name} {value!r} is not known; expected one of {', '.join(words)}")
        for name in ("epochs", "batch", "judge_every"):
            if getattr(self, name) < 1:
                raise SettingsError(f"{name} {getattr(self, name)} is out of range; expected at least 1")
        for name in ("flip", "mosaic", "average", "final_rate", "colour"):
            if not 0 <= getattr(self, name) <= 1:
                raise SettingsError(f"{name} {getattr(self, name)} is out of range; expected 0 to 1")
        if not 0 <= self.scale < 1:
            raise SettingsError(f"scale {self.scale} is out of range; expected 0 to below 1")
        if not self.learning_rate > 0 or min(self.warm_up, self.decay, self.freeze, self.seed) < 0:
            raise SettingsError("learning_rate must be above 0; warm_up, decay, freeze and seed at least 0")

    def as_json(self) -> dict[str, Any]:
        """A JSON-ready object."""
        return {item.name: getattr(self, item.name) for item in fields(self)}
