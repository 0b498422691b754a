"""Convert a box, or an image with its boxes, to other tools' formats."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from convert.text import printable
from detector.logs.records import BoxRecord

COCO_IDS = tuple(number for number in range(1, 91) if number not in {12, 26, 29, 30, 45, 66, 68, 69, 71, 83})
"""COCO's own category ids of the 80 classes, in the networks' order."""

ESCAPED = "backslashreplace"
"""How lone surrogates in names are written; they come from file names that are not UTF-8."""

_COCO_ENDS = ("person", "toothbrush")


def category_ids(classes: Sequence[str]) -> tuple[int, ...]:
    """Return the category id of each class: COCO's own, 1 to 90 with gaps, when the classes are COCO's; else from 1."""
    if len(classes) == len(COCO_IDS) and (classes[0], classes[-1]) == _COCO_ENDS:
        return COCO_IDS
    return tuple(range(1, len(classes) + 1))


def size(box: BoxRecord) -> tuple[float, float]:
    """Return width and height in pixels, to two decimals."""
    left, top, right, bottom = box.box
    return round(right - left, 2), round(bottom - top, 2)


def relative(box: BoxRecord, width: int, height: int) -> tuple[float, float, float, float]:
    """Return centre x, centre y, width and height as fractions of an image of this size."""
    left, top, right, bottom = box.box
    return (left + right) / 2 / width, (top + bottom) / 2 / height, (right - left) / width, (bottom - top) / height


def yolo_line(box: BoxRecord, width: int, height: int, *, with_confidence: bool) -> str:
    """Return a line of a label file of Darknet and Ultralytics."""
    numbers = " ".join(f"{part:.6f}" for part in relative(box, width, height))
    return f"{box.class_id} {numbers}{f' {box.confidence}' if with_confidence else ''}\n"


def coco_annotation(box: BoxRecord, *, number: int, image_id: int, category_id: int) -> dict[str, Any]:
    """Return an entry of COCO's `annotations`."""
    width, height = size(box)
    return {
        "id": number,
        "image_id": image_id,
        "category_id": category_id,
        "bbox": [box.box[0], box.box[1], width, height],
        "area": round(width * height, 2),
        "iscrowd": 0,
        "score": box.confidence,
    }


def coco_categories(classes: Sequence[str]) -> list[dict[str, Any]]:
    """COCO's `categories`."""
    return [{"id": identity, "name": name} for identity, name in zip(category_ids(classes), classes, strict=True)]


def label_studio_result(box: BoxRecord, *, identity: str, width: int, height: int) -> dict[str, Any]:
    """Return a result of a task of Label Studio."""
    across, down = size(box)
    return {
        "id": identity,
        "type": "rectanglelabels",
        "from_name": "label",
        "to_name": "image",
        "original_width": width,
        "original_height": height,
        "image_rotation": 0,
        "value": {
            "x": 100 * box.box[0] / width,
            "y": 100 * box.box[1] / height,
            "width": 100 * across / width,
            "height": 100 * down / height,
            "rotation": 0,
            "rectanglelabels": [box.name],
        },
        "score": box.confidence,
    }


def cvat_head(classes: Sequence[str]) -> str:
    """Return the beginning of a file of "CVAT for images 1.1", up to its first image."""
    labels = "".join(f"<label><name>{escape(printable(name))}</name></label>" for name in classes)
    head = '<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n<version>1.1</version>\n'
    return f"{head}<meta><task><labels>{labels}</labels></task></meta>\n"


def cvat_image(name: str, boxes: Sequence[BoxRecord], *, number: int, width: int, height: int) -> str:
    """Return one image of that file; `</annotations>` follows the last."""
    lines = [f'<image id="{number}" name={quoteattr(printable(name))} width="{width}" height="{height}">\n']
    for box in boxes:
        edges = " ".join(f'{key}="{edge:.2f}"' for key, edge in zip(("xtl", "ytl", "xbr", "ybr"), box.box, strict=True))
        lines.append(
            f'<box label={quoteattr(printable(box.name))} source="auto" occluded="0" {edges} z_order="0"></box>\n'
        )
    return "".join([*lines, "</image>\n"])


CVAT_END = "</annotations>\n"
