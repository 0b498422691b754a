"""Detection heads: they compute nothing here; their raw input is the network's output, described by a `Head`."""

from __future__ import annotations

from collections.abc import Sequence

from convert.cfg import Section
from convert.head import Head
from convert.layers.layer import Before, Layer, Tensor

NMS_KINDS = ("default", "diounms", "greedynms")

LARGEST_NUM = 10_000
"""Anchors; more is a slip of the pen."""


def yolo(section: Section, before: Before) -> Layer:
    """`[yolo]`: YOLOv3's head, one box per anchor and cell (`parse_yolo`, `yolo_layer.c`).

    `mask` picks this head's anchors from the shared list; without a mask it uses all of them.
    """
    source = before.shape
    classes = section.integer("classes", 20, minimum=1)
    total = section.integer("num", 1, minimum=1, maximum=LARGEST_NUM)
    mask = section.integers("mask") or tuple(range(total))
    numbers = section.numbers("anchors")
    if len(numbers) != 2 * total:
        raise section.error(f"has {len(numbers)} numbers in anchors=; expected num={total} pairs", "anchors")
    outside = [index for index in mask if not 0 <= index < total]
    if outside:
        raise section.error(f"mask names anchor {outside[0]}; expected 0 to {total - 1} (num={total})", "mask")
    if min(numbers) <= 0:
        raise section.error(f"has an anchor side of {min(numbers):g}; expected pixels above 0", "anchors")
    if source.stride.denominator != 1:
        raise section.error(f"has cells of {source.stride} network input pixels; expected whole pixels")
    head = Head(
        kind="yolo",
        layer=before.index,
        stride=int(source.stride),
        anchors=tuple((numbers[2 * index], numbers[2 * index + 1]) for index in mask),
        classes=classes,
        scale_x_y=section.number("scale_x_y", 1.0),
        new_coords=section.flag("new_coords"),
        nms_kind=section.choice("nms_kind", NMS_KINDS, "default"),
        beta_nms=section.number("beta_nms", 0.6),
    )
    if source.channels != head.channels:
        raise section.error(
            f"reads {source.channels} channels; expected {len(mask)} anchors x (5 + {classes} classes) = "
            f"{head.channels}. Set filters={head.channels} in the layer before it, or correct classes= or mask="
        )

    def build(inputs: Sequence[Tensor]) -> Tensor:
        from keras.layers import Activation

        # The identity, so that each output carries its head's name.
        return Activation("linear", name=f"yolo_{before.index}")(inputs[0])

    return Layer(section, before.index, (before.previous,), source, build, head=head)
