"""Read Ultralytics datasets, which Roboflow exports too: a `data.yaml`, folders of images, a `.txt` for each image.

Source: https://docs.ultralytics.com/datasets/detect/
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from detector.datasets.darknet import MOST_CLASSES, read_example, read_folder
from detector.datasets.examples import Example, Problems, Splits
from detector.datasets.text import find_file, is_file, read_text
from detector.errors import DatasetError

_KEYS = {"train": ("train",), "valid": ("val", "valid"), "test": ("test",)}


def read_ultralytics(path: Path, problems: Problems) -> Splits:
    """Read a `data.yaml`. Raise `DatasetError` for an invalid file."""
    content = _read_yaml(path)
    names = _names(path, content, problems)
    root = _root(path, content.get("path"))
    splits = Splits(names)
    for split, keys in _KEYS.items():
        value = next((content[key] for key in keys if content.get(key)), None)
        for entry in value if isinstance(value, list) else [value] if value is not None else []:
            if not isinstance(entry, str):
                problems.add(path, f"{keys[0]}: {entry!r} is not a path")
                continue
            splits.of(split).extend(_pictures(path, root, keys[0], entry, len(names), problems))
    if not any(key in content for keys in _KEYS.values() for key in keys):
        problems.add(path, "has no train: and no val:; expected folders of pictures")
    return splits


def _pictures(path: Path, root: Path, key: str, entry: str, classes: int, problems: Problems) -> list[Example]:
    # Roboflow's files say ../train/images but mean train/images.
    for place in (Path(entry), root / entry, root / entry.removeprefix("../"), path.parent / entry):
        try:
            if place.is_dir():
                return read_folder(place, classes, problems, polygons=True)
        except (OSError, ValueError):
            continue
        if place.suffix == ".txt" and is_file(place):
            return _read_list(place, root, classes, problems)
    problems.add(path, f"{key}: {entry}: no such folder of pictures, and no such list")
    return []


def _read_list(listing: Path, root: Path, classes: int, problems: Problems) -> list[Example]:
    examples = []
    for number, line in enumerate(read_text(listing).splitlines(), 1):
        name = line.strip()
        if not name:
            continue
        picture = find_file(name, listing.parent) or find_file(name, root)
        if picture is None:
            problems.add(f"{listing}, line {number}", f"{name[:200]}: no such picture")
        else:
            examples.append(read_example(picture, classes, problems, polygons=True))
    return examples


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        import yaml  # type: ignore[import-untyped]
    except ImportError:
        raise DatasetError(f"{path}: reading it needs PyYAML, which is not installed; pip install pyyaml") from None
    try:
        content = yaml.safe_load(read_text(path))
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise DatasetError(f"{path}: not YAML ({' '.join(str(error).split())[:200]})") from None
    if not isinstance(content, dict):
        raise DatasetError(f"{path}: not Ultralytics' data.yaml; expected keys such as train, val and names")
    return content


def _names(path: Path, content: dict[str, Any], problems: Problems) -> tuple[str, ...]:
    names, count = content.get("names"), content.get("nc")
    if isinstance(names, dict) and all(isinstance(key, int) for key in names):
        if sorted(names) != list(range(len(names))):
            problems.add(path, f"names: the class ids are {sorted(names)[:20]}; expected 0 to {len(names) - 1}")
        names = [names[key] for key in sorted(names)]
    if names is None and isinstance(count, int) and 1 <= count <= MOST_CLASSES:
        return tuple(f"class {number}" for number in range(count))
    if not isinstance(names, list) or not names or any(isinstance(name, dict | list) for name in names):
        problems.add(path, "has no names:; expected a list of class names, or a map from class id to name")
        return ()
    if isinstance(count, int) and count != len(names):
        problems.add(path, f"nc: {count}, but {len(names)} names")
    return tuple(str(name) for name in names)


def _root(path: Path, named: object) -> Path:
    """Return the folder that paths are relative to: `path:`, from the file's folder or the working folder."""
    if not isinstance(named, str):
        return path.parent
    return next((place for place in (path.parent / named, Path(named)) if place.is_dir()), path.parent)
