"""A head: what a detection layer's raw output means, as far as the cfg says it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

KINDS = ("Gaussian_yolo", "detection", "region", "yolo")
"""The cfg sections that are heads."""

NMS_KINDS = ("default", "diounms", "greedynms")
"""The kinds of suppression that a cfg may name."""


@dataclass(frozen=True)
class Head:
    """One detection layer, as written into the model file and read by the decoder."""

    kind: str
    """`yolo`, `Gaussian_yolo`, `region` (YOLOv2) or `detection` (YOLOv1), as the cfg's section is called."""

    layer: int
    """Its index in the cfg."""

    stride: int
    """Network input pixels per grid cell."""

    anchors: tuple[tuple[float, float], ...]
    """Width and height in network input pixels of each anchor that this head uses (its mask applied).

    `region`'s are multiplied by the stride; `detection` has none, so each of its boxes has the whole input's size.
    """

    classes: int
    scale_x_y: float = 1.0
    """Stretches the sigmoid of x and y about its middle, so that cell borders can be reached."""

    new_coords: bool = False
    """Whether the network's own logistic has been applied and sizes are `(2 t)²` rather than `exp(t)`."""

    nms_kind: str = "default"
    """`default` (IoU), `greedynms` or `diounms` (both IoU less a distance term), as the cfg says."""

    beta_nms: float = 0.6
    """Exponent of `diounms`'s distance term."""

    yolo_point: str = "center"
    """What x and y of `Gaussian_yolo` are of a box: its `center`, `left_top` or `right_bottom`."""

    softmax: bool = False
    """Whether the classes of `region` or `detection` go through a softmax."""

    square_root: bool = False
    """Whether `detection` gives the square roots of width and height."""

    tree: tuple[int, ...] = ()
    """Each class's parent in the hierarchy of YOLO9000's `region`, -1 for none; empty without a hierarchy."""

    tree_file: str = ""
    """The file that the cfg names for the hierarchy; with an empty `tree` it was not there at the conversion."""

    @property
    def channels(self) -> int:
        """Channels of the head; per anchor x, y, width, height, objectness and the classes, but for `detection`."""
        if self.kind == "detection":
            return self.classes + len(self.anchors) * 5
        return len(self.anchors) * (self.numbers_per_box + self.classes)

    @property
    def numbers_per_box(self) -> int:
        """How many numbers stand before the classes: 5, and 4 uncertainties more for `Gaussian_yolo`."""
        return 9 if self.kind == "Gaussian_yolo" else 5

    def check(self) -> None:
        """Raise `ValueError` for what no cfg could have said."""
        for name, least in (("layer", 0), ("stride", 1), ("classes", 1)):
            value = getattr(self, name)
            if not isinstance(value, int) or value < least:
                raise ValueError(f"{name} {value!r} of a head is less than {least} or no integer")
        if self.nms_kind not in NMS_KINDS:
            raise ValueError(f"nms_kind {self.nms_kind!r} is not known; expected one of {', '.join(NMS_KINDS)}")
        if not self.anchors or min(min(pair) for pair in self.anchors) <= 0:
            raise ValueError(f"layer {self.layer} has no anchors, or one without a size")

    def as_json(self) -> dict[str, Any]:
        """A JSON-ready object."""
        return {**asdict(self), "anchors": [list(anchor) for anchor in self.anchors], "tree": list(self.tree)}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Head:
        """The inverse of `as_json`; `TypeError`, `KeyError` or `ValueError` when it does not fit."""
        if data["kind"] not in KINDS:
            raise ValueError(f"a head of kind {data['kind']!r} is not known; update yolo3")
        anchors = tuple((float(width), float(height)) for width, height in data["anchors"])
        return cls(**{**data, "anchors": anchors, "tree": tuple(map(int, data.get("tree", ())))})
