"""The journal of a training: a CSV row for every epoch, and a plot of them."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from detector.errors import WriteError


@dataclass(frozen=True)
class Row:
    """One epoch."""

    epoch: int
    """Counted from 1."""

    seconds: float
    """Since the training began, without the time it was interrupted."""

    rate: float
    loss: float
    box: float
    objectness: float
    classes: float
    ap: float | None = None
    """Of the pictures to judge by, where this epoch was judged."""

    ap50: float | None = None


def write_history(path: Path, rows: Sequence[Row]) -> None:
    """Replace the CSV file."""
    aside = path.with_name(f".{path.name}.part")
    try:
        with aside.open("w", newline="", encoding="utf-8") as file:
            table = csv.DictWriter(file, [item.name for item in fields(Row)], lineterminator="\n")
            table.writeheader()
            for row in rows:
                table.writerow({key: _shown(value) for key, value in asdict(row).items()})
        aside.replace(path)
    except OSError as error:
        raise WriteError(f"{path}: could not be written ({error.strerror})") from None


def read_history(path: Path, *, epochs: int) -> list[Row]:
    """The first rows of a CSV file; fewer where it holds no more."""
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        rows = [
            Row(int(row["epoch"]), *(float(row[item.name]) if row[item.name] else None for item in fields(Row)[1:]))  # type: ignore[arg-type]
            for row in csv.DictReader(file)
        ]
    return [row for row in rows if row.epoch <= epochs]


def _shown(value: float | int | None) -> str:
    return "" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)
