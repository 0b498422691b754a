"""Find the events of a log that has tracks."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from convert.files import check_output, lock_outputs, replacing
from detector.errors import LogError
from detector.logs.frame_log import FrameRecord, RunRecord, open_log
from detector.logs.log_lines import frames_claimed
from detector.pipeline.loop import Progress
from detector.pipeline.outputs import Bar
from detector.tracking.event_files import event_writer
from detector.tracking.events import Event, EventFinder, EventKind
from detector.tracking.zone_file import read_zones
from detector.tracking.zones import Zones

_BAR_FRAMES = 200


@dataclass(frozen=True)
class EventOptions:
    """Which events of a log to find, and where to write them."""

    log: Path
    zones: Path | None = None
    out: Path | None = None
    """A .jsonl, .csv, .srt or .vtt file; None only counts."""
    kinds: Collection[EventKind] = ()
    """Only these kinds of event; all when empty."""
    overwrite: bool = False


def write_events(options: EventOptions, *, bar: Bar) -> EventFinder:
    """Find the events of a log, write them, and return the counts.

    Raise `LogError` for a log without tracks, `ZonesError` for zones that do not fit it.
    """
    writer = None
    if options.out:
        writer = event_writer(options.out)
        check_output(options.out, overwrite=options.overwrite, inputs=[options.log, *_given(options.zones)])
    run, frames = open_log(options.log)
    finder = EventFinder(zones_for(run, options.zones), run.classes)
    with bar(frames_claimed(options.log)) as progress:
        events = find_events(options.log, run, frames, finder, progress)
        wanted = (event for event in events if not options.kinds or event.kind in options.kinds)
        if options.out is None or writer is None:
            for _ in wanted:
                pass
            return finder
        with (
            lock_outputs(options.out),
            replacing(options.out, inputs=[options.log]) as aside,
            aside.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file,
        ):
            file.writelines(writer(wanted))
    return finder


def find_events(
    log: Path, run: RunRecord, frames: Iterator[FrameRecord], finder: EventFinder, progress: Progress | None = None
) -> Iterator[Event]:
    """Yield the events of a log's frames as they become known. Raise `LogError` if nothing is tracked."""
    tracked = "track" in run.settings
    count = 0
    for frame in frames:
        found = frame.detections
        if not tracked and found:
            if all(box.track is None for box in found):
                raise LogError(f"{log}: has no tracks; make them with yolo3 track {log} OUT.jsonl, and name that")
            tracked = True
        yield from finder.update(
            frame.frame,
            frame.time,
            np.array([box.box for box in found], np.float64).reshape(-1, 4),
            np.array([box.class_id for box in found], np.int64),
            np.array([-1 if box.track is None else box.track for box in found], np.int64),
        )
        count += 1
        if progress is not None and count % _BAR_FRAMES == 0:
            progress.update(_BAR_FRAMES)
    if progress is not None:
        progress.update(count % _BAR_FRAMES)


def check_zones(log: Path, zones: Path) -> None:
    """Raise `ZonesError` where zones cannot be understood or do not fit the log's pictures and classes."""
    run, _ = open_log(log)
    zones_for(run, zones)


def zones_for(run: RunRecord, path: Path | None) -> Zones:
    """Return the zones of a file in pixels of a log's images; none without a file."""
    if path is None:
        return Zones(Path(), size=(run.width, run.height))
    return read_zones(path).for_picture(run.width, run.height, run.classes)


def _given(path: Path | None) -> tuple[Path, ...]:
    return () if path is None else (path,)
