"""Read class names: one per line, in the order of the class ids."""

from __future__ import annotations

from pathlib import Path

from convert.errors import NamesError
from convert.recognise import read_regular, recognise
from convert.text import printable

KNOWN_LISTS = {1000: "imagenet.names", 80: "coco.names", 20: "voc.names"}
"""The lists in `configs/` used for a network with this many classes when none is given."""


def configs_folder() -> Path:
    """The folder of the project's own .cfg and .names files: in the checkout, or inside the installed package."""
    inside = Path(__file__).parent / "configs"
    return inside if inside.is_dir() else Path(__file__).parent.parent / "configs"


def read_names(path: Path | str, classes: int | None = None) -> tuple[str, ...]:
    """Read a .names file; raise `NamesError` if it cannot be read or, with `classes` given, has another count."""
    path = Path(path)
    try:
        data = read_regular(path)
    except FileNotFoundError:
        raise NamesError(f"{path}: no such file; expected class names, one per line") from None
    except (OSError, MemoryError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it does not fit into memory"
        raise NamesError(f"{path}: cannot be read ({reason}); expected class names") from None
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        what = recognise(data[:4096]) or f"byte {error.start} is not UTF-8"
        raise NamesError(f"{path}: {what}; expected class names in UTF-8, one per line") from None
    # Names are printed on terminals and written as lines of other files.
    names = tuple(printable(line.strip()) for line in text.rstrip().split("\n"))
    empty = [number for number, name in enumerate(names, 1) if not name]
    if empty:
        raise NamesError(f"{path}, line {empty[0]}: empty; expected a class name on every line")
    if classes is not None and len(names) != classes:
        raise NamesError(
            f"{path}: {len(names)} names; the network has {classes} classes. "
            "Use the names it was trained with, in their order"
        )
    return names


def default_names(classes: int) -> tuple[tuple[str, ...], str]:
    """Return names for a network without a names file, and a sentence that says which were used."""
    if classes in KNOWN_LISTS:
        path = configs_folder() / KNOWN_LISTS[classes]
        return read_names(path, classes), f"{classes} classes: names taken from {KNOWN_LISTS[classes]}"
    made = tuple(f"class {number}" for number in range(classes))
    return made, f"{classes} classes: named class 0 to class {classes - 1}; pass --names FILE for real names"


def renamed(names: tuple[str, ...], change: str) -> tuple[str, ...]:
    """Return the names after a change: a file with all of them, or a text such as `person=pedestrian,2=car`.

    Raise `NamesError` for an invalid file, or a class that does not exist.
    """
    if "=" not in change or Path(change).is_file():
        return read_names(change, len(names))
    changed = list(names)
    for pair in change.split(","):
        old, _, new = (part.strip() for part in pair.partition("="))
        ids = [number for number, name in enumerate(names) if name == old]
        if not ids and old.isascii() and old.isdigit() and int(old) < len(names):
            ids = [int(old)]
        if not ids or not new:
            raise NamesError(
                f"--rename {pair.strip()!r}: expected OLD=NEW with a class of this network, by name or id; "
                "yolo3 classes MODEL.h5 lists them"
            )
        for number in ids:
            changed[number] = new
    return tuple(changed)
