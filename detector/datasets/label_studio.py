"""Read Label Studio's JSON: a list of tasks, each an image with the results of its annotators.

Source: https://labelstud.io/guide/export and https://labelstud.io/guide/task_format
"""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from detector.datasets.examples import Problems, Splits
from detector.datasets.named import NamedBox, NamedPicture, to_splits
from detector.datasets.text import is_file

_UPLOAD_PREFIX = re.compile(r"^[0-9a-f]{8}-")
"""The prefix of an uploaded file's name."""


def read_label_studio(
    path: Path, tasks: list[Any], folder: Path | None, wanted: tuple[str, ...], problems: Problems
) -> Splits:
    """Read the tasks of a JSON or JSON-MIN export; the last of several annotations of a task counts.

    Images are searched by name in `folder`, or beside the file.
    """
    pictures = []
    for number, task in enumerate(tasks, 1):
        place = f"{path}, task {task.get('id', number) if isinstance(task, dict) else number}"
        if not isinstance(task, dict):
            problems.add(place, "is not an object")
            continue
        source = _source(task)
        if not source:
            problems.add(place, "names no picture")
            continue
        results = _results(task)
        image = _picture(path, folder, source)
        size = _size(results) or _stored_size(image)
        if size is None:
            problems.add(place, f"{image}: no such picture; name the folder of the pictures with --pictures")
            continue
        picture = NamedPicture(image, *size)
        for index, result in enumerate(results, 1):
            _add_box(picture, result, f"{place}, result {index}", problems)
        pictures.append(picture)
    return to_splits(pictures, (), wanted, problems)


def _source(task: dict[str, Any]) -> str:
    data = task["data"] if isinstance(task.get("data"), dict) else task
    for key in ("image", "img", "picture", "url"):
        if isinstance(data.get(key), str):
            return str(data[key])
    return ""


def _results(task: dict[str, Any]) -> list[Any]:
    """Return the results of the last annotation that was not cancelled; for JSON-MIN, the list under its label's name.

    Tasks to be imported, which have no annotations yet, contain predictions in the same format.
    """
    made = task.get("annotations", task.get("predictions"))
    if isinstance(made, list):
        kept = [one for one in made if isinstance(one, dict) and not one.get("was_cancelled")]
        result = kept[-1].get("result") if kept else []
        return [one for one in result if not _is_other(one)] if isinstance(result, list) else []
    for value in task.values():
        if isinstance(value, list) and value and isinstance(value[0], dict) and "rectanglelabels" in value[0]:
            return [{"value": one, **one} for one in value if isinstance(one, dict)]
    return []


def _is_other(result: Any) -> bool:
    """Choices and texts belong to the whole image."""
    return isinstance(result, dict) and result.get("type") in ("choices", "textarea", "rating", "taxonomy")


def _size(results: list[Any]) -> tuple[int, int] | None:
    for result in results:
        if isinstance(result, dict):
            width, height = result.get("original_width"), result.get("original_height")
            if isinstance(width, int) and isinstance(height, int) and width > 0 and height > 0:
                return width, height
    return None


def _stored_size(path: Path) -> tuple[int, int] | None:
    from detector.datasets.pictures import displayed_size

    try:
        return displayed_size(path)
    except OSError:
        return None


def _add_box(picture: NamedPicture, result: Any, place: str, problems: Problems) -> None:
    value = result.get("value") if isinstance(result, dict) else None
    try:
        labels = value["rectanglelabels"]  # type: ignore[index]
        left, top, width, height = (float(value[key]) for key in ("x", "y", "width", "height"))  # type: ignore[index]
        rotation = float(value.get("rotation") or 0)  # type: ignore[union-attr]
    except (KeyError, TypeError, ValueError):
        problems.add(place, "is not a rectangle with a label")
        return
    if not isinstance(labels, list) or not labels or not isinstance(labels[0], str):
        problems.add(place, "has no label")
    elif math.fmod(rotation, 360):
        problems.add(place, "is rotated; expected an upright rectangle")
    else:
        across, down = picture.width / 100, picture.height / 100
        right, bottom = (left + width) * across, (top + height) * down
        picture.boxes.append(NamedBox(labels[0], left * across, top * down, right, bottom, place))


def _picture(path: Path, folder: Path | None, source: str) -> Path:
    """Return an image file named by an address of Label Studio, another address, or a path."""
    parts = urlsplit(source)
    named = parse_qs(parts.query).get("d", [""])[0] or unquote(parts.path)
    name = Path(named).name
    places = [folder] if folder else [path.parent, path.parent / "images"]
    for place in places:
        for candidate in (place / named.lstrip("/"), place / name, place / _UPLOAD_PREFIX.sub("", name)):
            if is_file(candidate):
                return candidate
    return Path(named) if is_file(Path(named)) else places[0] / name
