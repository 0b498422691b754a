"""Compute training targets: assign each true box to the anchors to which Darknet assigns it.

Source: `forward_yolo_layer` (yolo_layer.c), of pjreddie's Darknet and of AlexeyAB's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from convert.head import Head
from convert.layers.layer import Dialect
from convert.network import Network
from detector.errors import SettingsError

BOX_LOSSES = ("mse", "iou", "giou", "diou", "ciou")


@dataclass(frozen=True)
class HeadRules:
    """One head and the keys of its `[yolo]` section that are used only in training."""

    head: Head
    anchors: tuple[tuple[float, float], ...]
    """All anchors of the section, in network pixels; the head's own are those of `mask`."""

    mask: tuple[int, ...]
    dialect: Dialect
    """The Darknet that the cfg was written for. In AlexeyAB's a cell is ignored only if one of its classes is above
    0.25, and the gradients of several true boxes at one anchor add up; in pjreddie's the last box replaces the others.
    """

    ignore_thresh: float
    """Above this IoU with a true box, a predicted box is not trained as background."""

    truth_thresh: float
    """Above this IoU with a true box, a predicted box is trained to match it, with any anchor; 1 for never."""

    iou_thresh: float
    """Above this IoU with a true box, anchors other than the best are assigned it too; 1 for never."""

    iou_loss: str
    iou_normalizer: float
    """Weight of the box term."""

    obj_normalizer: float
    max_delta: float
    """Gradients of an IoU loss are clipped to this."""

    label_smooth_eps: float
    """Classes have the targets 1 - eps / 2 and eps / 2 instead of 1 and 0."""

    class_weights: tuple[float, ...] = ()
    """Weight of each class in the terms of objectness and classes; empty for 1."""


def read_rules(network: Network) -> tuple[HeadRules, ...]:
    """Return the rules of every head, coarsest first; raise `CfgError` or `SettingsError` for an unsupported head."""
    rules = []
    for layer in network.outputs:
        head, section = layer.head, layer.section
        if head is None:
            raise SettingsError(f"{network.cfg.path}: has no [yolo] head; only detectors are trained")
        if head.kind != "yolo" or head.new_coords:
            what = f"[{section.kind}]" if head.kind != "yolo" else "new_coords=1"
            raise section.error(f"{what} cannot be trained here; expected a [yolo] head with YOLOv3's own coordinates")
        numbers = section.numbers("anchors")
        anchors = tuple(zip(numbers[::2], numbers[1::2], strict=True))
        alexeyab = network.darknet == "alexeyab"
        rules.append(
            HeadRules(
                head=head,
                anchors=anchors,
                mask=section.integers("mask") or tuple(range(len(anchors))),
                dialect=network.darknet,
                ignore_thresh=section.number("ignore_thresh", 0.5),
                truth_thresh=section.number("truth_thresh", 1.0),
                iou_thresh=section.number("iou_thresh", 1.0),
                iou_loss=section.choice("iou_loss", BOX_LOSSES, "mse"),
                iou_normalizer=section.number("iou_normalizer", 0.75) if alexeyab else 1.0,
                obj_normalizer=section.number("obj_normalizer", 1.0),
                max_delta=section.number("max_delta", float("inf")),
                label_smooth_eps=section.number("label_smooth_eps", 0.0),
            )
        )
    return tuple(rules)


@dataclass(frozen=True, eq=False)
class HeadTarget:
    """The targets of one head for a batch; zero where it has none."""

    found: NDArray[np.float32]
    """(batch, rows, columns, anchors): 1 where a true box is assigned to an anchor."""

    classes: NDArray[np.float32]
    """(batch, rows, columns, anchors, classes): 1 for the classes of the boxes assigned there."""

    place: NDArray[np.int32]
    """(batch, most, anchors): for each true box and anchor the index into (rows, columns, anchors), flattened, of the
    prediction trained to match this box; -1 for none."""


def make_targets(
    boxes: Sequence[NDArray[np.float32]],
    class_ids: Sequence[NDArray[np.int64]],
    rules: Sequence[HeadRules],
    *,
    width: int,
    height: int,
) -> list[HeadTarget]:
    """Return a batch's targets, per head; boxes are centre x, centre y, width, height as fractions of the input."""
    return [_head_target(boxes, class_ids, rule, width, height) for rule in rules]


def _head_target(
    boxes: Sequence[NDArray[np.float32]],
    class_ids: Sequence[NDArray[np.int64]],
    rule: HeadRules,
    width: int,
    height: int,
) -> HeadTarget:
    head = rule.head
    shape = len(boxes), height // head.stride, width // head.stride, len(head.anchors)
    rows, columns = shape[1:3]
    found = np.zeros(shape, np.float32)
    classes = np.zeros((*shape, head.classes), np.float32)
    place = np.full((len(boxes), _padded_length(boxes), len(head.anchors)), -1, np.int32)
    size, anchors = np.array([width, height], np.float32), np.array(rule.anchors, np.float32)
    for number, (truth, kinds) in enumerate(zip(boxes, class_ids, strict=True)):
        owner: dict[int, int] = {}
        for index, (box, kind, ious) in enumerate(
            zip(truth, kinds, shape_iou(truth[:, 2:] * size, anchors), strict=True)
        ):
            best = int(ious.argmax())
            row, column = min(rows - 1, int(box[1] * rows)), min(columns - 1, int(box[0] * columns))
            for slot, anchor in enumerate(rule.mask):
                if anchor != best and not ious[anchor] > rule.iou_thresh:
                    continue
                found[number, row, column, slot] = 1
                classes[number, row, column, slot, kind] = 1
                flat = (row * columns + column) * shape[3] + slot
                if rule.dialect == "pjreddie" and flat in owner:
                    place[number, owner[flat], slot] = -1  # a later box replaces an earlier one, classes add up
                owner[flat] = index
                place[number, index, slot] = flat
    return HeadTarget(found, classes, place)


def pad_truths(boxes: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Return true boxes as one array (batch, most, 4), padded with empty ones."""
    padded = np.zeros((len(boxes), _padded_length(boxes), 4), np.float32)
    for number, truth in enumerate(boxes):
        padded[number, : len(truth)] = truth
    return padded


def pad_classes(class_ids: Sequence[NDArray[np.int64]]) -> NDArray[np.int32]:
    """Return class ids as one array (batch, most), padded with -1."""
    padded = np.full((len(class_ids), _padded_length(class_ids)), -1, np.int32)
    for number, kinds in enumerate(class_ids):
        padded[number, : len(kinds)] = kinds
    return padded


def _padded_length(arrays: Sequence[NDArray[np.float32]] | Sequence[NDArray[np.int64]], *, step: int = 16) -> int:
    """Return the maximum boxes of an image, rounded up to a multiple: each new shape makes Keras trace the network."""
    return -(-max(1, *map(len, arrays)) // step) * step


def shape_iou(sizes: NDArray[np.float32], anchors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the IoU of every size (n, 2) with every anchor (m, 2), both centred on one point: (n, m)."""
    shared = np.minimum(sizes[:, None], anchors[None]).prod(axis=2)
    union = sizes.prod(axis=1)[:, None] + anchors.prod(axis=1)[None] - shared
    ratio: NDArray[np.float32] = (shared / np.maximum(union, 1e-9)).astype(np.float32)
    return ratio
