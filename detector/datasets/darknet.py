"""Read Darknet datasets: a `.data` file, lists of images, and a `.txt` of boxes for each image.

Source: `read_data_cfg` (option_list.c), `get_paths` and `read_boxes` (data.c), `replace_image_to_label` (utils.c).
"""

from __future__ import annotations

import os
import re
from functools import cache
from pathlib import Path

from convert.errors import NamesError
from convert.names import read_names
from detector.datasets.boxes import ROUNDING, checked_edges
from detector.datasets.examples import Example, Problems, Splits
from detector.datasets.text import find_file, read_text
from detector.errors import DatasetError

MOST_CLASSES = 100_000
CLASSES = "classes.txt"

_IMAGES = re.compile(r"(^|/)(images|JPEGImages)/(?!(.*/)?(images|JPEGImages)/)")
_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".jp2", ".avif")

Row = tuple[int, float, float, float, float]
"""Class id, then centre x, centre y, width, height as fractions of the image."""


def read_darknet(data: Path, problems: Problems) -> Splits:
    """Read a `.data` file; errors are added to `problems`."""
    options = _read_options(data, problems)
    splits = Splits(_names(data, options, problems))
    for key in ("train", "valid", "test"):
        if key not in options:
            continue
        line, value = options[key]
        listing = _find(value, data.parent)
        folder = next((place for place in (Path(value), data.parent / value) if _is_folder(place)), None)
        if listing is not None:
            splits.of(key).extend(_read_list(listing, len(splits.names), problems))
        elif folder is not None:
            splits.of(key).extend(read_folder(folder, len(splits.names), problems))
        else:
            problems.add(f"{data}, line {line}", f"{key}={value}: no such list of pictures, and no such folder")
    if not options.keys() & {"train", "valid"}:
        problems.add(data, "has no train=; expected the list of the training pictures, or their folder")
    return splits


def folder_names(folder: Path) -> Path | None:
    """Return the `classes.txt` of a folder with `images` and `labels`, as exported by Label Studio; None for others."""
    if not (folder / "images").is_dir():
        return None
    places = (folder / CLASSES, folder / "labels" / CLASSES)
    return next((path for path in places if path.is_file()), None)


def read_images_and_labels(names: Path, folder: Path, problems: Problems) -> Splits:
    """Read the images of `folder/images`, all for training; `names` is the file that `folder_names` found."""
    try:
        splits = Splits(read_names(names))
    except NamesError as error:
        raise DatasetError(str(error)) from None
    splits.train.extend(read_folder(folder / "images", len(splits.names), problems))
    return splits


def read_folder(folder: Path, classes: int, problems: Problems, *, polygons: bool = False) -> list[Example]:
    """Return the images of a folder and its subfolders, sorted by name, each with its label file."""
    return [read_example(picture, classes, problems, polygons=polygons) for picture in picture_files(folder)]


def picture_files(folder: Path) -> list[Path]:
    """Return the images of a folder and its subfolders, sorted by name."""
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in _SUFFIXES and path.is_file())


def read_example(picture: Path, classes: int, problems: Problems, *, polygons: bool = False) -> Example:
    """Return an image with the rows of its label file; with `polygons`, the boxes of outlines too."""
    rows = None
    for name in _label_names(picture):
        rows = read_labels(name, classes, problems, polygons=polygons)
        if rows is not None:
            break
    return Example.from_rows(picture, rows or [], labelled=rows is not None)


def label_path(picture: Path) -> Path:
    """Return the path of an image's label file: in `labels` if it is in `images` or `JPEGImages`, else beside it."""
    moved, beside = map(Path, _label_names(picture))
    return moved if moved.exists() or not beside.exists() else beside


def _label_names(picture: Path) -> tuple[str, str]:
    """Return where an image's label file is looked for, as strings: a dataset may have 100,000 of them."""
    folder, name = os.path.split(os.path.splitext(picture)[0])  # noqa: PTH122
    return f"{_label_folder(folder)}{name}.txt", f"{folder}{folder and '/'}{name}.txt"


@cache
def _label_folder(folder: str) -> str:
    """Return the folder of label files for a folder of images, with a slash if it is not empty."""
    return _IMAGES.sub(r"\1labels/", f"{folder}/") if folder else ""


def read_labels(path: str, classes: int, problems: Problems, *, polygons: bool = False) -> list[Row] | None:
    """Return the rows of a label file, None if there is no such file; an invalid row is a problem and is left out."""
    try:
        text = read_text(path)
    except FileNotFoundError:
        return None
    except DatasetError as error:
        problems.lines.append(str(error))
        return []
    rows = []
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split()
        if not words:
            continue
        plain = _plain_row(words, classes)
        if plain is not None:
            rows.append(plain)
            continue
        if polygons and len(words) >= 7 and len(words) % 2:
            words = _box_of_polygon(words)
        row = _row(words, classes, f"{path}, line {number}", problems)
        if row is not None:
            rows.append(row)
    return rows


def _plain_row(words: list[str], classes: int) -> Row | None:
    """Parse a row that has nothing wrong; return None for any other. Half the time of reading a dataset was here."""
    try:
        kind, x, y, width, height = words
        row = int(kind), float(x), float(y), float(width), float(height)
    except ValueError:
        return None
    class_id, across, down, wide, high = row
    inside = wide / 2 <= across <= 1 - wide / 2 and high / 2 <= down <= 1 - high / 2
    return row if inside and wide > 0 and high > 0 and 0 <= class_id < classes else None


def _row(words: list[str], classes: int, place: str, problems: Problems) -> Row | None:
    """Parse five words to a row; return None and add a problem if they are invalid."""
    shown = " ".join(words[:6])
    if len(words) != 5:
        expected = "expected class, centre x, centre y, width, height"
        problems.add(place, f"{shown!r} has {len(words)} words; {expected}")
        return None
    try:
        class_id, (x, y, width, height) = int(words[0]), map(float, words[1:])
    except ValueError:
        problems.add(place, f"{shown!r} is not a whole number and four numbers")
        return None
    if not 0 <= class_id < classes:
        problems.add(place, f"class {class_id} is not among the {classes} names; expected 0 to {classes - 1}")
        return None
    edges = x - width / 2, y - height / 2, x + width / 2, y + height / 2
    checked = checked_edges(edges, place, repr(shown), problems)
    if checked is None:
        return None
    if max(-edges[0], -edges[1], edges[2] - 1, edges[3] - 1) <= ROUNDING:
        return class_id, x, y, width, height
    left, top, right, bottom = checked
    return class_id, (left + right) / 2, (top + bottom) / 2, right - left, bottom - top


def _box_of_polygon(words: list[str]) -> list[str]:
    """Convert a row of Ultralytics' outlines (class x y x y x y …) to a row of a box."""
    try:
        numbers = [float(word) for word in words[1:]]
    except ValueError:
        return words
    columns, rows = numbers[::2], numbers[1::2]
    left, right, top, bottom = min(columns), max(columns), min(rows), max(rows)
    return [words[0], *map(repr, ((left + right) / 2, (top + bottom) / 2, right - left, bottom - top))]


def _read_options(data: Path, problems: Problems) -> dict[str, tuple[int, str]]:
    """Return the keys of a `.data` file with their lines and values; the first of a repeated key."""
    options: dict[str, tuple[int, str]] = {}
    for number, line in enumerate(read_text(data).splitlines(), 1):
        stripped = line.strip()
        if not stripped or stripped[0] in "#;":
            continue
        key, equals, value = (part.strip() for part in stripped.partition("="))
        if not equals:
            problems.add(f"{data}, line {number}", f"{stripped[:80]!r} is not key = value")
        options.setdefault(key, (number, value))
    return options


def _names(data: Path, options: dict[str, tuple[int, str]], problems: Problems) -> tuple[str, ...]:
    classes = None
    if "classes" in options:
        line, value = options["classes"]
        if not (value.isascii() and value.isdigit() and len(value) < 10 and 1 <= int(value) <= MOST_CLASSES):
            problems.add(f"{data}, line {line}", f"classes={value[:40]}: expected a number, 1 to {MOST_CLASSES}")
        else:
            classes = int(value)
    if "names" in options:
        line, value = options["names"]
        path = _find(value, data.parent)
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
    for number, line in enumerate(read_text(listing).splitlines(), 1):
        name = line.strip()
        if not name:
            continue
        picture = _find(name, listing.parent)
        if picture is None:
            problems.add(f"{listing}, line {number}", f"{name[:200]}: no such picture")
            continue
        examples.append(read_example(picture, classes, problems))
    return examples


def _find(name: str, folder: Path) -> Path | None:
    """Return a file named in a `.data` file or a list; CVAT's begin with `data/`, which stands for the folder."""
    found = find_file(name, folder)
    return find_file(name.removeprefix("data/"), folder) if found is None and name.startswith("data/") else found


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False
