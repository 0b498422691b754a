"""COCO's form of labelled pictures: one `instances` JSON and a folder of pictures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from detector.datasets.dataset import Example, Problems
from detector.errors import DatasetError

_ROUNDING_PIXELS = 1.0
"""COCO's own boxes leave their pictures by fractions of a pixel."""


def read_coco(
    path: Path, pictures: Path | None, names: tuple[str, ...], problems: Problems
) -> tuple[tuple[str, ...], list[Example]]:
    """Names in the order of class ids, and the pictures; mistakes are added to `problems`.

    The order is that of `names` where these hold every category, else that of the category ids.
    """
    try:
        content = json.loads(path.read_bytes())
        images, annotations, categories = (content[key] for key in ("images", "annotations", "categories"))
        found = {int(category["id"]): str(category["name"]) for category in categories}
        sizes = {image["id"]: (int(image["width"]), int(image["height"]), str(image["file_name"])) for image in images}
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read ({error.strerror}); expected COCO's instances .json") from None
    except (ValueError, KeyError, TypeError) as error:
        raise DatasetError(f"{path}: not COCO's instances .json ({type(error).__name__}: {error})") from None
    if not names or not set(found.values()) <= set(names):
        names = tuple(found[number] for number in sorted(found))
    ids = {number: names.index(name) for number, name in found.items()}

    rows: dict[Any, list[tuple[int, list[float], bool, float]]] = {number: [] for number in sizes}
    for place, annotation in enumerate(annotations):
        where = f"{path}, annotation {annotation.get('id', f'number {place + 1}')}"
        reason = _problem(annotation, sizes, ids)
        if reason:
            problems.add(where, reason)
        else:
            crowd, area = bool(annotation.get("iscrowd")), float(annotation.get("area", 0))
            rows[annotation["image_id"]].append((ids[annotation["category_id"]], annotation["bbox"], crowd, area))
    folder = pictures or _pictures_folder(path, [name for *_, name in sizes.values()])
    examples = []
    for number, (width, height, name) in sizes.items():
        corner = np.array([row[1] for row in rows[number]], np.float32).reshape(-1, 4)
        edges = np.concatenate([corner[:, :2], corner[:, :2] + corner[:, 2:]], axis=1)
        edges = np.clip(edges, 0, np.array([width, height] * 2, np.float32)) / np.array([width, height] * 2, np.float32)
        boxes = np.concatenate([(edges[:, :2] + edges[:, 2:]) / 2, edges[:, 2:] - edges[:, :2]], axis=1)
        examples.append(
            Example(
                folder / name,
                boxes.astype(np.float32),
                np.array([row[0] for row in rows[number]], np.int64),
                np.array([row[2] for row in rows[number]], bool),
                np.array([row[3] for row in rows[number]], np.float32),
            )
        )
    return names, examples


def _problem(annotation: Any, sizes: dict[Any, tuple[int, int, str]], ids: dict[int, int]) -> str:
    try:
        image, category = annotation["image_id"], annotation["category_id"]
        left, top, width, height = map(float, annotation["bbox"])
    except (KeyError, TypeError, ValueError) as error:
        return f"lacks an image_id, a category_id or a bbox of four numbers ({error})"
    if image not in sizes:
        return f"image {image} is not in the file"
    if category not in ids:
        return f"category {category} is not in the file"
    if width <= 0 or height <= 0:
        return f"the box {annotation['bbox']} is empty"
    across, down, name = sizes[image]
    leaves = max(-left, -top, left + width - across, top + height - down)
    if leaves > _ROUNDING_PIXELS:
        return f"the box {annotation['bbox']} leaves its picture {name} of {across}x{down}"
    return ""


def _pictures_folder(path: Path, names: list[str]) -> Path:
    """Where the pictures probably are: beside the file, or in COCO's own layout."""
    stem = path.stem.removeprefix("instances_")
    places = [
        path.parent,
        path.parent / "images",
        path.parent / stem,
        path.parent.parent / stem,
        path.parent.parent / "images",
    ]
    for place in places:
        if names and (place / names[0]).is_file():
            return place
    return path.parent
