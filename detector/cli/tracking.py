"""The verbs for tracks: track, zones, events, clips."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Annotated, Literal

import typer

from detector.cli.console import exit_code, frame_progress, leave, note_printer
from detector.cli.options import Overwrite, Quiet

Log = Annotated[Path, typer.Argument(metavar="LOG.jsonl", help="a frame log, made by yolo3 video or webcam --log")]
Tracker = Literal["bytetrack", "botsort", "ocsort", "sort"]


def register(app: typer.Typer) -> None:
    """Add the verbs to the command."""
    app.command("track")(track_verb)
    app.command("zones")(zones_verb)
    app.command("events")(events_verb)
    app.command("clips")(clips_verb)


def track_verb(
    log: Log,
    out: Annotated[Path, typer.Argument(metavar="OUT.jsonl", help="the frame log with tracks to write")],
    tracker: Annotated[
        Tracker | None, typer.Option(help="let an online tracker of the package trackers make the first links")
    ] = None,
    forward_only: Annotated[
        bool,
        typer.Option("--forward-only", help="only what an online tracker finds; botsort unless --tracker is given"),
    ] = False,
    longest_gap: Annotated[
        float, typer.Option(metavar="SECONDS", help="join tracks and fill gaps of up to this length")
    ] = 4.0,
    least_evidence: Annotated[
        float, typer.Option(metavar="SUM", help="leave out tracks whose confidences add up to less")
    ] = 3.0,
    smooth: Annotated[
        float, typer.Option(metavar="SECONDS", help="take out movements shorter than this; 0 keeps boxes as detected")
    ] = 0.1,
    video: Annotated[
        Path | None, typer.Option(metavar="IN", help="the log's video: join tracks by what objects look like, too")
    ] = None,
    zones: Annotated[
        Path | None, typer.Option(metavar="ZONES.toml", help="then count at these zones and lines, as yolo3 events")
    ] = None,
    again: Annotated[bool, typer.Option("--again", help="replace the tracks that the log has")] = False,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> None:
    """Give the objects in a frame log identities: gaps filled, broken tracks joined, false ones left out."""
    _check_scipy()
    from detector.pipeline.log_events import EventOptions, check_zones, write_events
    from detector.pipeline.track_log import TrackOptions, track_log
    from detector.tracking.event_files import count_lines
    from detector.tracking.offline import OfflineSettings
    from detector.tracking.stitching import StitchSettings

    offline = OfflineSettings(
        stitches=StitchSettings(longest_gap_seconds=longest_gap),
        least_evidence=least_evidence,
        smooth_seconds=smooth,
    )
    options = TrackOptions(tracker, forward_only, again, offline, video)
    bar = functools.partial(frame_progress, quiet)
    if zones:
        check_zones(log, zones)
    result = track_log(log, out, options, overwrite=overwrite, bar=bar)
    for note in result.notes:
        note_printer(quiet)(note)
    filled = f", {result.interpolated} more where nothing was detected" if result.interpolated else ""
    left = result.detections - result.tracked
    print(
        f"Found {result.tracks} tracks in {result.frames} frames: {result.tracked} detections{filled}; {left} left out"
    )
    if zones:
        for line in count_lines(write_events(EventOptions(out, zones), bar=bar)):
            print(line)
    print(f"Wrote {out}")


def zones_verb(
    video: Annotated[str, typer.Argument(metavar="IN", help="a video, or a picture")],
    zones: Annotated[Path, typer.Argument(metavar="ZONES.toml", help="the zones and lines")],
    out: Annotated[Path | None, typer.Argument(metavar="[OUT.png]", help="the picture to write")] = None,
    click: Annotated[
        bool, typer.Option("--click", help="click new zones and lines in a window and write them to ZONES.toml")
    ] = False,
    at: Annotated[str, typer.Option(metavar="TIME", help="the moment to show: seconds, or [HH:]MM:SS")] = "0",
    overwrite: Overwrite = False,
) -> None:
    """Draw zones and lines onto a frame of a video to check where they lie, or click new ones."""
    from detector.errors import SettingsError

    if click:
        from detector.pipeline.click_zones import click_zones

        if out is not None:
            raise SettingsError(f"{out}: --click writes {zones} only; draw it with a second command")
        if click_zones(video, zones, at=at, overwrite=overwrite):
            print(f"Wrote {zones}")
        return
    from detector.pipeline.show_zones import show_zones

    if out is None:
        raise SettingsError("name the picture to write, OUT.png; or pass --click to make the zones")
    show_zones(video, zones, out, at=at, overwrite=overwrite)
    print(f"Wrote {out}")


def events_verb(
    log: Annotated[Path, typer.Argument(metavar="LOG.jsonl", help="a frame log with tracks, made by yolo3 track")],
    zones: Annotated[Path | None, typer.Option(metavar="ZONES.toml", help="zones and lines to count at")] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="the events: .jsonl, .csv, or subtitles as .srt or .vtt")
    ] = None,
    only: Annotated[
        str | None,
        typer.Option(metavar="KINDS", help="of appeared,vanished,entered,left,stayed,crossed,above only these"),
    ] = None,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> None:
    """Find what happened in a log with tracks: lines crossed, zones entered and left, how long somebody stayed."""
    from detector.pipeline.log_events import EventOptions, write_events
    from detector.tracking.event_files import count_lines, kinds_of

    options = EventOptions(log, zones, out, kinds_of(only), overwrite)
    counted = write_events(options, bar=functools.partial(frame_progress, quiet))
    for line in count_lines(counted):
        print(line)
    if out:
        print(f"Wrote {out}")


def clips_verb(
    video: Annotated[str, typer.Argument(metavar="IN", help="the video that the log was made from")],
    log: Annotated[Path, typer.Argument(metavar="LOG.jsonl", help="its frame log")],
    when: Annotated[
        str,
        typer.Option(
            metavar="CONDITION",
            help="the moments wanted: 'person', '2 car in yard', 'person entered door', 'car crossed north out', "
            "'track 7', joined by and, or, not",
        ),
    ],
    zones: Annotated[
        Path | None, typer.Option(metavar="ZONES.toml", help="the zones and lines that the condition names")
    ] = None,
    pad: Annotated[str, typer.Option(metavar="TIME", help="how much before and after belongs to a moment")] = "2s",
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="folder for a clip of each moment, index.html and clips.csv")
    ] = None,
    join: Annotated[
        Path | None, typer.Option(metavar="OUT.mp4", help="one video of all moments, without the rest")
    ] = None,
    boxes: Annotated[bool, typer.Option("--boxes", help="draw boxes, and zones with --zones")] = False,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> None:
    """Cut the moments of a video in which something happens, exact to the frame, with their sound."""
    from detector.pipeline.clip_index import PAGE
    from detector.pipeline.clips import ClipOptions, write_clips
    from detector.pipeline.moments import Wanted
    from detector.video.section import parse_seconds

    wanted = Wanted(when, parse_seconds("pad", pad), zones)
    options = ClipOptions(video, log, wanted, out, join, boxes, overwrite=overwrite)
    result = write_clips(options, bar=functools.partial(frame_progress, quiet))
    for note in result.notes:
        note_printer(quiet)(note)
    many = "1 moment" if result.moments == 1 else f"{result.moments} moments"
    print(f"Found {many}: {result.frames} frames, {result.seconds:.1f} s")
    for path in (out and out / PAGE, join):
        if path and path.exists():
            print(f"Wrote {path}")
    leave(exit_code(result.status))


def _check_scipy() -> None:
    from importlib.util import find_spec

    from detector.errors import SettingsError

    if find_spec("scipy") is None:
        raise SettingsError("yolo3 track needs scipy; pip install -e '.[track]'")
