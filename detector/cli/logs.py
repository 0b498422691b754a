"""The verbs that take a frame log and need no network; `cli` registers them."""

from __future__ import annotations

import contextlib
import functools
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

Log = Annotated[Path, typer.Argument(metavar="LOG.jsonl", help="a frame log, made by yolo3 video or webcam --log")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="replace outputs that are there already")]


def register(app: typer.Typer) -> None:
    """Add the verbs to the command."""
    app.command("redraw")(redraw_verb)
    app.command("summary")(summary_verb)


def redraw_verb(
    video: Annotated[Path, typer.Argument(metavar="IN", help="the video that the log is of")],
    log: Log,
    out: Annotated[Path | None, typer.Argument(metavar="[OUT.mp4]", help="the video to write")] = None,
    confidence: Annotated[float, typer.Option(help="leave out boxes of less confidence")] = 0.0,
    classes: Annotated[str | None, typer.Option(help="draw these classes only, such as person,car")] = None,
    blur: Annotated[str | None, typer.Option(help="hide what is in the boxes of these classes")] = None,
    crops: Annotated[Path | None, typer.Option(help="folder for a picture of each object")] = None,
    sheet: Annotated[Path | None, typer.Option(help="contact sheet of the most eventful frames (.png)")] = None,
    overwrite: Overwrite = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="no progress and no notes on standard error")] = False,
) -> None:
    """Draw a video's boxes again from its log, without the network."""
    from detector.logs.box_filter import BoxFilter
    from detector.pipeline.redraw import RedrawOutputs, redraw_video
    from detector.video.status import RunStatus

    chosen = BoxFilter(confidence, _names(classes), _names(blur))
    outputs = RedrawOutputs(out, crops, sheet, overwrite)
    summary = redraw_video(video, log, chosen, outputs, bar=functools.partial(_bar, quiet))
    for note in summary.notes:
        print(note, file=sys.stderr)
    for path in (out, crops, sheet):
        if path and path.exists():
            print(f"Wrote {path}")
    code = {RunStatus.TRUNCATED: 1, RunStatus.INTERRUPTED: 130}.get(summary.status, 0)
    if code:
        raise typer.Exit(code)


def _names(text: str | None) -> tuple[str, ...]:
    return tuple(name.strip() for name in (text or "").split(",") if name.strip())


@contextlib.contextmanager
def _bar(quiet: bool, total: int | None) -> Iterator[Any]:
    from tqdm import tqdm

    with tqdm(total=total, unit="frame", disable=quiet, dynamic_ncols=True) as bar:
        yield bar


def summary_verb(log: Log) -> None:
    """Sum up a frame log: counts per class, first and last seen, the busiest second."""
    from detector.logs.summary import summarize_log

    for line in summarize_log(log).lines():
        print(line)
