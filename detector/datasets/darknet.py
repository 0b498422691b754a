"""Darknet's form of labelled pictures: a `.data` file, lists of pictures, and a `.txt` of boxes for each.

Source: `read_data_cfg` (option_list.c), `get_paths` and `read_boxes` (data.c), `replace_image_to_label` (utils.c).
"""

from __future__ import annotations

import math
import re
from pathlib import Path

from convert.errors import NamesError
from convert.names import read_names
from detector.datasets.dataset import Example, Problems
from detector.errors import DatasetError

_IMAGES = re.compile(r"/(images|JPEGImages)/(?!.*/(images|JPEGImages)/)")
_ROUNDING = 1e-3
"""A box may leave the picture by this part of it: labels are rounded."""


def read_darknet(data: Path, problems: Problems) -> tuple[tuple[str, ...], list[Example], list[Example]]:
    """Names, pictures to train on and to judge by; mistakes are added to `problems`."""
    options = _read_options(data, problems)
    names = _names(data, options, problems)
    parts: list[list[Example]] = []
    for key in ("train", "valid"):
        examples: list[Example] = []
        if key in options:
            line, value = options[key]
            listing = _resolve(value, data)
            if listing is None:
                problems.add(f"{data}, line {line}", f"{key}={value}: no such list of pictures")
            else:
                examples = _read_list(listing, len(names), problems)
        elif key == "train":
            problems.add(data, "has no train=; expected the list of the pictures to train on")
        parts.append(examples)
    return names, parts[0], parts[1]


def label_path(picture: Path) -> Path:
    """Where a picture's boxes are: in `labels` where it is in `images` or `JPEGImages`, else beside it."""
    beside = picture.with_suffix(".txt")
    moved = Path(_IMAGES.sub("/labels/", str(beside)))
    return moved if moved.exists() or not beside.exists() else beside


def read_labels(path: Path, classes: int, problems: Problems) -> list[tuple[int, float, float, float, float]]:
    """The rows of a label file, none where it is missing; a bad one is a problem and is left out."""
    try:
        text = path.read_text("utf-8-sig")
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError) as error:
        problems.add(path, f"cannot be read ({error})")
        return []
    rows = []
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split()
        if not words:
            continue
        row, reason = _row(words, classes)
        if reason:
            problems.add(f"{path}, line {number}", reason)
        elif row:
            rows.append(row)
    return rows


def _row(words: list[str], classes: int) -> tuple[tuple[int, float, float, float, float] | None, str]:
    shown = " ".join(words[:6])
    if len(words) != 5:
        return None, f"{shown!r} has {len(words)} words; expected class, centre x, centre y, width, height"
    try:
        class_id, (x, y, width, height) = int(words[0]), map(float, words[1:])
    except ValueError:
        return None, f"{shown!r} is not a whole number and four numbers"
    if not 0 <= class_id < classes:
        return None, f"class {class_id} is beyond the {classes} names; expected 0 to {classes - 1}"
    if not all(map(math.isfinite, (x, y, width, height))) or width <= 0 or height <= 0:
        return None, f"{shown!r} is no box: width and height must be above 0"
    edges = x - width / 2, y - height / 2, 1 - x - width / 2, 1 - y - height / 2
    if min(edges) < -_ROUNDING:
        return None, f"the box {shown!r} leaves the picture; expected parts of it, 0 to 1"
    return (class_id, x, y, width, height), ""


def _read_options(data: Path, problems: Problems) -> dict[str, tuple[int, str]]:
    options: dict[str, tuple[int, str]] = {}
    try:
        lines = data.read_text("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(f"{data}: cannot be read ({error}); expected Darknet's .data file") from None
    for number, line in enumerate(lines, 1):
        stripped = line.strip()
        if not stripped or stripped[0] in "#;":
            continue
        key, equals, value = (part.strip() for part in stripped.partition("="))
        if not equals:
            problems.add(f"{data}, line {number}", f"{stripped!r} is no key = value")
        options.setdefault(key, (number, value))
    return options


def _names(data: Path, options: dict[str, tuple[int, str]], problems: Problems) -> tuple[str, ...]:
    classes = None
    if "classes" in options:
        line, value = options["classes"]
        if not value.isdigit() or int(value) < 1:
            problems.add(f"{data}, line {line}", f"classes={value} is no number of classes")
        else:
            classes = int(value)
    if "names" in options:
        line, value = options["names"]
        path = _resolve(value, data)
        if path is None:
            problems.add(f"{data}, line {line}", f"names={value}: no such file")
        else:
            try:
                return read_names(path, classes)
            except NamesError as error:
                problems.lines.append(str(error))
    elif classes is None:
        problems.add(data, "has neither names= nor classes=")
    return tuple(f"class {number}" for number in range(classes or 0))


def _read_list(listing: Path, classes: int, problems: Problems) -> list[Example]:
    examples = []
    for number, line in enumerate(listing.read_text("utf-8-sig").splitlines(), 1):
        name = line.strip()
        if not name:
            continue
        picture = _resolve(name, listing)
        if picture is None:
            problems.add(f"{listing}, line {number}", f"{name}: no such picture")
            continue
        examples.append(Example.of(picture, read_labels(label_path(picture), classes, problems)))
    return examples


def _resolve(name: str, beside: Path) -> Path | None:
    """A path as Darknet reads it, from the working folder, or from the folder of the file that names it."""
    for path in (Path(name), beside.parent / name):
        if path.is_file():
            return path
    return None
