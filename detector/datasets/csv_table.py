"""Read label tables: a row for each box, with the columns of TensorFlow's object detection or of keras-retinanet."""

from __future__ import annotations

import csv
from pathlib import Path

from detector.datasets.examples import Problems, Splits
from detector.datasets.named import SPLIT_NAMES, NamedBox, NamedPicture, to_splits
from detector.datasets.pictures import displayed_size
from detector.datasets.text import find_file, read_text
from detector.errors import DatasetError

COLUMNS = ("filename", "width", "height", "class", "xmin", "ymin", "xmax", "ymax")
_WITHOUT_HEADER = ("filename", "xmin", "ymin", "xmax", "ymax", "class")
_SYNONYMS = {
    "path": "filename",
    "image": "filename",
    "image_path": "filename",
    "file": "filename",
    "label": "class",
    "name": "class",
    "class_name": "class",
    "x1": "xmin",
    "y1": "ymin",
    "x2": "xmax",
    "y2": "ymax",
    "left": "xmin",
    "top": "ymin",
    "right": "xmax",
    "bottom": "ymax",
}


def read_csv(path: Path, folder: Path | None, wanted: tuple[str, ...], problems: Problems) -> Splits:
    """Read a table; edges are in pixels counted from 0.

    A row with empty edges is an image without objects. Without a header the columns are file name, left, top, right,
    bottom, class. A column `split` is read. `folder` contains the images; None looks beside the file. Raise
    `DatasetError` for a table without the required columns.
    """
    text = read_text(path)
    first = text.partition("\n")[0]
    delimiter = max(",;\t", key=first.count)
    rows = list(csv.reader(text.splitlines(), delimiter=delimiter))
    columns, begin = _columns(path, rows[0] if rows else [])
    pictures: dict[str, NamedPicture] = {}
    for number, row in enumerate(rows[begin:], begin + 1):
        if not any(cell.strip() for cell in row):
            continue
        place = f"{path}, line {number}"
        cells = {name: row[index].strip() for name, index in columns.items() if index < len(row)}
        name = cells.get("filename", "")
        if name not in pictures:
            picture = _picture(path, folder, cells, place, problems)
            if picture is None:
                continue
            pictures[name] = picture
        edges = [cells.get(key, "") for key in ("xmin", "ymin", "xmax", "ymax")]
        if not any(edges):
            continue
        try:
            left, top, right, bottom = map(float, edges)
        except ValueError:
            problems.add(place, f"{', '.join(edges)[:80]!r} are not four numbers")
            continue
        if not cells.get("class"):
            problems.add(place, "has no class")
            continue
        pictures[name].boxes.append(NamedBox(cells["class"], left, top, right, bottom, place))
    return to_splits(list(pictures.values()), (), wanted, problems)


def _columns(path: Path, first: list[str]) -> tuple[dict[str, int], int]:
    """Return the index of each column, and the number of header lines."""
    header = [cell.strip().lower() for cell in first]
    names = [_SYNONYMS.get(cell, cell) for cell in header]
    if set(_WITHOUT_HEADER) <= set(names):
        return {name: names.index(name) for name in names}, 1
    if len(first) == len(_WITHOUT_HEADER) and all(_is_number(cell) or not cell.strip() for cell in first[1:5]):
        return {name: index for index, name in enumerate(_WITHOUT_HEADER)}, 0
    raise DatasetError(
        f"{path}: the columns are {', '.join(first)[:200] or 'none'}; expected {', '.join(COLUMNS)}, or without a "
        f"header {', '.join(_WITHOUT_HEADER)}"
    )


def _picture(
    path: Path, folder: Path | None, cells: dict[str, str], place: str, problems: Problems
) -> NamedPicture | None:
    name = cells.get("filename", "")
    found = find_file(name, folder or path.parent) or find_file(name, path.parent / "images") if name else None
    if found is None:
        problems.add(place, f"{name[:200]!r}: no such picture")
        return None
    try:
        width, height = int(float(cells["width"])), int(float(cells["height"]))
        if width < 1 or height < 1:
            raise ValueError
    except (KeyError, ValueError, OverflowError):
        try:
            width, height = displayed_size(found)
        except OSError as error:
            problems.add(found, f"the picture does not open ({' '.join(str(error).split())})")
            return None
    return NamedPicture(found, width, height, SPLIT_NAMES.get(cells.get("split", "").lower(), "train"))


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
