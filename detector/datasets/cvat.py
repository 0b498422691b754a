"""Read "CVAT for images 1.1", one XML file. CVAT's YOLO format is Darknet's.

Source: https://docs.cvat.ai/docs/manual/advanced/xml_format/
"""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from pathlib import Path

from detector.datasets.examples import Problems, Splits
from detector.datasets.named import SPLIT_NAMES, NamedBox, NamedPicture, to_splits
from detector.datasets.text import find_file, read_text
from detector.errors import DatasetError


def read_cvat(path: Path, folder: Path | None, wanted: tuple[str, ...], problems: Problems) -> Splits:
    """Read an XML file; `folder` contains the images, None looks beside the file.

    Raise `DatasetError` for a file that is not CVAT's. Shapes other than boxes, and rotated boxes, are problems.
    """
    try:
        root = ElementTree.fromstring(read_text(path))
    except (ElementTree.ParseError, ValueError) as error:
        raise DatasetError(f"{path}: not CVAT's XML ({error})") from None
    if root.tag != "annotations":
        raise DatasetError(f"{path}: not CVAT's XML: it begins with <{root.tag}>; expected <annotations>")
    names = [name for name in (label.findtext("name") for label in root.iter("label")) if name]
    pictures = []
    for number, image in enumerate(root.iter("image"), 1):
        place = f"{path}, image {image.get('name') or number}"
        try:
            width, height = int(image.attrib["width"]), int(image.attrib["height"])
            if width < 1 or height < 1:
                raise ValueError(f"the size is {width}x{height}")
            name = image.attrib["name"]
        except (KeyError, ValueError) as error:
            problems.add(place, f"needs a name, a width and a height ({error})")
            continue
        subset = image.get("subset", "").lower()
        picture = NamedPicture(_picture(path, folder, name, image.get("subset")), width, height, _split(subset))
        _add_boxes(picture, image, place, problems)
        pictures.append(picture)
    return to_splits(pictures, names, wanted, problems)


def _add_boxes(picture: NamedPicture, image: ElementTree.Element, place: str, problems: Problems) -> None:
    for number, shape in enumerate(image, 1):
        where = f"{place}, shape {number}"
        if shape.tag != "box":
            if shape.tag in ("polygon", "polyline", "points", "ellipse", "cuboid", "mask", "skeleton"):
                problems.add(where, f"is a {shape.tag}; expected a box")
            continue
        try:
            if float(shape.get("rotation", 0)):
                problems.add(where, "is rotated; expected an upright box")
                continue
            left, top, right, bottom = (float(shape.attrib[key]) for key in ("xtl", "ytl", "xbr", "ybr"))
            picture.boxes.append(NamedBox(shape.attrib["label"], left, top, right, bottom, where))
        except (KeyError, ValueError) as error:
            problems.add(where, f"needs a label, xtl, ytl, xbr and ybr ({error})")


def _split(subset: str) -> str:
    return SPLIT_NAMES.get(subset, "train")


def _picture(path: Path, folder: Path | None, name: str, subset: str | None) -> Path:
    folders = [folder] if folder else [path.parent, path.parent / "images", path.parent / "images" / (subset or "")]
    for place in folders:
        found = find_file(name, place) or find_file(Path(name).name, place)
        if found is not None:
            return found
    return folders[0] / name
