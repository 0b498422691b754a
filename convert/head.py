"""Describe a detection head: what its raw output means according to the cfg."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from itertools import chain
from typing import Any

KINDS = ("Gaussian_yolo", "detection", "region", "yolo")
"""The cfg sections that are heads."""

YOLO_POINTS = ("center", "left_top", "right_bottom")
"""The values of `yolo_point`."""

MOST_ANCHORS = 10_000
LARGEST_ANCHOR = 1e6
"""Pixels."""

LARGEST_SCALE = 100.0
"""Maximum of `scale_x_y` and `beta_nms`; 2 is the largest in use."""

NMS_KINDS = ("default", "diounms", "greedynms")
"""The kinds of non-maximum suppression that a cfg may name."""


@dataclass(frozen=True)
class Head:
    """One detection layer, as stored in the model file and read by the decoder."""

    kind: str
    """The kind of its cfg section: `yolo`, `Gaussian_yolo`, `region` (YOLOv2) or `detection` (YOLOv1)."""

    layer: int
    """Its index in the cfg."""

    stride: int
    """Network input pixels per grid cell."""

    anchors: tuple[tuple[float, float], ...]
    """Width and height in network input pixels of each anchor that this head uses (its mask applied).

    `region`'s are multiplied by the stride; `detection` has no anchors, so its boxes are relative to the whole input.
    """

    classes: int
    scale_x_y: float = 1.0
    """Stretches the sigmoid of x and y around its centre, so that box centres can reach cell borders."""

    new_coords: bool = False
    """Whether the network's own logistic has been applied and sizes are `(2 t)²` rather than `exp(t)`."""

    nms_kind: str = "default"
    """`default` (IoU), `greedynms` or `diounms` (both IoU minus a distance term), as in the cfg."""

    beta_nms: float = 0.6
    """Exponent of the distance term of `diounms`."""

    yolo_point: str = "center"
    """What the x and y of `Gaussian_yolo` refer to: a box's `center`, `left_top` or `right_bottom`."""

    softmax: bool = False
    """Whether the classes of `region` or `detection` go through a softmax."""

    square_root: bool = False
    """Whether `detection` outputs the square roots of width and height."""

    tree: tuple[int, ...] = ()
    """Each class's parent in the hierarchy of YOLO9000's `region`, -1 for none; empty without a hierarchy."""

    tree_file: str = ""
    """The hierarchy file that the cfg names; if `tree` is empty, it was missing at conversion."""

    @property
    def channels(self) -> int:
        """Channels of the head; per anchor x, y, width, height, objectness and the classes, except for `detection`."""
        if self.kind == "detection":
            return self.classes + len(self.anchors) * 5
        return len(self.anchors) * (self.numbers_per_box + self.classes)

    @property
    def numbers_per_box(self) -> int:
        """How many numbers precede the classes: 5, and 4 more uncertainties for `Gaussian_yolo`."""
        return 9 if self.kind == "Gaussian_yolo" else 5

    def check(self) -> None:
        """Raise `ValueError` for values that no cfg can result in."""
        for name, integer, least in (
            ("layer", self.layer, 0),
            ("stride", self.stride, 1),
            ("classes", self.classes, 1),
        ):
            if not is_integer(integer, least, 2**31):
                raise ValueError(f"{name} {integer!r} of a head is not an integer of at least {least}")
        for name, word, known in (
            ("kind", self.kind, KINDS),
            ("nms_kind", self.nms_kind, NMS_KINDS),
            ("yolo_point", self.yolo_point, YOLO_POINTS),
        ):
            if word not in known:
                raise ValueError(f"{name} {word!r} is not known; expected one of {', '.join(known)}")
        for name, flag in (
            ("new_coords", self.new_coords),
            ("softmax", self.softmax),
            ("square_root", self.square_root),
        ):
            if not isinstance(flag, bool):
                raise ValueError(f"{name} {flag!r} of layer {self.layer} is neither true nor false")
        if not 0 < len(self.anchors) <= MOST_ANCHORS:
            raise ValueError(f"layer {self.layer} has {len(self.anchors)} anchors; expected 1 to {MOST_ANCHORS}")
        for side in chain.from_iterable(self.anchors):
            if not 0 < side <= LARGEST_ANCHOR:
                raise ValueError(f"layer {self.layer} has an anchor side of {side}; expected up to {LARGEST_ANCHOR:g}")
        if not 0 <= self.scale_x_y <= LARGEST_SCALE:
            raise ValueError(f"scale_x_y {self.scale_x_y!r} is out of range; expected 0 to {LARGEST_SCALE:g}")
        if not 0 <= self.beta_nms <= LARGEST_SCALE:
            raise ValueError(f"beta_nms {self.beta_nms!r} is out of range; expected 0 to {LARGEST_SCALE:g}")
        self._check_tree()

    def _check_tree(self) -> None:
        if not isinstance(self.tree_file, str):
            raise ValueError(f"tree_file {self.tree_file!r} is not text")
        if self.tree and len(self.tree) != self.classes:
            raise ValueError(
                f"a tree of {len(self.tree)} classes does not fit the {self.classes} of layer {self.layer}"
            )
        for number, parent in enumerate(self.tree):
            if not is_integer(parent, -1, number - 1):
                raise ValueError(f"class {number} of the tree has the parent {parent!r}; expected an earlier class")

    def as_json(self) -> dict[str, Any]:
        """A JSON-ready object."""
        return {**asdict(self), "anchors": [list(anchor) for anchor in self.anchors], "tree": list(self.tree)}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Head:
        """Return a head from its JSON form; raise `TypeError`, `KeyError` or `ValueError` if it does not fit."""
        if data["kind"] not in KINDS:
            raise ValueError(f"a head of kind {data['kind']!r} is not known; update yolo3")
        anchors = tuple((float(width), float(height)) for width, height in data["anchors"])
        return cls(**{**data, "anchors": anchors, "tree": tuple(data.get("tree", ()))})


def is_integer(value: object, least: int, most: int) -> bool:
    """Return whether a value read from JSON is an integer in this range."""
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most
