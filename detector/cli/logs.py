"""The verbs that work on a frame log: redraw, frames, summary."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Annotated

import typer

from detector.cli.console import exit_code, frame_progress, leave, note_printer
from detector.cli.options import Overwrite, Quiet

Log = Annotated[Path, typer.Argument(metavar="LOG.jsonl", help="a frame log, written by yolo3 video --log")]


def register(app: typer.Typer) -> None:
    """Add the verbs to the command."""
    app.command("redraw")(redraw_verb)
    app.command("frames")(frames_verb)
    app.command("summary")(summary_verb)


def redraw_verb(
    video: Annotated[Path, typer.Argument(metavar="IN", help="the video that the log was made from")],
    log: Log,
    out: Annotated[Path | None, typer.Argument(metavar="[OUT.mp4]", help="the video to write")] = None,
    confidence: Annotated[float, typer.Option(help="leave out boxes with a lower confidence")] = 0.0,
    classes: Annotated[str | None, typer.Option(help="draw only these classes, such as person,car")] = None,
    blur: Annotated[str | None, typer.Option(help="make the objects of these classes unrecognisable")] = None,
    crops: Annotated[Path | None, typer.Option(help="folder for a picture of each object")] = None,
    sheet: Annotated[Path | None, typer.Option(help="contact sheet of the frames in which most changes (.png)")] = None,
    zones: Annotated[
        Path | None, typer.Option(metavar="ZONES.toml", help="of a log with tracks: draw zones and lines with counts")
    ] = None,
    trails: Annotated[str, typer.Option(metavar="TIME", help="of a log with tracks: where each object was")] = "0",
    smooth: Annotated[
        bool, typer.Option("--smooth", help="draw no boxes that live for one frame, and fill gaps of one frame")
    ] = False,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> None:
    """Draw the boxes of a video again from its frame log."""
    from detector.logs.box_filter import BoxFilter, class_list
    from detector.pipeline.live_tracking import TrackingOptions
    from detector.pipeline.redraw import RedrawOptions, redraw_video

    boxes = BoxFilter(confidence, class_list(classes), class_list(blur))
    tracking = TrackingOptions.of(None, trails, zones, None, None)
    options = RedrawOptions(video, log, boxes, out, crops, sheet, overwrite, smooth, tracking)
    result = redraw_video(options, bar=functools.partial(frame_progress, quiet))
    for note in result.notes:
        note_printer(False)(note)
    for path in (None if result.kept_earlier else out, crops, sheet):
        if path and path.exists():
            print(f"Wrote {path}")
    leave(exit_code(result.status))


def frames_verb(
    video: Annotated[Path, typer.Argument(metavar="IN", help="the video that the log was made from")],
    log: Log,
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="new folder for the pictures")],
    every: Annotated[int, typer.Option(min=1, help="only one of so many frames, as of yolo3 export --every")] = 1,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> None:
    """Write the frames of a video as the pictures that exports of its log name."""
    from detector.pipeline.frame_files import write_frames

    bar = functools.partial(frame_progress, quiet)
    result, count = write_frames(video, log, folder, bar=bar, every=every, overwrite=overwrite)
    for note in result.notes:
        note_printer(False)(note)
    if folder.exists():
        print(f"Wrote {count} pictures to {folder}")
    leave(exit_code(result.status))


def summary_verb(
    log: Log,
    plot: Annotated[
        Path | None, typer.Option(metavar="OUT.png", help="picture of counts over time, where objects are, their paths")
    ] = None,
    zones: Annotated[
        Path | None, typer.Option(metavar="ZONES.toml", help="of a log with tracks: count at these zones and lines")
    ] = None,
    video: Annotated[
        str | None, typer.Option(metavar="IN", help="with --plot: the video, whose first frame is the background")
    ] = None,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> None:
    """Summarise a frame log: counts per class and when each was seen."""
    if plot is None and zones is None:
        from detector.logs.summary import summarize_log

        for line in summarize_log(log).lines():
            print(line)
        return
    from detector.pipeline.log_plot import PlotOptions, summarize_with_tracks
    from detector.tracking.event_files import count_lines

    options = PlotOptions(plot, zones, video, overwrite)
    summary, counted = summarize_with_tracks(log, options, bar=functools.partial(frame_progress, quiet))
    for line in (*summary.lines(), *(count_lines(counted) if counted else ())):
        print(line)
    if plot:
        print(f"Wrote {plot}")
