"""The verbs that take a frame log and need no network; `cli` registers them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

Log = Annotated[Path, typer.Argument(metavar="LOG.jsonl", help="a frame log, made by yolo3 video or webcam --log")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="replace outputs that are there already")]

_ENDINGS = {"csv": ".csv", "coco": ".coco.json", "mot": ".mot.txt", "yolo": "-labels", "darknet": ".darknet.json"}
_MORE_ENDINGS = {"labelstudio": ".labelstudio.json", "parquet": ".parquet"}


def register(app: typer.Typer) -> None:
    """Add the verbs to the command."""
    app.command("export")(export_verb)
    app.command("summary")(summary_verb)


def export_verb(
    log: Log,
    out: Annotated[Path | None, typer.Argument(metavar="[OUT]", help="default is the log's name, by format")] = None,
    to: Annotated[
        Literal["csv", "coco", "mot", "yolo", "darknet", "labelstudio", "parquet"], typer.Option(help="the format")
    ] = "csv",
    overwrite: Overwrite = False,
) -> None:
    """Write a frame log in the format of another tool."""
    from detector.video.exports import export_log

    target = out or log.with_name(log.stem + {**_ENDINGS, **_MORE_ENDINGS}[to])
    boxes = export_log(log, to, target, overwrite=overwrite)
    print(f"Wrote {boxes} boxes to {target}")


def summary_verb(log: Log) -> None:
    """Sum up a frame log: counts per class, first and last seen, the busiest second."""
    from detector.video.digest import digest_log

    for line in digest_log(log).lines():
        print(line)
