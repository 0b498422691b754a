"""Read a dataset of labelled images in any format; report all its errors together, before any work starts."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from detector.datasets.check_cache import CheckCache
from detector.datasets.coco import parse_coco, read_coco, read_json
from detector.datasets.csv_table import read_csv
from detector.datasets.cvat import read_cvat
from detector.datasets.darknet import (
    CLASSES,
    folder_names,
    label_path,
    picture_files,
    read_darknet,
    read_images_and_labels,
)
from detector.datasets.examples import Dataset, Example, Problems, Splits
from detector.datasets.label_studio import read_label_studio
from detector.datasets.pictures import check_pictures
from detector.datasets.ultralytics import read_ultralytics
from detector.datasets.voc import is_voc, read_voc
from detector.errors import DatasetError

_EXPECTED = (
    "expected Darknet's .data, Ultralytics' data.yaml, COCO's or Label Studio's .json, CVAT's .xml, a .csv, or a "
    "folder that contains one of them, or images/, labels/ and classes.txt, or has Pascal VOC's layout"
)
_IN_FOLDERS = ("data.yaml", "dataset.yaml", "obj.data", "annotations.xml", "labels.csv", "_annotations.csv")


@dataclass(frozen=True)
class ReadOptions:
    """How to read a dataset."""

    valid: Path | None = None
    """A COCO file of the validation images."""

    pictures: Path | None = None
    """The folder of the images, for formats that do not state it."""

    names: tuple[str, ...] = ()
    """A network's class names; they determine the class ids if every class is among them."""

    clip: bool = False
    """Clip boxes that exceed their image instead of reporting them."""

    skip: bool = False
    """Leave out labels and images with errors, and report them as notes."""


def read_dataset(
    data: Path | str,
    *,
    valid: Path | str | None = None,
    pictures: Path | str | None = None,
    names: tuple[str, ...] = (),
    progress: Callable[[Iterable[Any]], Iterable[Any]] = iter,
) -> Dataset:
    """Read labelled images in any format; see `read_with`.

    Without validation images the training images are used, and a note says so.
    """
    options = ReadOptions(Path(valid) if valid else None, Path(pictures) if pictures else None, names)
    found = read_with(data, options, progress=progress)
    if found.valid:
        return found
    note = "no validation pictures: the training pictures are used, which overstates the result"
    return Dataset(found.names, found.train, found.train, found.test, (*found.notes, note))


def read_with(
    data: Path | str, options: ReadOptions, *, progress: Callable[[Iterable[Any]], Iterable[Any]] = iter
) -> Dataset:
    """Read labelled images from a file, or a folder that contains one; name and content determine the format.

    Every image is decoded once; `progress` wraps that loop. Raise `DatasetError` with all errors, unless the options
    say that they are skipped.
    """
    path, problems = Path(data), Problems(clip=options.clip)
    path = _inner(path)
    with _without_collection():
        splits = _read(path, options, problems)
        _check_boxes(path, splits, problems)
        notes = _notes(splits.train, splits.valid)
        cache = CheckCache(path)
    everything = [*splits.train, *splits.valid, *splits.test]
    checked = check_pictures(everything, problems, progress, cache)
    if problems.clipped:
        notes.append(f"{problems.clipped} boxes that left their picture were clipped")
    if options.skip:
        notes += [f"skipped: {line}" for line in problems.lines]
    else:
        problems.raise_if_any()
    with _without_collection():
        train, valid, test = (
            tuple(_sized(one, checked.sizes[one.path]) for one in part if one.path not in checked.damaged)
            for part in (splits.train, splits.valid, splits.test)
        )
    return Dataset(splits.names, train, valid, test, tuple(notes))


def has_labels(path: Path) -> bool:
    """Return whether a path is a file, or a folder with labels in a known format, rather than one of images alone."""
    try:
        _inner(path)
    except DatasetError:
        return not path.is_dir()
    return True


def read_unlabelled(
    folder: Path, names: tuple[str, ...], *, progress: Callable[[Iterable[Any]], Iterable[Any]] = iter
) -> Dataset:
    """Return the images of a folder and its subfolders without any labels; those that do not open are notes.

    Raise `DatasetError` for a folder without images.
    """
    problems = Problems()
    examples = [Example.from_rows(path, [], labelled=False) for path in picture_files(folder)]
    checked = check_pictures(examples, problems, progress, CheckCache(folder))
    good = tuple(_sized(one, checked.sizes[one.path]) for one in examples if one.path not in checked.damaged)
    if not good:
        raise DatasetError(f"{folder}: holds no picture that opens; {_EXPECTED}", *problems.lines)
    return Dataset(names, good, (), notes=tuple(f"skipped: {line}" for line in problems.lines))


def _inner(path: Path) -> Path:
    """Return the label file in a folder, or the folder itself if its format consists of folders."""
    if not path.is_dir():
        if not path.is_file():
            raise DatasetError(f"{path}: no such file; {_EXPECTED}")
        return path
    if is_voc(path):
        return path
    names = folder_names(path)
    if names is not None and not any((path / name).is_file() for name in _IN_FOLDERS):
        return names
    for name in _IN_FOLDERS:
        if (path / name).is_file():
            return path / name
    several = sorted(path.glob("*.data"))
    if len(several) == 1:
        return several[0]
    raise DatasetError(f"{path}: a folder without a known label file; {_EXPECTED}")


def _read(path: Path, options: ReadOptions, problems: Problems) -> Splits:
    suffix = path.suffix.lower()
    if path.name == CLASSES:
        folder = path.parent.parent if path.parent.name == "labels" else path.parent
        return read_images_and_labels(path, folder, problems)
    if options.valid and suffix != ".json":
        raise DatasetError(f"{path}: --valid belongs to COCO's .json; other forms name their own validation pictures")
    if path.is_dir():
        return read_voc(path, options.names, problems)
    if suffix == ".json":
        content = read_json(path)
        if isinstance(content, list):
            return read_label_studio(path, content, options.pictures, options.names, problems)
        return _read_coco(path, content, options, problems)
    if suffix == ".xml":
        return read_cvat(path, options.pictures, options.names, problems)
    if suffix == ".csv":
        return read_csv(path, options.pictures, options.names, problems)
    if options.pictures:
        raise DatasetError(f"{path}: --pictures belongs to .json, .xml and .csv; other forms name their own pictures")
    return read_ultralytics(path, problems) if suffix in (".yaml", ".yml") else read_darknet(path, problems)


def _read_coco(path: Path, content: Any, options: ReadOptions, problems: Problems) -> Splits:
    found = parse_coco(path, content, problems)
    names = options.names if options.names and set(found.names) <= set(options.names) else found.names
    splits = Splits(names, found.examples(options.pictures, names, problems))
    if options.valid:
        splits.valid.extend(read_coco(options.valid, problems).examples(options.pictures, names, problems))
    return splits


@contextmanager
def _without_collection() -> Iterator[None]:
    """Pause the collection of cycles, of which reading makes none: it would go through all images again and again."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _check_boxes(data: Path, splits: Splits, problems: Problems) -> None:
    """Report a list of images without a single box as an error: the labels were probably not found."""
    if not splits.train and not splits.valid and not problems.lines:
        problems.add(data, "no pictures to train on")
    for kind, examples in (("training", splits.train), ("validation", splits.valid)):
        if examples and not any(len(example.boxes) for example in examples) and not problems.lines:
            first = examples[0]
            where = "" if first.labelled else f"; {label_path(first.path)} does not exist"
            problems.add(data, f"none of the {len(examples)} {kind} pictures has a box{where}")


def _notes(train: Sequence[Example], valid: Sequence[Example]) -> list[str]:
    """Return notes for the user about a dataset without errors."""
    notes = []
    without = [example for example in (*train, *valid) if not example.labelled]
    if without:
        notes.append(
            f"{len(without)} pictures have no label file and count as pictures without objects, "
            f"the first is {without[0].path}"
        )
    paths = {"training": _paths(train), "validation": _paths(valid)}
    for kind, examples in (("training", train), ("validation", valid)):
        repeated = len(examples) - len(paths[kind])
        if repeated:
            notes.append(f"{repeated} {kind} pictures are listed more than once")
    shared = len(paths["training"] & paths["validation"])
    if shared and shared == len(paths["validation"]):
        notes.append("all validation pictures are training pictures too, which overstates the result")
    elif shared:
        notes.append(f"{shared} validation pictures are training pictures too, which overstates the result")
    return notes


def _sized(example: Example, size: tuple[int, int]) -> Example:
    return example if example.size else replace(example, size=size)


def _paths(examples: Sequence[Example]) -> set[str]:
    """Return the images with symbolic links followed; those of one folder share its way."""
    folders: dict[str, str] = {}
    found = set()
    for example in examples:
        path = str(example.path)
        folder, name = os.path.split(path)
        if folder not in folders:
            folders[folder] = os.path.realpath(folder)
        found.add(os.path.realpath(path) if os.path.islink(path) else f"{folders[folder]}/{name}")  # noqa: PTH114
    return found
