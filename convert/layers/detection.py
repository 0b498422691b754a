"""Build detection heads, which compute nothing: their raw input is the network's output, described by a `Head`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from convert.cfg import Section
from convert.head import LARGEST_ANCHOR, LARGEST_SCALE, MOST_ANCHORS, NMS_KINDS, YOLO_POINTS, Head
from convert.layers.layer import LARGEST_SIDE, Before, Layer, Shape, Tensor
from convert.layers.pieces import channels, flat
from convert.layers.refusal import refuse
from convert.tree import find_tree


def yolo(section: Section, before: Before) -> Layer:
    """Build `[yolo]`, YOLOv3's head: one box per anchor and cell (`parse_yolo`, `yolo_layer.c`).

    `mask` selects this head's anchors from the shared list; without it the head uses all of them.
    """
    return _yolo_like(section, before, new_coords=section.flag("new_coords"))


def gaussian_yolo(section: Section, before: Before) -> Layer:
    """Build `[Gaussian_yolo]`: x, y, width and height each have an uncertainty (`gaussian_yolo_layer.c`)."""
    return _yolo_like(section, before, yolo_point=section.choice("yolo_point", YOLO_POINTS, "center"))


def _yolo_like(section: Section, before: Before, *, new_coords: bool = False, yolo_point: str = "center") -> Layer:
    classes = section.integer("classes", 20, minimum=1)
    total = section.integer("num", 1, minimum=1, maximum=MOST_ANCHORS)
    mask = section.integers("mask") or tuple(range(total))
    numbers = section.numbers("anchors")
    if len(numbers) != 2 * total:
        raise section.error(f"has {len(numbers)} numbers in anchors=; expected num={total} pairs", "anchors")
    outside = [index for index in mask if not 0 <= index < total]
    if outside:
        raise section.error(f"mask names anchor {outside[0]}; expected 0 to {total - 1} (num={total})", "mask")
    _check_anchors(section, numbers)
    head = Head(
        kind=section.kind,
        layer=before.index,
        stride=int(before.shape.stride),
        anchors=tuple((numbers[2 * index], numbers[2 * index + 1]) for index in mask),
        classes=classes,
        scale_x_y=_scale(section, "scale_x_y", 1.0),
        new_coords=new_coords,
        nms_kind=section.choice("nms_kind", NMS_KINDS, "default"),
        beta_nms=_scale(section, "beta_nms", 0.6),
        yolo_point=yolo_point,
    )
    return _head_layer(section, before, head)


def region(section: Section, before: Before) -> Layer:
    """Build `[region]`, YOLOv2's head, with anchors in grid cells (`parse_region`, `region_layer.c`).

    With `tree` the classes form a hierarchy (YOLO9000). The .tree file is needed to decode boxes, not to convert:
    without it the model is written and a note says so.
    """
    refuse(section, {"background": "no objectness", "log": "logarithms", "sqrt": "square roots"})
    if section.integer("coords", 4) != 4:
        raise section.error(f"coords={section.text('coords')} (masks beside the boxes) is not supported", "coords")
    classes = section.integer("classes", 20, minimum=1)
    number = section.integer("num", 1, minimum=1, maximum=MOST_ANCHORS)
    numbers = section.numbers("anchors")
    if len(numbers) < 2 * number:
        raise section.error(f"has {len(numbers)} numbers in anchors=; expected num={number} pairs", "anchors")
    _check_anchors(section, numbers)
    stride = float(before.shape.stride)
    named = section.text("tree")
    tree = find_tree(section) if named else None
    if tree and len(tree) != classes:
        raise section.error(f"tree= has {len(tree)} classes; expected classes={classes}", "tree")
    softmax = section.flag("softmax")
    if not softmax and not named:
        raise section.error(
            "softmax=0: AlexeyAB's Darknet uses the class scores unchanged, pjreddie's applies a sigmoid; "
            "expected softmax=1"
        )
    head = Head(
        kind="region",
        layer=before.index,
        stride=int(before.shape.stride),
        anchors=tuple((numbers[2 * index] * stride, numbers[2 * index + 1] * stride) for index in range(number)),
        classes=classes,
        softmax=softmax,
        tree=tree.parents if tree else (),
        tree_file=named,
    )
    layer = _head_layer(section, before, head)
    if named and not tree:
        note = (
            f"{section.path}, line {section.line}: tree={named} was not found beside the cfg; the model outputs the "
            "raw head only. Put the .tree file there and convert again to decode boxes"
        )
        layer = replace(layer, note=note)
    return layer


def detection(section: Section, before: Before) -> Layer:
    """Build `[detection]`, YOLOv1's head of side x side cells (`parse_detection`, `detection_layer.c`).

    Darknet's output is one row of numbers: the classes of all cells, then the confidences, then the boxes. The Keras
    model outputs a map with all of a cell's numbers together: its classes, a confidence per box, four numbers per box.
    """
    refuse(section, {"reorg": "changes the order of the numbers"})
    if section.integer("coords", 1) != 4:
        raise section.error(f"coords={section.text('coords', '1')} is not supported; expected coords=4", "coords")
    classes = section.integer("classes", 1, minimum=1)
    side = section.integer("side", 7, minimum=1, maximum=1024)
    number = section.integer("num", 1, minimum=1, maximum=1024)
    source, picture, index = before.shape, before.picture, before.index
    cells = side * side
    head = Head(
        kind="detection",
        layer=index,
        stride=max(1, picture.width // side),
        anchors=((float(picture.width), float(picture.height)),) * number,
        classes=classes,
        softmax=section.flag("softmax"),
        square_root=section.flag("sqrt"),
    )
    if source.size != cells * head.channels:
        raise section.error(
            f"reads {source.size} numbers; expected {side}x{side} cells x ({classes} classes + {number} boxes x 5) = "
            f"{cells * head.channels}"
        )
    name = f"detection_{index}"

    def build(inputs: Sequence[Tensor]) -> Tensor:
        from keras.layers import Concatenate, Reshape

        row = flat(inputs[0], (source.height, source.width, source.channels), f"{name}_memory")
        parts, start = [], 0
        for part, count in (("classes", classes), ("confidences", number), ("boxes", 4 * number)):
            piece = channels(row, start, start + cells * count, source.size, f"{name}_{part}")
            parts.append(Reshape((side, side, count), name=f"{name}_{part}_map")(piece))
            start += cells * count
        return Concatenate(name=name)(parts)

    return Layer(
        section,
        index,
        (before.previous,),
        Shape(side, side, head.channels, picture.stride * head.stride),
        build,
        head=head,
        fixed_size=f"it has {side}x{side} cells at any input size",
    )


def _check_anchors(section: Section, numbers: Sequence[float]) -> None:
    if min(numbers) <= 0:
        raise section.error(f"has an anchor side of {min(numbers):g}; expected a number of pixels above 0", "anchors")
    if max(numbers) > LARGEST_ANCHOR:
        raise section.error(f"has an anchor side of {max(numbers):g}; expected at most {LARGEST_ANCHOR:g}", "anchors")


def _scale(section: Section, key: str, default: float) -> float:
    value = section.number(key, default)
    if not 0 <= value <= LARGEST_SCALE:
        raise section.error(f"{key}={value:g} is out of range; expected 0 to {LARGEST_SCALE:g}", key)
    return value


def _head_layer(section: Section, before: Before, head: Head) -> Layer:
    """Build the identity after checking that its input has the channels that the head needs."""
    source = before.shape
    if source.stride.denominator != 1 or source.stride > LARGEST_SIDE:
        raise section.error(f"has cells of {source.stride} network input pixels; expected a whole number of pixels")
    if source.channels != head.channels:
        raise section.error(
            f"reads {source.channels} channels; expected {len(head.anchors)} anchors x ({head.numbers_per_box} + "
            f"{head.classes} classes) = {head.channels}. Set filters={head.channels} in the layer before it or correct "
            "classes, mask or num"
        )

    def build(inputs: Sequence[Tensor]) -> Tensor:
        from keras.layers import Activation

        # A named identity layer gives each output its head's name.
        return Activation("linear", name=f"{section.kind}_{before.index}")(inputs[0])

    return Layer(section, before.index, (before.previous,), source, build, head=head)
