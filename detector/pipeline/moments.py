"""Find the moments of a log in which a condition holds, each with some time before and after it."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from detector.detections import Detections
from detector.errors import LogError, SettingsError
from detector.logs.frame_log import BoxRecord, FrameRecord, detections_of, open_log
from detector.logs.replay import LogIndex
from detector.pipeline.log_events import find_events, zones_for
from detector.tracking.conditions import Condition, FrameObjects, Mask
from detector.tracking.events import EventFinder
from detector.tracking.zones import Zones

_LONGEST_PAD_SECONDS = 3600.0
_BEFORE_SECONDS = 0.001
"""Seconds before a frame's time at which to cut; recordings round times to milliseconds."""

_USUAL_INTERVAL = 0.04

_HALF_MICROSECOND = 5e-7
"""Seconds. Times of a log are whole microseconds, but their differences are not exact."""


@dataclass(frozen=True)
class Wanted:
    """Which moments of a log to find."""

    when: str
    """A condition (see `detector.tracking.conditions`)."""
    pad_seconds: float = 2.0
    """Seconds of the video before and after that belong to a moment."""
    zones: Path | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.pad_seconds <= _LONGEST_PAD_SECONDS:
            raise SettingsError(f"a pad of {self.pad_seconds:g} s is out of range; expected 0 to 3600")


@dataclass
class Moment:
    """A run of frames; times are the log's, in seconds."""

    first: int
    """The first frame's number in the log."""
    begin: float
    """The first frame's time."""
    before: float | None
    """The time of the frame before; None if there is none."""
    last: int
    last_time: float
    after: float | None = None
    """The time of the frame after the last; None if there is none."""
    frames: int = 0
    met: int = 0
    """In how many of them the condition holds."""
    best: int = 0
    """The frame in which it holds most clearly."""
    best_boxes: Detections = field(default_factory=Detections.empty)
    """The boxes in that frame that meet it."""
    best_score: float = -1.0
    most: Counter[str] = field(default_factory=Counter)
    """By class, the most objects that met it at once."""
    tracks: set[tuple[str, int]] = field(default_factory=set)
    """The class and number of each track that met it."""

    @property
    def objects(self) -> Counter[str]:
        """How many objects met the condition, by class: tracks, or without tracks the most at once."""
        return Counter(name for name, _ in self.tracks) or self.most

    def end(self, interval: float | None) -> float:
        """Return when the frame after the last begins; `interval` is the usual time between frames."""
        return self.last_time + (interval or _USUAL_INTERVAL) if self.after is None else self.after

    def cut(self, time: float, neighbour: float | None) -> float:
        """Return where to cut so that a frame at `time` comes after the cut and the `neighbour` before it does not."""
        return time - (_BEFORE_SECONDS if neighbour is None else min(_BEFORE_SECONDS, (time - neighbour) / 4))

    def merge(self, later: Moment) -> None:
        """Merge a moment that begins before this one has ended, or right after."""
        self.met += later.met
        if later.best_score > self.best_score:
            self.best, self.best_boxes, self.best_score = later.best, later.best_boxes, later.best_score
        self.most |= later.most
        self.tracks |= later.tracks


def understood(wanted: Wanted, logged: LogIndex) -> tuple[Condition, Zones]:
    """Return the condition, and the zones in pixels. Raise `ZonesError` if they are invalid."""
    zones = zones_for(logged.run, wanted.zones)
    return Condition.parse(wanted.when, logged.run.classes, zones), zones


def find_moments(logged: LogIndex, wanted: Wanted) -> Iterator[Moment]:
    """Yield the moments in order, without overlaps.

    Raise `ZonesError` for an invalid condition or invalid zones, `LogError` if the condition needs tracks that the log
    does not have.
    """
    condition, zones = understood(wanted, logged)
    if condition.needs_events:
        run, frames = open_log(logged.path)
        condition.note_events(find_events(logged.path, run, frames, EventFinder(zones, run.classes)))
    elif condition.needs_tracks and not any(
        box.track is not None for record in logged.records() for box in record.detections
    ):
        raise LogError(f"{logged.path}: has no tracks; make them with yolo3 track {logged.path} OUT.jsonl")
    yield from _Finding(condition, logged.run.classes, wanted.pad_seconds).moments(logged.records())


class _Finding:
    """One pass over the frames of a log."""

    def __init__(self, condition: Condition, names: tuple[str, ...], pad: float) -> None:
        self._condition, self._names = condition, names
        self._pad = pad + _HALF_MICROSECOND
        self._recent: deque[tuple[int, FrameRecord, float | None]] = deque()
        """Index in the log, frame, and time of the frame before it, of the frames within the pad."""

    def moments(self, records: Iterable[FrameRecord]) -> Iterator[Moment]:
        found: Moment | None = None
        ended_at = -1
        until = 0.0
        previous: FrameRecord | None = None
        for place, record in enumerate(records):
            self._remember(place, record, None if previous is None else previous.time)
            mask = self._matched(record)
            if mask is not None:
                first_place, first, before = self._recent[0]
                new = Moment(first.frame, first.time, before, record.frame, record.time)
                self._add(new, record, mask)
                if found is not None and first_place <= ended_at + 1:
                    found.frames += place - ended_at - 1  # the frames between, without this one
                    found.merge(new)
                else:
                    if found is not None:
                        yield found
                    new.frames = place - first_place
                    found = new
                until = record.time + self._pad
                ended_at = place - 1
            if found is not None and record.time <= until and ended_at == place - 1:
                found.last, found.last_time, found.after = record.frame, record.time, None
                found.frames += 1
                ended_at = place
            elif found is not None and found.after is None:
                found.after = record.time
            previous = record
        if found is not None:
            yield found

    def _remember(self, place: int, record: FrameRecord, before: float | None) -> None:
        self._recent.append((place, record, before))
        while self._recent[0][1].time < record.time - self._pad:
            self._recent.popleft()

    def _matched(self, record: FrameRecord) -> Mask | None:
        found = record.detections
        return self._condition.match(
            FrameObjects(
                record.frame,
                np.array([box.box for box in found], np.float64).reshape(-1, 4),
                np.array([box.class_id for box in found], np.int64),
                np.array([-1 if box.track is None else box.track for box in found], np.int64),
            )
        )

    def _add(self, moment: Moment, record: FrameRecord, mask: Mask) -> None:
        """Record which boxes of a frame meet the condition."""
        chosen: list[BoxRecord] = [box for box, wanted in zip(record.detections, mask, strict=True) if wanted]
        moment.met = 1
        moment.best, moment.best_score = record.frame, sum(box.confidence for box in chosen)
        moment.best_boxes = detections_of(FrameRecord(record.frame, record.time, tuple(chosen)), self._names)
        moment.most = Counter(box.name for box in chosen)
        moment.tracks = {(box.name, box.track) for box in chosen if box.track is not None}
