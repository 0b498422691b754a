"""The verbs that take a frame log and need no network."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Annotated

import typer

from detector.cli.console import exit_code, frame_progress, leave, note_printer
from detector.cli.options import Overwrite, Quiet

Log = Annotated[Path, typer.Argument(metavar="LOG.jsonl", help="a frame log, made by yolo3 video or webcam --log")]


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
    quiet: Quiet = False,
) -> None:
    """Draw a video's boxes again from its log, without the network."""
    from detector.logs.box_filter import BoxFilter
    from detector.pipeline.redraw import RedrawOptions, redraw_video

    boxes = BoxFilter(confidence, _names(classes), _names(blur))
    options = RedrawOptions(video, log, boxes, out, crops, sheet, overwrite)
    result = redraw_video(options, bar=functools.partial(frame_progress, quiet))
    for note in result.notes:
        note_printer(False)(note)
    for path in (out, crops, sheet):
        if path and path.exists():
            print(f"Wrote {path}")
    leave(exit_code(result.status))


def _names(text: str | None) -> tuple[str, ...]:
    return tuple(name.strip() for name in (text or "").split(",") if name.strip())


def summary_verb(log: Log) -> None:
    """Sum up a frame log: counts per class, first and last seen, the busiest second."""
    from detector.logs.summary import summarize_log

    for line in summarize_log(log).lines():
        print(line)
