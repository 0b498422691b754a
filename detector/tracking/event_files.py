"""Events as text: JSON Lines, CSV, and subtitles that tell them while the video plays."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import get_args

from detector.errors import SettingsError
from detector.tracking.events import Event, EventFinder, EventKind

COLUMNS = (
    "time",
    "frame",
    "event",
    "track",
    "class",
    "place",
    "direction",
    "seconds",
    "count",
    "left",
    "top",
    "right",
    "bottom",
)

_SHOWN_SECONDS = 2.0

Writer = Callable[[Iterable[Event]], Iterator[str]]


def event_writer(path: Path) -> Writer:
    """The format that a file's name asks for. Raises `SettingsError` for another."""
    writer = _WRITERS.get(path.suffix.lower())
    if writer is None:
        raise SettingsError(f"{path}: events are written as {', '.join(_WRITERS)}; name a file that ends so")
    return writer


def kinds_of(text: str | None) -> frozenset[EventKind]:
    """The kinds of events that a text names; none where there is no text. Raises `SettingsError` for another."""
    names = [name.strip() for name in (text or "").split(",") if name.strip()]
    known: dict[str, EventKind] = {kind: kind for kind in get_args(EventKind)}
    for name in names:
        if name not in known:
            raise SettingsError(f"{name!r} is no kind of event; expected some of {', '.join(known)}")
    return frozenset(known[name] for name in names)


def json_lines(events: Iterable[Event]) -> Iterator[str]:
    """One JSON object per event."""
    for event in events:
        yield json.dumps(event.fields(), ensure_ascii=False, separators=(",", ":")) + "\n"


def sentence(event: Event) -> str:
    """What happened, in a few words: `car 7 crossed north (in)`."""
    who = "" if event.track is None else f"{event.name} {event.track} "
    match event.kind:
        case "crossed":
            return f"{who}crossed {event.place} ({event.direction})"
        case "entered":
            return f"{who}entered {event.place}"
        case "left":
            return f"{who}left {event.place} after {event.seconds:.1f} s"
        case "stayed":
            return f"{who}has been in {event.place} for {event.seconds:.1f} s"
        case "above":
            return f"{event.count} in {event.place}"
        case _:
            return f"{who}{event.kind}"


def count_lines(finder: EventFinder) -> Iterator[str]:
    """A table of what was counted, a line each."""
    for name, line in finder.lines.items():
        entered, left = (
            f"{way.total()} {word}{_by_class(way)}" for way, word in ((line.entered, "in"), (line.left, "out"))
        )
        yield f"{name}: {entered}, {left}"
    still = list(finder.open_stays())
    for name, zone in finder.zones.items():
        mean = zone.mean_dwell_seconds()
        stay = "" if mean is None else f", {mean:.1f} s on average"
        inside = sum(zone_name == name for zone_name, _, _ in still)
        yield (
            f"{name}: {zone.entries.total()} entered{_by_class(zone.entries)}, {zone.exits.total()} left{stay}, "
            f"at most {zone.most} at once, {inside} at the end"
        )
    yield f"objects: {finder.unique.total()}{_by_class(finder.unique)}"


def _by_class(counted: Mapping[str, int]) -> str:
    if not counted:
        return ""
    return f" ({', '.join(f'{count} {name}' for name, count in sorted(counted.items()))})"


def _csv(events: Iterable[Event]) -> Iterator[str]:
    yield ",".join(COLUMNS) + "\n"
    for event in events:
        text = io.StringIO()
        fields = event.fields()
        box = event.box or ("", "", "", "")
        csv.writer(text, lineterminator="\n").writerow([*(fields.get(name, "") for name in COLUMNS[:-4]), *box])
        yield text.getvalue()


def _srt(events: Iterable[Event]) -> Iterator[str]:
    for number, (begin, end, text) in enumerate(_captions(events), 1):
        yield f"{number}\n{_clock(begin, ',')} --> {_clock(end, ',')}\n{text}\n\n"


def _vtt(events: Iterable[Event]) -> Iterator[str]:
    yield "WEBVTT\n\n"
    for begin, end, text in _captions(events):
        escaped = text.replace("&", "&amp;").replace("<", "&lt;")
        yield f"{_clock(begin, '.')} --> {_clock(end, '.')}\n{escaped}\n\n"


def _captions(events: Iterable[Event]) -> Iterator[tuple[float, float, str]]:
    """Captions in order of time; events of one moment share one."""
    at: dict[float, list[str]] = {}
    for event in events:
        at.setdefault(max(event.time, 0.0), []).append(sentence(event))
    times = sorted(at)
    for time, following in zip(times, [*times[1:], float("inf")], strict=True):
        yield time, min(time + _SHOWN_SECONDS, following), "\n".join(at[time])


def _clock(seconds: float, point: str) -> str:
    milliseconds = round(seconds * 1000)
    whole, rest = divmod(milliseconds, 1000)
    return f"{whole // 3600:02}:{whole // 60 % 60:02}:{whole % 60:02}{point}{rest:03}"


_WRITERS: Mapping[str, Writer] = {".jsonl": json_lines, ".csv": _csv, ".srt": _srt, ".vtt": _vtt}
