"""Write the boxes of an archive's videos as partitioned Parquet, which DuckDB, Spark and Arrow read as one table."""

from __future__ import annotations

from pathlib import Path

from detector.archive.manifest import MERGED, State, read_entries
from detector.errors import LogError
from detector.logs.exports import export_log


def write_parquet(folder: Path, out: Path) -> tuple[int, list[str]]:
    """Write `out/input=KEY/boxes.parquet` for each video of a joined archive.

    Return the number of boxes, and what is wrong with logs that were left out. Files of an earlier call are replaced.
    Raise `SettingsError` without pyarrow, `OutputError` and `WriteError` if they cannot be written.
    """
    boxes, problems = 0, list[str]()
    for entry in read_entries(folder / MERGED):
        if entry.state is State.FAILED or not entry.log or not entry.log.endswith(".jsonl"):
            continue
        try:
            boxes += export_log(
                folder / Path(entry.log).name, "parquet", out / f"input={entry.key}" / "boxes.parquet", overwrite=True
            )
        except LogError as error:
            problems.append(str(error))
    return boxes, problems
