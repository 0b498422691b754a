"""YOLOv3's loss in Keras operations.

Source: `forward_yolo_layer`, `delta_yolo_box`, `delta_yolo_class` (yolo_layer.c). Darknet writes down gradients; here
are the functions that have them: cross-entropy for x, y, objectness and classes, half the squared difference for
width and height, all summed over a picture and averaged over the batch. With `iou_loss` other than mse the box is
judged by its IoU instead (`dx_box_iou`, box.c; Zheng et al., "Distance-IoU Loss", arXiv:1911.08287).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from convert.keras_import import import_keras
from detector.training.targets import HeadRules

Tensor = Any
_LARGEST_EXPONENT = 8.0
"""Caps exp(t): e^8 anchors are wider than any picture."""

_TINY = 1e-9


def yolo_loss(
    outputs: Sequence[Tensor],
    targets: Sequence[tuple[Tensor, Tensor, Tensor]],
    truths: Tensor,
    rules: Sequence[HeadRules],
    *,
    width: int,
    height: int,
) -> dict[str, Tensor]:
    """The terms `box`, `objectness` and `classes`, each a scalar, of a batch.

    `outputs` are raw heads; `targets` are, per head, the arrays of a `HeadTarget`; `truths` (batch, most, 4) all
    true boxes, empty ones as padding.
    """
    terms = [
        head_loss(output, *target, truths, rule, width=width, height=height)
        for output, target, rule in zip(outputs, targets, rules, strict=True)
    ]
    return {name: sum(term[name] for term in terms) for name in ("box", "objectness", "classes")}


def head_loss(
    output: Tensor,
    found: Tensor,
    boxes: Tensor,
    classes: Tensor,
    truths: Tensor,
    rule: HeadRules,
    *,
    width: int,
    height: int,
) -> dict[str, Tensor]:
    """One head's terms."""
    ops = import_keras().ops
    head = rule.head
    batch, rows, columns = (ops.shape(output)[axis] for axis in range(3))
    raw = ops.reshape(output, (batch, rows, columns, len(head.anchors), 5 + head.classes))
    anchors = ops.convert_to_tensor([[w / width, h / height] for w, h in head.anchors], "float32")
    predicted = _predict(ops, raw, anchors, head.scale_x_y, rows, columns)

    best, best_truth = _best_overlap(ops, ops.stop_gradient(predicted), truths, rule.truth_thresh < 1)
    ignored = ops.cast(best > rule.ignore_thresh, "float32")
    if best_truth is not None:
        # Taken as found, whatever its anchor (`truth_thresh`); its classes stay those of its own truth, if any.
        sure = ops.cast(best > rule.truth_thresh, "float32") * (1 - found)
        boxes = ops.where(sure[..., None] > 0, best_truth, boxes)
        wanted = ops.maximum(found, sure)
    else:
        wanted = found
    objectness = _cross_entropy(ops, raw[..., 4], wanted) * ops.maximum(wanted, 1 - ignored)
    kinds = _cross_entropy(ops, raw[..., 5:], classes) * found[..., None]
    if rule.iou_loss == "mse":
        box = _squares(ops, raw, boxes, anchors, head.scale_x_y, rows, columns)
    else:
        box = (1 - overlap(predicted, boxes, rule.iou_loss)) * rule.iou_normalizer
    count = ops.cast(batch, "float32")
    return {
        "box": ops.sum(box * wanted) / count,
        "objectness": ops.sum(objectness) * rule.obj_normalizer / count,
        "classes": ops.sum(kinds) * rule.cls_normalizer / count,
    }


def overlap(one: Tensor, other: Tensor, kind: str = "iou") -> Tensor:
    """IoU, or GIoU, DIoU, CIoU, of centre x, centre y, width, height boxes, with broadcasting."""
    ops = import_keras().ops
    one_low, one_high = one[..., :2] - one[..., 2:4] / 2, one[..., :2] + one[..., 2:4] / 2
    other_low, other_high = other[..., :2] - other[..., 2:4] / 2, other[..., :2] + other[..., 2:4] / 2
    sides = ops.maximum(ops.minimum(one_high, other_high) - ops.maximum(one_low, other_low), 0)
    shared = sides[..., 0] * sides[..., 1]
    union = one[..., 2] * one[..., 3] + other[..., 2] * other[..., 3] - shared
    iou = shared / (union + _TINY)
    if kind == "iou":
        return iou
    hull = ops.maximum(one_high, other_high) - ops.minimum(one_low, other_low)
    if kind == "giou":
        around = hull[..., 0] * hull[..., 1]
        return iou - (around - union) / (around + _TINY)
    distance = ops.sum(ops.square(one[..., :2] - other[..., :2]), -1) / (ops.sum(ops.square(hull), -1) + _TINY)
    if kind == "diou":
        return iou - distance
    angles = ops.arctan2(one[..., 2], one[..., 3] + _TINY) - ops.arctan2(other[..., 2], other[..., 3] + _TINY)
    shape = 4 / math.pi**2 * ops.square(angles)
    part = ops.stop_gradient(shape / (1 - iou + shape + _TINY))
    return iou - distance - part * shape


def _predict(ops: Any, raw: Tensor, anchors: Tensor, scale: float, rows: Tensor, columns: Tensor) -> Tensor:
    """Boxes as parts of the input, as `detector.heads.decode` has them."""
    cell_x = ops.cast(ops.arange(columns), "float32")[None, None, :, None]
    cell_y = ops.cast(ops.arange(rows), "float32")[None, :, None, None]
    middle = ops.sigmoid(raw[..., :2]) * scale - (scale - 1) / 2
    x = (middle[..., 0] + cell_x) / ops.cast(columns, "float32")
    y = (middle[..., 1] + cell_y) / ops.cast(rows, "float32")
    size = ops.exp(ops.minimum(raw[..., 2:4], _LARGEST_EXPONENT)) * anchors
    return ops.stack([x, y, size[..., 0], size[..., 1]], -1)


def _best_overlap(ops: Any, predicted: Tensor, truths: Tensor, with_truth: bool) -> tuple[Tensor, Tensor | None]:
    """Each predicted box's IoU with the true box it overlaps most, and that box if asked for."""
    shape = ops.shape(predicted)
    flat = ops.reshape(predicted, (shape[0], -1, 1, 4))
    ious = overlap(flat, truths[:, None])
    best = ops.reshape(ops.max(ious, -1), shape[:4])
    if not with_truth:
        return best, None
    index = ops.argmax(ious, -1)
    chosen = ops.take_along_axis(truths, ops.repeat(index[..., None], 4, -1), 1)
    return best, ops.reshape(chosen, shape)


def _squares(
    ops: Any, raw: Tensor, boxes: Tensor, anchors: Tensor, scale: float, rows: Tensor, columns: Tensor
) -> Tensor:
    """`delta_yolo_box`: small boxes weigh more, by 2 - width * height."""
    x, y = boxes[..., 0] * ops.cast(columns, "float32"), boxes[..., 1] * ops.cast(rows, "float32")
    inside = ops.stack([x - ops.floor(x), y - ops.floor(y)], -1)
    inside = ops.clip((inside + (scale - 1) / 2) / scale, 0, 1)
    size = ops.log(ops.maximum(boxes[..., 2:4], _TINY) / anchors)
    places = _cross_entropy(ops, raw[..., :2], inside)
    sizes = ops.square(size - raw[..., 2:4]) / 2
    return ops.sum(places + sizes, -1) * (2 - boxes[..., 2] * boxes[..., 3])


def _cross_entropy(ops: Any, logits: Tensor, wanted: Tensor) -> Tensor:
    """-wanted log σ(x) - (1 - wanted) log(1 - σ(x)), without overflow."""
    return ops.softplus(logits) - logits * wanted
