"""Read COCO datasets: an `instances` JSON file and a folder of images."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from detector.datasets.examples import Example, Problems
from detector.datasets.text import is_file
from detector.errors import DatasetError
from detector.heads.boxes import to_centres

_ROUNDING_PIXELS = 1.0
"""COCO's own boxes exceed their images by fractions of a pixel."""

Id = int | str


@dataclass(frozen=True)
class _Picture:
    file_name: str
    width: int
    height: int
    rows: list[tuple[str, tuple[float, float, float, float], bool, float]] = field(default_factory=list)
    """Category name, left, top, width, height in pixels, crowd, area in pixels."""


@dataclass(frozen=True)
class CocoFile:
    """A parsed COCO file: its categories and its images."""

    path: Path
    categories: dict[Id, str]
    pictures: dict[Id, _Picture]

    @property
    def names(self) -> tuple[str, ...]:
        """The categories' names in the order of their ids."""
        return tuple(dict.fromkeys(self.categories[key] for key in sorted(self.categories, key=_order)))

    def examples(self, folder: Path | None, names: tuple[str, ...], problems: Problems) -> list[Example]:
        """Return the images with class ids by `names`; a category outside them is a problem if it is used.

        `folder` contains the images; None looks beside the file and in COCO's own layout.
        """
        ids = {name: number for number, name in enumerate(names)}
        unknown = {row[0] for picture in self.pictures.values() for row in picture.rows} - set(ids)
        for name in sorted(unknown):
            problems.add(self.path, f"category {name!r} is not among the training data's {len(names)} classes")
        if unknown:
            return []
        folder = folder or _pictures_folder(self.path, [picture.file_name for picture in self.pictures.values()])
        return [_example(picture, folder, ids) for picture in self.pictures.values()]


def read_json(path: Path) -> Any:
    """Return the content of a `.json` file. Raise `DatasetError`."""
    try:
        return json.loads(path.read_bytes())
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read ({error.strerror}); expected COCO's instances .json") from None
    except (ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())[:200]
        raise DatasetError(f"{path}: not COCO's instances .json ({type(error).__name__}: {reason})") from None


def read_coco(path: Path, problems: Problems) -> CocoFile:
    """Read a COCO file; invalid entries are added to `problems`. Raise `DatasetError` for one that is not COCO's."""
    return parse_coco(path, read_json(path), problems)


def parse_coco(path: Path, content: Any, problems: Problems) -> CocoFile:
    """Parse a COCO file's content, as `read_coco` does."""
    try:
        images, annotations, categories = (content[key] for key in ("images", "annotations", "categories"))
        if not all(isinstance(part, list) for part in (images, annotations, categories)):
            raise TypeError("images, annotations and categories must be lists")
    except (KeyError, TypeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise DatasetError(f"{path}: not COCO's instances .json ({type(error).__name__}: {reason})") from None
    found = CocoFile(path, {}, {})
    for place, entry in _entries(path, "category", categories, problems):
        key, name = entry.get("id"), entry.get("name")
        if not _is_id(key) or not isinstance(name, str) or not name.strip():
            problems.add(place, "needs an id (a number) and a name (a text)")
        else:
            found.categories[key] = name
    for place, entry in _entries(path, "image", images, problems):
        key, name, width, height = (entry.get(part) for part in ("id", "file_name", "width", "height"))
        if not _is_id(key) or not isinstance(name, str) or not _is_side(width) or not _is_side(height):
            problems.add(place, "needs an id, a file_name, and a width and height of whole pixels")
        elif key in found.pictures:
            problems.add(place, f"has the id {key} of {found.pictures[key].file_name} before it")
        else:
            found.pictures[key] = _Picture(name, int(width), int(height))
    for place, entry in _entries(path, "annotation", annotations, problems):
        reason = _add_annotation(found, entry, problems)
        if reason:
            problems.add(place, reason)
    return found


def _add_annotation(found: CocoFile, entry: Any, problems: Problems) -> str:
    """Add a box to its image, or add a problem."""
    image, category, corner = entry.get("image_id"), entry.get("category_id"), entry.get("bbox")
    if not _is_id(image) or not _is_id(category) or not _is_box(corner):
        return "needs an image_id, a category_id and a bbox of four numbers"
    left, top, width, height = map(float, corner)
    if image not in found.pictures:
        return f"image {image} is not in the file"
    if category not in found.categories:
        return f"category {category} is not in the file"
    if width <= 0 or height <= 0:
        return f"the box {corner} is empty"
    picture = found.pictures[image]
    if max(-left, -top, left + width - picture.width, top + height - picture.height) > _ROUNDING_PIXELS:
        empty = min(left + width, picture.width) <= max(left, 0) or min(top + height, picture.height) <= max(top, 0)
        if not problems.clip or empty:
            return f"the box {corner} leaves its picture {picture.file_name} of {picture.width}x{picture.height}"
        problems.clipped += 1
    area = entry.get("area")
    if area is None:
        area = width * height
    if not _is_number(area) or area < 0:
        return f"area {area!r} is not a number of pixels"
    name = found.categories[category]
    picture.rows.append((name, (left, top, width, height), bool(entry.get("iscrowd")), float(area)))
    return ""


def _example(picture: _Picture, folder: Path, ids: dict[str, int]) -> Example:
    size = np.array([picture.width, picture.height] * 2, np.float32)
    corner = np.array([row[1] for row in picture.rows], np.float32).reshape(-1, 4)
    edges = np.concatenate([corner[:, :2], corner[:, :2] + corner[:, 2:]], axis=1)
    edges = np.clip(edges, 0, size) / size
    return Example(
        folder / picture.file_name,
        to_centres(edges),
        np.array([ids[row[0]] for row in picture.rows], np.int64),
        np.array([row[2] for row in picture.rows], bool),
        np.array([row[3] for row in picture.rows], np.float32),
        size=(picture.width, picture.height),
    )


def _entries(path: Path, kind: str, entries: list[Any], problems: Problems) -> Iterator[tuple[str, Any]]:
    """Yield each entry that is an object, with its position for messages; others are problems."""
    for number, entry in enumerate(entries, 1):
        if not isinstance(entry, dict):
            problems.add(f"{path}, {kind} number {number}", "is not an object")
            continue
        key = entry.get("id")
        yield f"{path}, {kind} {key if _is_id(key) else f'number {number}'}", entry


def _is_id(value: Any) -> bool:
    return isinstance(value, int | str) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    try:
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    except OverflowError:  # an integer beyond the range of a float
        return False


def _is_side(value: Any) -> bool:
    return _is_number(value) and value == int(value) and 1 <= value <= 1_000_000


def _is_box(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 4 and all(map(_is_number, value))


def _order(key: Id) -> tuple[bool, Id]:
    return isinstance(key, str), key


def _pictures_folder(path: Path, names: list[str]) -> Path:
    """Return where the images probably are: beside the file, or in COCO's own layout."""
    stem = path.stem.removeprefix("instances_")
    places = [
        path.parent,
        path.parent / "images",
        path.parent / stem,
        path.parent.parent / stem,
        path.parent.parent / "images",
    ]
    return next((place for place in places if names and is_file(place / names[0])), path.parent)
