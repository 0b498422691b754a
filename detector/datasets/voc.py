"""Read Pascal VOC datasets: `Annotations/*.xml`, `JPEGImages/`, and lists in `ImageSets/Main`.

Source: http://host.robots.ox.ac.uk/pascal/VOC/voc2012/devkit_doc.pdf. Pixels are counted from 1, and the last one is
part of the box.
"""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from pathlib import Path

from detector.datasets.examples import Problems, Splits
from detector.datasets.named import NamedBox, NamedPicture, to_splits
from detector.datasets.text import is_file, read_text

LABEL_MAP = "labelmap.txt"

_LISTS = {"train": ("train", "trainval"), "valid": ("val", "valid"), "test": ("test",)}
_SUFFIXES = (".jpg", ".jpeg", ".png", ".JPG", ".bmp", ".webp")


def is_voc(folder: Path) -> bool:
    """Return whether a folder has VOC's layout."""
    return (folder / "Annotations").is_dir()


def read_voc(folder: Path, wanted: tuple[str, ...], problems: Problems) -> Splits:
    """Read a folder; without lists all its images are training images."""
    split_of = _splits(folder)
    pictures = []
    for path in sorted((folder / "Annotations").glob("*.xml")):
        if split_of and path.stem not in split_of:
            continue
        picture = read_annotation(path, folder, split_of.get(path.stem, "train"), problems)
        if picture is not None:
            pictures.append(picture)
    found = {picture.path.stem for picture in pictures}
    for stem in split_of.keys() - found - {path.stem for path in (folder / "Annotations").glob("*.xml")}:
        problems.add(folder / "ImageSets" / "Main", f"{stem}: no such file in Annotations")
    return to_splits(pictures, _label_map(folder), wanted, problems)


def read_annotation(path: Path, folder: Path, split: str, problems: Problems) -> NamedPicture | None:
    """Read one `.xml`; return None if it is damaged."""
    try:
        root = ElementTree.fromstring(read_text(path))
        size = root.find("size")
        width, height = (int(float(_text(size, key))) for key in ("width", "height"))
        if width < 1 or height < 1:
            raise ValueError(f"the size is {width}x{height}")
        image = _image(path, folder, root.findtext("filename") or "")
        picture = NamedPicture(image, width, height, split)
        for number, entry in enumerate(root.iter("object"), 1):
            place = f"{path}, object {number}"
            name = (entry.findtext("name") or "").strip()
            left, top, right, bottom = (
                float(_text(entry.find("bndbox"), key)) for key in ("xmin", "ymin", "xmax", "ymax")
            )
            if not name:
                problems.add(place, "has no name")
                continue
            picture.boxes.append(NamedBox(name, left - 1, top - 1, right, bottom, place))
    except (ElementTree.ParseError, ValueError) as error:
        problems.add(path, f"is not an annotation of VOC's form ({error})")
        return None
    return picture


def _label_map(folder: Path) -> list[str]:
    """Return the classes in the order of the file that CVAT and Datumaro add; none without it."""
    path = folder / LABEL_MAP
    lines = [line.strip() for line in read_text(path).splitlines()] if is_file(path) else []
    names = [line.rsplit(":", 3)[0] for line in lines if line and not line.startswith("#")]
    return [name for name in names if name and name != "background"]


def _text(node: ElementTree.Element | None, key: str) -> str:
    text = None if node is None else node.findtext(key)
    if text is None:
        raise ValueError(f"has no {key}")
    return text


def _image(path: Path, folder: Path, filename: str) -> Path:
    """Return the image of an annotation: by its file name, otherwise by the annotation's own."""
    places = [folder / "JPEGImages", folder / "images", folder]
    names = ([Path(filename).name] if filename else []) + [path.stem + suffix for suffix in _SUFFIXES]
    for name in names:
        for place in places:
            if is_file(place / name):
                return place / name
    return places[0] / names[0]


def _stem(line: str, folder: Path) -> str:
    """Return the image that a line names: the whole line, or its first word, before a flag in lists of one class."""
    return line if is_file(folder / "Annotations" / f"{line}.xml") else line.split()[0]


def _splits(folder: Path) -> dict[str, str]:
    """Return the split of each image, by the lists; empty without lists."""
    found: dict[str, str] = {}
    for split, names in _LISTS.items():
        for name in names:
            path = folder / "ImageSets" / "Main" / f"{name}.txt"
            if not is_file(path) or (name == "trainval" and found):
                continue
            for line in read_text(path).splitlines():
                if line.strip():
                    found.setdefault(_stem(line.strip(), folder), split)
    return found
