"""Keep the history of a training run: a CSV row for every epoch."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from convert.files import write_whole
from detector.errors import OutputError


@dataclass(frozen=True)
class Row:
    """One epoch."""

    epoch: int
    """Counted from 1."""

    seconds: float
    """Seconds since the run began, without interruptions."""

    rate: float
    """Learning rate of the last step."""

    loss: float
    box: float
    objectness: float
    classes: float
    ap: float | None = None
    """Average precision on the validation images, if this epoch was evaluated."""

    ap50: float | None = None


def write_history(path: Path, rows: Sequence[Row]) -> None:
    """Replace the CSV file. Raise `OutputError` or `WriteError`."""
    text = io.StringIO(newline="")
    table = csv.DictWriter(text, [item.name for item in fields(Row)], lineterminator="\n")
    table.writeheader()
    for row in rows:
        table.writerow({key: _cell(value) for key, value in asdict(row).items()})
    write_whole(path, text.getvalue().encode())


def read_history(path: Path, *, epochs: int) -> list[Row]:
    """Read the rows of a CSV file up to an epoch. Raise `OutputError` for a damaged file."""
    if not path.exists():
        return []
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = [
                Row(int(row["epoch"]), *(float(row[item.name]) if row[item.name] else None for item in fields(Row)[1:]))  # type: ignore[arg-type]
                for row in csv.DictReader(file)
            ]
    except (OSError, ValueError, KeyError, TypeError, csv.Error) as error:
        raise OutputError(
            f"{path}: is not the history of a training run ({type(error).__name__}: {error}); move it away, the run "
            "can be resumed without it"
        ) from None
    return [row for row in rows if row.epoch <= epochs]


def _cell(value: float | int | None) -> str:
    return "" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)
