"""Compute YOLOv3's loss in Keras operations, with the gradients that Darknet computes.

Source: `forward_yolo_layer`, `delta_yolo_box`, `delta_yolo_class`, `averages_yolo_deltas` (yolo_layer.c of pjreddie's
and of AlexeyAB's Darknet). Darknet computes deltas: minus the gradients by the raw outputs. Those of objectness and
classes belong to cross-entropy; `cls_normalizer` has no effect, as in the C code without `counters_per_class`. Those of
the box are written out, because the deltas of AlexeyAB's IoU losses belong to no loss (see `box_deltas`); the box
term's reported value is half the squared error, or 1 - IoU. Terms are summed over a picture and averaged over a batch.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from convert.keras_import import import_keras
from detector.training.box_deltas import iou_deltas
from detector.training.targets import HeadRules

Tensor = Any
_LARGEST_EXPONENT = 8.0
"""Caps exp(t): e^8 anchors are wider than any image."""

_TINY = 1e-9
_LEAST_CLASS = 0.25
"""AlexeyAB's: in a cell where no class is more probable than this, the objectness is trained whatever the cell
overlaps."""


class Truths(NamedTuple):
    """All true boxes of a batch, padded."""

    boxes: Tensor
    """(batch, most, 4) centre x, centre y, width, height as fractions of the input; empty ones as padding."""

    classes: Tensor
    """(batch, most) class ids, -1 as padding."""


class Target(NamedTuple):
    """The arrays of a `HeadTarget` as tensors."""

    found: Tensor
    classes: Tensor
    place: Tensor


class _Predicted(NamedTuple):
    raw: Tensor
    """(..., 4) raw outputs x, y, width, height."""

    boxes: Tensor
    """(..., 4) as fractions of the input."""

    anchors: Tensor
    """(..., 2) width and height of the anchor as fractions of the input."""


def yolo_loss(
    outputs: Sequence[Tensor], targets: Sequence[Target], truths: Truths, rules: Sequence[HeadRules]
) -> dict[str, Tensor]:
    """Return the terms `box`, `objectness` and `classes`, each a scalar, of a batch; `outputs` are raw heads."""
    terms = [
        head_loss(output, target, truths, rule) for output, target, rule in zip(outputs, targets, rules, strict=True)
    ]
    return {name: sum(term[name] for term in terms) for name in ("box", "objectness", "classes")}


def head_loss(output: Tensor, target: Target, truths: Truths, rule: HeadRules) -> dict[str, Tensor]:
    """One head's terms."""
    ops = import_keras().ops
    head = rule.head
    batch, rows, columns = (ops.shape(output)[axis] for axis in range(3))
    raw = ops.reshape(output, (batch, rows, columns, len(head.anchors), 5 + head.classes))
    predicted = _predict(ops, raw, rule)
    still = ops.stop_gradient(raw)

    best, best_truth = _best_overlap(ops, ops.stop_gradient(predicted.boxes), truths.boxes)
    counted = best
    if rule.dialect == "alexeyab":
        sure_class = ops.max(ops.sigmoid(still[..., 5:]), -1) > _LEAST_CLASS
        counted = ops.where(sure_class, best, 0.0)
    ignored = ops.cast(counted > rule.ignore_thresh, "float32")

    found, classes = target.found, target.classes
    sure = None
    if rule.truth_thresh < 1:
        sure = ops.cast(best > rule.truth_thresh, "float32")
        if rule.dialect == "pjreddie":
            sure = sure * (1 - found)
        kinds = ops.one_hot(_of_truth(ops, truths.classes, best_truth), head.classes)
        classes = ops.maximum(classes, kinds * sure[..., None])
        found = ops.maximum(found, sure)
    smoothed = classes * (1 - rule.label_smooth_eps) + rule.label_smooth_eps / 2

    weight = _box_weight(ops, still, smoothed, found, rule)
    box = _assigned_boxes(ops, predicted, truths.boxes, target.place, weight, rule)
    if sure is not None:
        nearest = _of_truth(ops, truths.boxes, best_truth)
        box += ops.sum(_box_term(ops, predicted, nearest, sure * weight, rule, _grid(ops, raw)))
    objectness = _cross_entropy(ops, raw[..., 4], found) * ops.maximum(found, 1 - ignored)
    kinds = _cross_entropy(ops, raw[..., 5:], smoothed) * found[..., None]
    if rule.class_weights:
        rarity = ops.max(classes * ops.convert_to_tensor(rule.class_weights, "float32"), -1)
        objectness *= ops.where(found > 0, rarity, 1.0)
        kinds *= rarity[..., None]
    count = ops.cast(batch, "float32")
    return {
        "box": box / count,
        "objectness": ops.sum(objectness) * rule.obj_normalizer / count,
        "classes": ops.sum(kinds) / count,
    }


def overlap(one: Tensor, other: Tensor, kind: str = "iou") -> Tensor:
    """Return the IoU, or GIoU, DIoU, CIoU, of centre x, centre y, width, height boxes, with broadcasting.

    Source: Zheng et al., "Distance-IoU Loss", arXiv:1911.08287.
    """
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


def _predict(ops: Any, raw: Tensor, rule: HeadRules) -> _Predicted:
    """Return the predictions of a head, (batch, rows, columns, anchors, ...); boxes as in `detector.heads.decode`."""
    head = rule.head
    rows, columns = ops.shape(raw)[1], ops.shape(raw)[2]
    size = _grid(ops, raw)
    anchors = ops.convert_to_tensor(head.anchors, "float32") / (size * head.stride)
    cell_x = ops.cast(ops.arange(columns), "float32")[None, None, :, None]
    cell_y = ops.cast(ops.arange(rows), "float32")[None, :, None, None]
    middle = ops.sigmoid(raw[..., :2]) * head.scale_x_y - (head.scale_x_y - 1) / 2
    x, y = (middle[..., 0] + cell_x) / size[0], (middle[..., 1] + cell_y) / size[1]
    sides = ops.exp(ops.minimum(raw[..., 2:4], _LARGEST_EXPONENT)) * anchors
    boxes = ops.stack([x, y, sides[..., 0], sides[..., 1]], -1)
    return _Predicted(raw[..., :4], boxes, ops.broadcast_to(anchors, ops.shape(raw[..., 2:4])))


def _best_overlap(ops: Any, predicted: Tensor, truths: Tensor) -> tuple[Tensor, Tensor]:
    """Return each predicted box's IoU with the true box it overlaps most, and the number of that box."""
    shape = ops.shape(predicted)
    ious = overlap(ops.reshape(predicted, (shape[0], -1, 1, 4)), truths[:, None])
    return ops.reshape(ops.max(ious, -1), shape[:4]), ops.reshape(ops.argmax(ious, -1), shape[:4])


def _of_truth(ops: Any, values: Tensor, number: Tensor) -> Tensor:
    """Return the values (batch, most, ...) of the true boxes of these numbers (batch, rows, columns, anchors)."""
    shape = ops.shape(number)
    flat = ops.reshape(number, (shape[0], -1))
    if len(values.shape) == 2:
        return ops.reshape(ops.take_along_axis(values, flat, 1), shape)
    chosen = ops.take_along_axis(values, ops.repeat(flat[..., None], 4, -1), 1)
    return ops.reshape(chosen, (*shape, 4))


def _box_weight(ops: Any, raw: Tensor, classes: Tensor, found: Tensor, rule: HeadRules) -> Tensor:
    """Divide an anchor's box deltas by its number of classes with a delta above 0, as AlexeyAB's with `iou_thresh`."""
    if rule.dialect != "alexeyab":
        return ops.ones_like(found)
    upward = ops.cast(classes - ops.sigmoid(raw[..., 5:]) > 0, "float32") * found[..., None]
    return 1 / ops.maximum(ops.sum(upward, -1), 1)


def _assigned_boxes(
    ops: Any, predicted: _Predicted, truths: Tensor, place: Tensor, weight: Tensor, rule: HeadRules
) -> Tensor:
    """Return the summed box term of the boxes that are assigned to anchors."""
    batch, most, slots = (ops.shape(place)[axis] for axis in range(3))
    index = ops.reshape(ops.maximum(place, 0), (batch, -1))
    there = ops.cast(ops.reshape(place, (batch, -1)) >= 0, "float32")

    def chosen(values: Tensor, width: int) -> Tensor:
        flat = ops.reshape(values, (batch, -1, width))
        return ops.take_along_axis(flat, ops.repeat(index[..., None], width, -1), 1)

    own = _Predicted(*(chosen(part, width) for part, width in zip(predicted, (4, 4, 2), strict=True)))
    boxes = ops.reshape(ops.repeat(truths[:, :, None], slots, 2), (batch, most * slots, 4))
    return ops.sum(_box_term(ops, own, boxes, there * chosen(weight, 1)[..., 0], rule, _grid(ops, weight)))


def _box_term(ops: Any, predicted: _Predicted, truths: Tensor, weight: Tensor, rule: HeadRules, grid: Tensor) -> Tensor:
    """Return the box term of each predicted box against its true one, times `weight` (...), with Darknet's gradient."""
    if rule.iou_loss == "mse":
        # The raw x and y are trained without the sigmoid's derivative (as in the gradient of its cross-entropy).
        places = (truths[..., :2] - predicted.boxes[..., :2]) * grid
        sizes = ops.log(ops.maximum(truths[..., 2:4], _TINY) / predicted.anchors) - predicted.raw[..., 2:4]
        area = 2 - truths[..., 2] * truths[..., 3]
        deltas = ops.concatenate([places, sizes], -1) * area[..., None] * rule.iou_normalizer
        value = ops.sum(ops.square(places), -1) / 2 + ops.sum(ops.square(sizes), -1) / 2
        value *= area * rule.iou_normalizer
    else:
        deltas = iou_deltas(predicted.boxes, truths, rule.iou_loss) * rule.iou_normalizer
        growth = ops.exp(ops.minimum(predicted.raw[..., 2:4], _LARGEST_EXPONENT))
        deltas = ops.concatenate([deltas[..., :2], deltas[..., 2:] * growth], -1)
        if math.isfinite(rule.max_delta):
            deltas = ops.clip(deltas, -rule.max_delta, rule.max_delta)
        value = (1 - overlap(predicted.boxes, truths, rule.iou_loss)) * rule.iou_normalizer
    # Padding has weight 0; where() keeps non-finite numbers out of the sums.
    deltas = ops.where(weight[..., None] > 0, deltas * weight[..., None], 0.0)
    shown = ops.stop_gradient(ops.where(weight > 0, value * weight, 0.0))
    pull = ops.sum(ops.stop_gradient(deltas) * predicted.raw, -1)
    return shown - pull + ops.stop_gradient(pull)


def _grid(ops: Any, values: Tensor) -> Tensor:
    """Return columns and rows of (batch, rows, columns, ...) as two floats."""
    return ops.stack([ops.cast(ops.shape(values)[2], "float32"), ops.cast(ops.shape(values)[1], "float32")])


def _cross_entropy(ops: Any, logits: Tensor, wanted: Tensor) -> Tensor:
    """Compute -wanted log σ(x) - (1 - wanted) log(1 - σ(x)) without overflow."""
    return ops.softplus(logits) - logits * wanted
