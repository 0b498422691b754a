"""Compute the gradients of the IoU losses as AlexeyAB's Darknet does.

Source: `dx_box_iou` (box.c) and `delta_yolo_box` (yolo_layer.c). They are not the derivatives of the losses by the raw
outputs: the sigmoid, the grid and the anchors are left out, width and height count twice, and the distance term of DIoU
and CIoU has one sign reversed. Networks are tuned to them, so they are computed here unchanged.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from convert.keras_import import import_keras

Tensor = Any


class _Axis(NamedTuple):
    """One axis of two boxes, and the positions of the predicted box's edges relative to the true one's."""

    inner: Tensor
    """Length of the overlap, negative if there is a gap."""

    outer: Tensor
    """Length of the hull."""

    low_inside: Tensor
    high_inside: Tensor
    low_outside: Tensor
    high_outside: Tensor
    length: Tensor
    """Of the predicted box."""


def iou_deltas(pred: Tensor, truth: Tensor, kind: str) -> Tensor:
    """Return the step by which x, y, width, height of predicted boxes improve the overlap with the true ones, (..., 4).

    Boxes are centre x, centre y, width, height as fractions of the input; `kind` is `iou`, `giou`, `diou` or `ciou`.
    """
    ops = import_keras().ops
    x, y = _axis(ops, pred, truth, 0), _axis(ops, pred, truth, 1)
    shared = x.inner * y.inner
    union = pred[..., 2] * pred[..., 3] + truth[..., 2] * truth[..., 3] - shared
    edges = []  # left, right, top, bottom
    for own, other in ((x, y), (y, x)):
        for sign, inside, outside in (
            (-1.0, own.low_inside, own.low_outside),
            (1.0, own.high_inside, own.high_outside),
        ):
            d_shared = sign * inside * other.inner
            d_union = sign * other.length - d_shared
            delta = ops.where(union > 0, _ratio(ops, union * d_shared - shared * d_union, union * union), 0.0)
            if kind == "giou":
                hull = x.outer * y.outer
                grown = _ratio(ops, hull * d_union - union * sign * outside * other.outer, hull * hull)
                delta = ops.where(_apart(ops, x, y), grown, delta + grown)
            edges.append(delta)
    left, right, top, bottom = edges
    deltas = ops.stack([left + right, top + bottom, right - left, bottom - top], -1)
    if kind in ("diou", "ciou"):
        distance = _distance_deltas(ops, pred, truth, x, y)
        if kind == "ciou":
            distance = distance + _aspect_deltas(ops, pred, truth, _ratio(ops, shared, union))
        deltas = ops.where(_apart(ops, x, y)[..., None], distance, deltas + distance)
    return deltas


def _axis(ops: Any, pred: Tensor, truth: Tensor, index: int) -> _Axis:
    low, high = pred[..., index] - pred[..., index + 2] / 2, pred[..., index] + pred[..., index + 2] / 2
    true_low, true_high = truth[..., index] - truth[..., index + 2] / 2, truth[..., index] + truth[..., index + 2] / 2
    return _Axis(
        inner=ops.minimum(high, true_high) - ops.maximum(low, true_low),
        outer=ops.maximum(high, true_high) - ops.minimum(low, true_low),
        low_inside=ops.cast(low > true_low, "float32"),
        high_inside=ops.cast(high < true_high, "float32"),
        low_outside=ops.cast(low < true_low, "float32"),
        high_outside=ops.cast(high > true_high, "float32"),
        length=high - low,
    )


def _apart(ops: Any, x: _Axis, y: _Axis) -> Tensor:
    return ops.logical_or(x.inner <= 0, y.inner <= 0)


def _distance_deltas(ops: Any, pred: Tensor, truth: Tensor, x: _Axis, y: _Axis) -> Tensor:
    """Return the gradient of the distance between the centres relative to the diagonal of the hull."""
    diagonal = x.outer * x.outer + y.outer * y.outer
    distance = ops.square(pred[..., 0] - truth[..., 0]) + ops.square(pred[..., 1] - truth[..., 1])
    deltas = []
    for index, axis in enumerate((x, y)):
        d_diagonal = 2 * axis.outer * (axis.high_outside - axis.low_outside)
        towards = 2 * (truth[..., index] - pred[..., index])
        deltas.append(_ratio(ops, towards * diagonal - d_diagonal * distance, diagonal * diagonal))
    for axis in (x, y):
        d_diagonal = axis.outer * (axis.high_outside + axis.low_outside)
        deltas.append(_ratio(ops, d_diagonal * distance, diagonal * diagonal))
    return ops.stack(deltas, -1)


def _aspect_deltas(ops: Any, pred: Tensor, truth: Tensor, iou: Tensor) -> Tensor:
    """Return the gradient of the difference of the aspect ratios."""
    angle = ops.arctan(_ratio(ops, truth[..., 2], truth[..., 3])) - ops.arctan(_ratio(ops, pred[..., 2], pred[..., 3]))
    loss = 4 / math.pi**2 * ops.square(angle)
    alpha = loss / (1 - iou + loss + 1e-6)
    turn = alpha * 8 / math.pi**2 * angle
    zero = ops.zeros_like(turn)
    return ops.stack([zero, zero, turn * pred[..., 3], -turn * pred[..., 2]], -1)


def _ratio(ops: Any, above: Tensor, below: Tensor) -> Tensor:
    """Return `above / below`, 0 where `below` is 0."""
    return ops.where(below == 0, 0.0, above / ops.where(below == 0, 1.0, below))
