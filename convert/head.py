"""A head: what a detection layer's raw output means, as far as the cfg says it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Head:
    """One detection layer, as written into the model file and read by the decoder."""

    kind: str
    """`yolo`; other Darknet heads have names of their own."""

    layer: int
    """Its index in the cfg."""

    stride: int
    """Network input pixels per grid cell."""

    anchors: tuple[tuple[float, float], ...]
    """Width and height in network input pixels of each anchor that this head uses (its mask applied)."""

    classes: int
    scale_x_y: float = 1.0
    """Stretches the sigmoid of x and y about its middle, so that cell borders can be reached."""

    new_coords: bool = False
    """Whether the network's own logistic has been applied and sizes are `(2 t)²` rather than `exp(t)`."""

    nms_kind: str = "default"
    """`default` (IoU), `greedynms` or `diounms` (both IoU less a distance term), as the cfg says."""

    beta_nms: float = 0.6
    """Exponent of `diounms`'s distance term."""

    @property
    def channels(self) -> int:
        """Channels of the head: per anchor x, y, width, height, objectness and the classes."""
        return len(self.anchors) * (5 + self.classes)

    def as_json(self) -> dict[str, Any]:
        """A JSON-ready object."""
        return {**asdict(self), "anchors": [list(anchor) for anchor in self.anchors]}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Head:
        """The inverse of `as_json`; `TypeError`, `KeyError` or `ValueError` when it does not fit."""
        return cls(**{**data, "anchors": tuple((float(w), float(h)) for w, h in data["anchors"])})
