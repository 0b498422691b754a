"""Export the JSON lines of `yolo3 image` to the formats of labelling tools."""

from __future__ import annotations

import csv
import functools
import io
import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from typing import Literal, TextIO, get_args

from convert.errors import ModelFileError
from convert.files import check_output, make_folder, replacing
from convert.folders import replacing_folder
from convert.model_file import read_description
from convert.names import read_names
from convert.text import printable
from detector.errors import LogError, SettingsError
from detector.images.addresses import is_url
from detector.images.finding import output_name
from detector.logs.box_filter import EVERY_BOX, BoxFilter
from detector.logs.box_formats import (
    CVAT_END,
    ESCAPED,
    category_ids,
    coco_annotation,
    coco_categories,
    cvat_head,
    cvat_image,
    label_studio_result,
    yolo_line,
)
from detector.logs.records import LineError, PictureRecord, picture_of

PictureFormat = Literal["csv", "coco", "yolo", "labelstudio", "cvat"]

CLASSES = "classes.txt"
_LONGEST_LINE = 1 << 24
_COLUMNS = ("filename", "width", "height", "class", "xmin", "ymin", "xmax", "ymax", "confidence")


@dataclass(frozen=True)
class LabelledPictures:
    """A file of `yolo3 image --json`, read once to check it and to collect its classes."""

    path: Path
    names: tuple[str, ...]
    """The classes by their ids."""
    files: tuple[str, ...]
    """Each image's name relative to the folder that contains them all, or its address."""
    note: str = ""
    """Notes for the user about the names."""

    @classmethod
    def read(cls, path: Path, names: Path | None = None) -> LabelledPictures:
        """Read the file; `names` is a file of class names or a model.

        Without it the classes are those of the network that the lines name, if it still exists. Raise `LogError` for an
        invalid line, `SettingsError` for names that do not match the boxes.
        """
        sources: list[str] = []
        found: dict[int, str] = {}
        model = ""
        for record in picture_records(path):
            sources.append(record.source)
            found |= {box.class_id: box.name for box in record.detections}
            model = record.model or model
        classes, note = _classes(path, found, model, names)
        return cls(path, classes, tuple(_relative_names(sources)), note)

    def __iter__(self) -> Iterator[tuple[str, PictureRecord]]:
        return zip(self.files, picture_records(self.path), strict=True)


def is_picture_lines(path: Path) -> bool:
    """Return whether a file begins with a line of `yolo3 image --json`, unlike frame logs."""
    try:
        with path.open("rb") as file:
            picture_of(file.readline(_LONGEST_LINE))
    except (OSError, ValueError, LineError):
        return False
    return True


def export_pictures(
    pictures: LabelledPictures,
    to: PictureFormat,
    out: Path | TextIO,
    *,
    overwrite: bool = False,
    with_confidence: bool = False,
    boxes: BoxFilter = EVERY_BOX,
) -> int:
    """Write the detections in images for another tool, and return how many boxes there are.

    `yolo` is a folder with a label file for each image, in the images' subfolders, and `classes.txt`; `coco` is an
    annotation file with `score`; `labelstudio` is tasks with predictions; `cvat` is CVAT's XML for images; `csv` is a
    row for each box. Images are named relative to the folder that contains them all. Raise as `export_log` does.
    """
    if to not in get_args(PictureFormat):
        raise SettingsError(
            f"{to!r} is not a format for pictures; expected one of {', '.join(get_args(PictureFormat))}"
        )
    boxes.check_names(pictures.names)
    counter = _Chosen(pictures, boxes)
    if to == "yolo":
        if not isinstance(out, Path):
            raise SettingsError("yolo is not a text format; name a folder to write")
        _check_label_names(pictures)
        with replacing_folder(out, overwrite=overwrite, is_ours=functools.partial(_is_ours, out)) as folder:
            _write_labels(pictures.names, counter, folder, with_confidence=with_confidence)
        return counter.boxes
    lines = _TEXTS[to](pictures.names, counter)
    if not isinstance(out, Path):
        out.writelines(lines)
        return counter.boxes
    check_output(out, overwrite=overwrite, inputs=[pictures.path])
    with (
        replacing(out, inputs=[pictures.path]) as private,
        private.open("w", encoding="utf-8", errors=ESCAPED, newline="") as file,
    ):
        file.writelines(lines)
    return counter.boxes


Labelled = Iterable[tuple[str, PictureRecord]]


class _Chosen:
    """Yield images with their chosen boxes, and count the boxes."""

    def __init__(self, pictures: LabelledPictures, boxes: BoxFilter) -> None:
        self._pictures = pictures
        self._keeps = boxes.keeper(pictures.names)
        self.boxes = 0

    def __iter__(self) -> Iterator[tuple[str, PictureRecord]]:
        for name, record in self._pictures:
            kept = tuple(filter(self._keeps, record.detections))
            self.boxes += len(kept)
            yield name, replace(record, detections=kept)


def picture_records(path: Path) -> Iterator[PictureRecord]:
    """Yield the lines of a file of `yolo3 image --json`. Raise `LogError` for an invalid one."""
    try:
        file = path.open("rb")
    except OSError as error:
        raise LogError(f"{path}: cannot be opened: {error.strerror or error}") from None
    with file:
        for number, line in enumerate(iter(lambda: file.readline(_LONGEST_LINE), b""), 1):
            try:
                yield picture_of(line)
            except LineError as error:
                raise LogError(
                    f"{path}: line {number} is not a line of yolo3 image --json: {error}; {error.advice}"
                ) from None


def _classes(path: Path, found: dict[int, str], model: str, names: Path | None) -> tuple[tuple[str, ...], str]:
    """Return the names by class id, and a note if they had to be guessed."""
    if names is not None:
        given = _names_of(names)
        wrong = _first_other(found, given)
        if wrong is not None:
            other = given[wrong] if wrong < len(given) else "nothing"
            raise SettingsError(
                f"{names}: class {wrong} is {other!r} there, but {found[wrong]!r} in {path}; name the network that "
                "found these boxes"
            )
        return given, ""
    if model:
        try:
            own = read_description(model).names
        except ModelFileError:
            own = ()
        if own and _first_other(found, own) is None:
            return own, ""
    if max(found, default=0) >= 1 << 16:
        raise LogError(f"{path}: has a class {max(found)}; name the network's classes with --names")
    known = tuple(found.get(number, f"class {number}") for number in range(max(found, default=-1) + 1))
    missing = len(known) - len(found)
    if not missing:
        return known, ""
    return known, f"{path}: does not name {missing} of the classes up to {known[-1]!r}; --names MODEL.h5 names them all"


def _first_other(found: dict[int, str], names: Sequence[str]) -> int | None:
    """Return the first class that has another name in `names`, or none."""
    wrong = (number for number, name in sorted(found.items()) if number >= len(names) or names[number] != name)
    return next(wrong, None)


def _names_of(path: Path) -> tuple[str, ...]:
    return read_description(path).names if path.suffix == ".h5" else read_names(path)


def _relative_names(sources: Sequence[str]) -> Iterator[str]:
    """Yield each image relative to the folder that contains them all; an address unchanged."""
    absolute = [None if is_url(source) else os.path.abspath(source) for source in sources]  # noqa: PTH100
    folders = [os.path.dirname(path) for path in absolute if path is not None]  # noqa: PTH120
    common = os.path.commonpath(folders) if folders else ""
    for source, path in zip(sources, absolute, strict=True):
        yield source if path is None else PurePath(os.path.relpath(path, common)).as_posix()


def _check_label_names(pictures: LabelledPictures) -> None:
    """Raise `SettingsError` if two images would have one label file."""
    taken: dict[PurePath, str] = {}
    for file in pictures.files:
        label = _label_file(file)
        if label in taken:
            raise SettingsError(
                f"{pictures.path}: {taken[label]} and {file} would have one label file, {label}; "
                "yolo's labels are told apart by name, so detect in one of the two"
            )
        taken[label] = file


def _label_file(file: str) -> PurePath:
    return PurePath(output_name(file) if is_url(file) else file).with_suffix(".txt")


def _write_labels(names: Sequence[str], pictures: Labelled, folder: Path, *, with_confidence: bool) -> None:
    text = "".join(f"{printable(name)}\n" for name in names)  # one line for each, whatever the name contains
    (folder / CLASSES).write_text(text, "utf-8", ESCAPED)
    for file, record in pictures:
        lines = [
            yolo_line(box, record.width, record.height, with_confidence=with_confidence) for box in record.detections
        ]
        path = folder / _label_file(file)
        make_folder(path.parent)
        path.write_text("".join(lines), "utf-8")


def _is_ours(folder: Path, name: str) -> bool:
    """Return whether an entry of a folder of labels is a label file, or a folder of nothing else."""
    path = folder / name
    files = [file for file in path.rglob("*") if not file.is_dir()] if path.is_dir() else [path]
    return not path.is_symlink() and all(file.suffix == ".txt" for file in files)


def _csv(names: Sequence[str], pictures: Labelled) -> Iterator[str]:
    yield ",".join(_COLUMNS) + "\n"
    for file, record in pictures:
        text = io.StringIO()
        table = csv.writer(text, lineterminator="\n")
        start = (file, record.width, record.height)
        table.writerows((*start, box.name, *box.box, box.confidence) for box in record.detections)
        if not record.detections:  # an image without objects has an empty label file
            table.writerow([*start, *[""] * 6])
        yield text.getvalue()


def _coco(names: Sequence[str], pictures: Labelled) -> Iterator[str]:
    ids = category_ids(names)
    images, number = [], 0
    yield '{"annotations":['
    for image_id, (file, record) in enumerate(pictures, 1):
        images.append({"id": image_id, "file_name": file, "width": record.width, "height": record.height})
        for box in record.detections:
            number += 1
            annotation = coco_annotation(box, number=number, image_id=image_id, category_id=ids[box.class_id])
            yield ("," if number > 1 else "") + _json(annotation)
    yield f'],"images":{_json(images)},"categories":{_json(coco_categories(names))}}}\n'


def _labelstudio(names: Sequence[str], pictures: Labelled) -> Iterator[str]:
    yield "[\n"
    for number, (file, record) in enumerate(pictures):
        results = [
            label_studio_result(box, identity=f"{number + 1}-{index}", width=record.width, height=record.height)
            for index, box in enumerate(record.detections)
        ]
        address = file if is_url(file) else f"/data/local-files/?d={file}"
        version = PurePath(record.model).name or "yolo3"
        task = {"data": {"image": address}, "predictions": [{"model_version": version, "result": results}]}
        yield (",\n" if number else "") + _json(task)
    yield "\n]\n"


def _cvat(names: Sequence[str], pictures: Labelled) -> Iterator[str]:
    yield cvat_head(names)
    for number, (file, record) in enumerate(pictures):
        yield cvat_image(file, record.detections, number=number, width=record.width, height=record.height)
    yield CVAT_END


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


_TEXTS: dict[str, Callable[[Sequence[str], Labelled], Iterator[str]]] = {
    "csv": _csv,
    "coco": _coco,
    "labelstudio": _labelstudio,
    "cvat": _cvat,
}
