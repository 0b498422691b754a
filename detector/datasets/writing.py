"""Write a dataset in any format to a new folder, with copies of its images."""

from __future__ import annotations

import csv
import io
import json
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from detector.datasets.copying import SPLITS, CopiedPicture, Progress, check_new_folder, copy_pictures, write_text
from detector.datasets.csv_table import COLUMNS
from detector.datasets.examples import Dataset
from detector.datasets.forms import Form
from detector.datasets.voc import LABEL_MAP

_VOC_LISTS = {"train": "train", "valid": "val", "test": "test"}
_CVAT_SUBSETS = {"train": "Train", "valid": "Validation", "test": "Test"}


def write_dataset(dataset: Dataset, folder: Path, form: Form, *, progress: Progress = iter) -> Path:
    """Write a dataset, and return the path to pass to `read_dataset`.

    `progress` wraps the copying of images. The file that refers to the others is written last. COCO's format, which has
    no splits, gets a file for each. Raise `OutputError` for a folder that is not new, `WriteError` if a file could not
    be written.
    """
    check_new_folder(folder)
    place = "JPEGImages" if form == "voc" else "images/{split}"
    pictures = copy_pictures(dataset, folder, place, progress)
    return _WRITERS[form](folder, dataset.names, pictures)


def _darknet(folder: Path, names: tuple[str, ...], pictures: Sequence[CopiedPicture]) -> Path:
    _write_label_files(folder, pictures)
    write_text(folder / "obj.names", "".join(f"{name}\n" for name in names))
    lines = [f"classes = {len(names)}", "names = obj.names"]
    for split in SPLITS:
        listed = [picture.path for picture in pictures if picture.split == split]
        if listed:
            write_text(folder / f"{split}.txt", "".join(f"{path}\n" for path in listed))
            lines.append(f"{split} = {split}.txt")
    write_text(folder / "obj.data", "\n".join(lines) + "\n")
    return folder / "obj.data"


def _ultralytics(folder: Path, names: tuple[str, ...], pictures: Sequence[CopiedPicture]) -> Path:
    _write_label_files(folder, pictures)
    there = {picture.split for picture in pictures}
    train = "train" if "train" in there else "valid"
    # Ultralytics requires train and val; JSON's strings are valid YAML.
    lines = [f"train: images/{train}", f"val: images/{'valid' if 'valid' in there else train}"]
    lines += ["test: images/test"] if "test" in there else []
    lines += ["names:", *(f"  {number}: {json.dumps(name)}" for number, name in enumerate(names))]
    write_text(folder / "data.yaml", "\n".join(lines) + "\n")
    return folder / "data.yaml"


def _write_label_files(folder: Path, pictures: Sequence[CopiedPicture]) -> None:
    for picture in pictures:
        path = folder / "labels" / picture.path.relative_to("images").with_suffix(".txt")
        rows = zip(picture.example.class_id.tolist(), picture.example.boxes.tolist(), strict=True)
        write_text(path, "".join(f"{kind} " + " ".join(f"{part:.8g}" for part in box) + "\n" for kind, box in rows))


def _coco(folder: Path, names: tuple[str, ...], pictures: Sequence[CopiedPicture]) -> Path:
    first = None
    for split in SPLITS:
        own = [picture for picture in pictures if picture.split == split]
        if own:
            path = folder / f"instances_{split}.json"
            write_text(path, json.dumps(_coco_content(names, own), ensure_ascii=False) + "\n")
            first = first or path
    return first or folder


def _coco_content(names: tuple[str, ...], pictures: Sequence[CopiedPicture]) -> dict[str, Any]:
    annotations: list[dict[str, Any]] = []
    for image_id, picture in enumerate(pictures, 1):
        example = picture.example
        for index, box in enumerate(picture.boxes(names)):
            width, height = box.right - box.left, box.bottom - box.top
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image_id,
                    "category_id": int(example.class_id[index]) + 1,
                    "bbox": [round(value, 3) for value in (box.left, box.top, width, height)],
                    "area": round(width * height if example.area is None else float(example.area[index]), 3),
                    "iscrowd": int(example.crowd[index]),
                }
            )
    images = [
        {"id": image_id, "file_name": str(picture.path), "width": picture.width, "height": picture.height}
        for image_id, picture in enumerate(pictures, 1)
    ]
    categories = [{"id": number, "name": name} for number, name in enumerate(names, 1)]
    return {"images": images, "annotations": annotations, "categories": categories}


def _voc(folder: Path, names: tuple[str, ...], pictures: Sequence[CopiedPicture]) -> Path:
    for picture in pictures:
        root = ElementTree.Element("annotation")
        _child(root, "folder", "JPEGImages")
        _child(root, "filename", picture.path.name)
        size = ElementTree.SubElement(root, "size")
        for key, value in (("width", picture.width), ("height", picture.height), ("depth", 3)):
            _child(size, key, value)
        for box in picture.boxes(names):
            entry = ElementTree.SubElement(root, "object")
            for key, text in (("name", box.name), ("pose", "Unspecified"), ("truncated", 0), ("difficult", 0)):
                _child(entry, key, text)
            bounds = ElementTree.SubElement(entry, "bndbox")
            edges = box.left + 1, box.top + 1, box.right, box.bottom
            for key, edge in zip(("xmin", "ymin", "xmax", "ymax"), edges, strict=True):
                _child(bounds, key, f"{edge:.3f}".rstrip("0").rstrip("."))
        _write_xml(folder / "Annotations" / f"{picture.path.stem}.xml", root)
    for split, name in _VOC_LISTS.items():
        listed = [picture.path.stem for picture in pictures if picture.split == split]
        if listed:
            write_text(folder / "ImageSets" / "Main" / f"{name}.txt", "".join(f"{stem}\n" for stem in listed))
    # Without it CVAT and Datumaro refuse classes that are not Pascal VOC's own twenty.
    lines = ["# label:color_rgb:parts:actions", "background:0,0,0::", *(f"{name}:::" for name in names)]
    write_text(folder / LABEL_MAP, "".join(f"{line}\n" for line in lines))
    return folder


def _cvat(folder: Path, names: tuple[str, ...], pictures: Sequence[CopiedPicture]) -> Path:
    root = ElementTree.Element("annotations")
    _child(root, "version", "1.1")
    labels = ElementTree.SubElement(ElementTree.SubElement(ElementTree.SubElement(root, "meta"), "task"), "labels")
    for name in names:
        _child(ElementTree.SubElement(labels, "label"), "name", name)
    several = len({picture.split for picture in pictures}) > 1
    for number, picture in enumerate(pictures):
        # CVAT names pictures within the folder images.
        about = {"id": str(number), "name": str(picture.path.relative_to("images"))}
        about |= {"subset": _CVAT_SUBSETS[picture.split]} if several else {}
        about |= {"width": str(picture.width), "height": str(picture.height)}
        image = ElementTree.SubElement(root, "image", about)
        for box in picture.boxes(names):
            edges = zip(("xtl", "ytl", "xbr", "ybr"), (box.left, box.top, box.right, box.bottom), strict=True)
            shape = {"label": box.name, "occluded": "0", "source": "manual", "z_order": "0"}
            ElementTree.SubElement(image, "box", shape | {key: f"{edge:.3f}" for key, edge in edges})
    _write_xml(folder / "annotations.xml", root)
    return folder / "annotations.xml"


def _label_studio(folder: Path, names: tuple[str, ...], pictures: Sequence[CopiedPicture]) -> Path:
    tasks = []
    for number, picture in enumerate(pictures, 1):
        results = [
            {
                "id": f"{number}-{index}",
                "type": "rectanglelabels",
                "from_name": "label",
                "to_name": "image",
                "original_width": picture.width,
                "original_height": picture.height,
                "image_rotation": 0,
                "value": {
                    "x": box.left / picture.width * 100,
                    "y": box.top / picture.height * 100,
                    "width": (box.right - box.left) / picture.width * 100,
                    "height": (box.bottom - box.top) / picture.height * 100,
                    "rotation": 0,
                    "rectanglelabels": [box.name],
                },
            }
            for index, box in enumerate(picture.boxes(names), 1)
        ]
        address = f"/data/local-files/?d={picture.path}"
        tasks.append({"id": number, "data": {"image": address}, "annotations": [{"id": number, "result": results}]})
    write_text(folder / "tasks.json", json.dumps(tasks, ensure_ascii=False) + "\n")
    return folder / "tasks.json"


def _csv(folder: Path, names: tuple[str, ...], pictures: Sequence[CopiedPicture]) -> Path:
    text = io.StringIO(newline="")
    table = csv.writer(text, lineterminator="\n")
    table.writerow([*COLUMNS, "split"])
    for picture in pictures:
        before = [str(picture.path), picture.width, picture.height]
        boxes = picture.boxes(names)
        for box in boxes:
            edges = (f"{edge:.3f}" for edge in (box.left, box.top, box.right, box.bottom))
            table.writerow([*before, box.name, *edges, picture.split])
        if not boxes:
            table.writerow([*before, *[""] * 5, picture.split])
    write_text(folder / "labels.csv", text.getvalue())
    return folder / "labels.csv"


def _child(parent: ElementTree.Element, tag: str, text: object) -> None:
    ElementTree.SubElement(parent, tag).text = str(text)


def _write_xml(path: Path, root: ElementTree.Element) -> None:
    ElementTree.indent(root)
    write_text(path, ElementTree.tostring(root, encoding="unicode") + "\n")


_WRITERS: dict[Form, Callable[[Path, tuple[str, ...], Sequence[CopiedPicture]], Path]] = {
    "darknet": _darknet,
    "ultralytics": _ultralytics,
    "coco": _coco,
    "voc": _voc,
    "cvat": _cvat,
    "label-studio": _label_studio,
    "csv": _csv,
}
