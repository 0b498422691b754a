"""What a network should have answered: each true box given to the anchors that Darknet would give it to.

Source: `forward_yolo_layer` (yolo_layer.c of AlexeyAB's Darknet).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from convert.head import Head
from convert.network import Network
from detector.errors import SettingsError

BOX_LOSSES = ("mse", "iou", "giou", "diou", "ciou")
_MASK_FIELDS = 2


@dataclass(frozen=True)
class HeadRules:
    """One head and the keys of its `[yolo]` section that only training reads."""

    head: Head
    anchors: tuple[tuple[float, float], ...]
    """All of the section's, in network pixels; the head's own are those of `mask`."""

    mask: tuple[int, ...]
    ignore_thresh: float
    """A box that overlaps a true one by more than this is not told that nothing is there."""

    truth_thresh: float
    """One that overlaps by more than this is taken as found, whichever anchor it has; 1 for never."""

    iou_thresh: float
    """Anchors beside the best get a true box too if their IoU with it is above this; 1 for never."""

    iou_loss: str
    iou_normalizer: float
    obj_normalizer: float
    cls_normalizer: float


def read_rules(network: Network) -> tuple[HeadRules, ...]:
    """The rules of every head, coarsest first; `CfgError` or `SettingsError` where they cannot be trained by."""
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
        rules.append(
            HeadRules(
                head=head,
                anchors=anchors,
                mask=section.integers("mask") or tuple(range(len(anchors))),
                ignore_thresh=section.number("ignore_thresh", 0.5),
                truth_thresh=section.number("truth_thresh", 1.0),
                iou_thresh=section.number("iou_thresh", 1.0),
                iou_loss=section.choice("iou_loss", BOX_LOSSES, "mse"),
                iou_normalizer=section.number("iou_normalizer", 0.75),
                obj_normalizer=section.number("obj_normalizer", 1.0),
                cls_normalizer=section.number("cls_normalizer", 1.0),
            )
        )
    return tuple(rules)


@dataclass(frozen=True, eq=False)
class HeadTarget:
    """What one head should answer for a batch; zero where nothing is asked of it."""

    found: NDArray[np.float32]
    """(batch, rows, columns, anchors): 1 where a true box was given to an anchor."""

    boxes: NDArray[np.float32]
    """(batch, rows, columns, anchors, 4) centre x, centre y, width, height as parts of the input."""

    classes: NDArray[np.float32]
    """(batch, rows, columns, anchors, classes)"""


def make_targets(
    boxes: Sequence[NDArray[np.float32]],
    class_ids: Sequence[NDArray[np.int64]],
    rules: Sequence[HeadRules],
    *,
    width: int,
    height: int,
) -> list[HeadTarget]:
    """Targets of a batch, per head; boxes are centre x, centre y, width, height as parts of the input."""
    targets = []
    for rule in rules:
        head = rule.head
        rows, columns = height // head.stride, width // head.stride
        shape = len(boxes), rows, columns, len(head.anchors)
        target = HeadTarget(
            np.zeros(shape, np.float32), np.zeros((*shape, 4), np.float32), np.zeros((*shape, head.classes), np.float32)
        )
        for number, (truth, kinds) in enumerate(zip(boxes, class_ids, strict=True)):
            overlap = shape_iou(
                truth[:, 2:] * np.array([width, height], np.float32), np.array(rule.anchors, np.float32)
            )
            for box, kind, ious in zip(truth, kinds, overlap, strict=True):
                best = int(ious.argmax())
                row, column = min(rows - 1, int(box[1] * rows)), min(columns - 1, int(box[0] * columns))
                for slot, anchor in enumerate(rule.mask):
                    # A later box takes the place of an earlier one, but classes add up, as in Darknet.
                    if anchor == best or ious[anchor] > rule.iou_thresh:
                        target.found[number, row, column, slot] = 1
                        target.boxes[number, row, column, slot] = box
                        target.classes[number, row, column, slot, kind] = 1
        targets.append(target)
    return targets


def pad_truths(boxes: Sequence[NDArray[np.float32]], *, step: int = 16) -> NDArray[np.float32]:
    """True boxes as one array (batch, most, 4), empty ones at the end; `most` is a multiple of `step`.

    Few different sizes, because a network is traced anew for each.
    """
    most = max(1, *map(len, boxes))
    padded = np.zeros((len(boxes), -(-most // step) * step, 4), np.float32)
    for number, truth in enumerate(boxes):
        padded[number, : len(truth)] = truth
    return padded


def shape_iou(sizes: NDArray[np.float32], anchors: NDArray[np.float32]) -> NDArray[np.float32]:
    """IoU of every size (n, 2) with every anchor (m, 2), both laid on one middle: (n, m)."""
    shared = np.minimum(sizes[:, None], anchors[None]).prod(axis=2)
    union = sizes.prod(axis=1)[:, None] + anchors.prod(axis=1)[None] - shared
    ratio: NDArray[np.float32] = (shared / np.maximum(union, 1e-9)).astype(np.float32)
    return ratio
