"""What happens in a video, from its tracks: who crosses a line, enters or leaves a zone, stays, comes and goes.

Events are found frame by frame from what a log holds of each frame, so that a live run and its log give the same.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from detector.tracking.geometry import Point, depth_inside, distance_right, segments_meet
from detector.tracking.zones import Line, Zone, Zones, anchors_of

EventKind = Literal["appeared", "vanished", "entered", "left", "stayed", "crossed", "above"]

_ACROSS = 0.15
"""How far an anchor moves across a boundary, in sizes of its box, until it is on the other side for certain: from where
it was farthest on the one side to where it is on the other. Less may be noise."""

_SMALLEST_SIZE = 1.0
"""Pixels, of boxes without an area."""

_LOST_SECONDS = 1.0
"""A track not seen for longer has vanished."""

_REMEMBERED_SECONDS = 60.0
"""A track that comes back within this time, under its old number, is known again: it may have crossed a line unseen."""

_MICROSECONDS = 1_000_000


@dataclass(frozen=True)
class Event:
    """Something that happened at one moment."""

    kind: EventKind
    time: float
    """Seconds, of the frame."""
    frame: int
    track: int | None
    """None where it concerns several (`above`)."""
    name: str | None
    """The object's class."""
    box: tuple[float, float, float, float] | None
    place: str | None = None
    """The zone or line."""
    direction: Literal["in", "out"] | None = None
    seconds: float | None = None
    """How long the object was in the zone by then, or in the video."""
    count: int | None = None
    """How many objects are in the zone."""

    def fields(self) -> dict[str, object]:
        """What an events file holds of it; what does not apply is left out."""
        given = {
            "type": "event",
            "event": self.kind,
            "time": self.time,
            "frame": self.frame,
            "track": self.track,
            "class": self.name,
            "box": None if self.box is None else list(self.box),
            "place": self.place,
            "direction": self.direction,
            "seconds": self.seconds,
            "count": self.count,
        }
        return {name: value for name, value in given.items() if value is not None}


@dataclass
class LineCount:
    """Who crossed a line, by class."""

    entered: Counter[str] = field(default_factory=Counter)
    left: Counter[str] = field(default_factory=Counter)


@dataclass
class ZoneCount:
    """Who was in a zone."""

    inside: dict[int, int] = field(default_factory=dict)
    """Tracks in it now, and since when, in microseconds."""
    entries: Counter[str] = field(default_factory=Counter)
    exits: Counter[str] = field(default_factory=Counter)
    most: int = 0
    """The greatest number at once."""
    dwell: Counter[str] = field(default_factory=Counter)
    """Microseconds that ended stays lasted, by class."""

    def mean_dwell_seconds(self) -> float | None:
        """Over all stays that ended; None where none did."""
        stays = sum(self.exits.values())
        return sum(self.dwell.values()) / stays / _MICROSECONDS if stays else None


@dataclass
class _Boundary:
    """On which side of a line or a zone's outline a track is, taking noise for noise."""

    inside: bool
    farthest: float
    """How far from the boundary it has been on that side, in sizes of its box."""
    point: Point
    """Where it last was on that side."""

    @classmethod
    def at(cls, depth: float, point: Point) -> _Boundary:
        """Return the state of a track that is first seen here; `depth` is in sizes, above 0 inside."""
        return cls(depth > 0, abs(depth), point)

    def passes(self, depth: float, point: Point) -> Point | None:
        """Take the next position; return where it was before, if it is now on the other side."""
        inside = self.inside if depth == 0 else depth > 0
        if inside == self.inside:
            self.farthest, self.point = max(self.farthest, abs(depth)), point
            return None
        if self.farthest + abs(depth) < _ACROSS:
            return None
        before = self.point
        self.inside, self.farthest, self.point = inside, abs(depth), point
        return before


@dataclass
class _Seen:
    """A track as it was last seen."""

    name: str
    first: int
    """Microseconds."""
    last: int
    frame: int
    box: tuple[float, float, float, float]
    boundaries: dict[str, _Boundary] = field(default_factory=dict)
    votes: Counter[str] = field(default_factory=Counter)
    """As what it was detected how often; `name` is the usual one."""
    stayed: set[str] = field(default_factory=set)
    """Zones in which its stay was long enough for an event."""


class EventFinder:
    """Finds events frame by frame, and counts."""

    def __init__(self, zones: Zones, names: Sequence[str]) -> None:
        """`zones` are those of `Zones.for_picture`, `names` the classes."""
        self.lines: dict[str, LineCount] = {line.name: LineCount() for line in zones.lines}
        self.zones: dict[str, ZoneCount] = {zone.name: ZoneCount() for zone in zones.zones}
        self.unique: Counter[str] = Counter()
        """How many tracks there were, by class."""
        self._zones, self._names = zones, tuple(names)
        self._tracks: dict[int, _Seen] = {}
        self._vanished: dict[int, _Seen] = {}
        self._above: dict[str, bool] = defaultdict(bool)
        self._counted = {item.name: frozenset(item.classes or names) for item in zones.places}

    def update(
        self,
        frame: int,
        time: float,
        xyxy: NDArray[np.floating],
        class_id: NDArray[np.integer],
        tracker_id: NDArray[np.integer],
    ) -> list[Event]:
        """What happened in this frame; boxes without a track, below 0, are passed over."""
        events: list[Event] = []
        now = round(time * _MICROSECONDS)
        self._forget(now - round(_LOST_SECONDS * _MICROSECONDS), events)
        boxes = np.asarray(xyxy, np.float64).reshape(-1, 4)
        areas = np.maximum(boxes[:, 2:] - boxes[:, :2], 0).prod(1)
        sizes = np.maximum(np.sqrt(areas), _SMALLEST_SIZE).tolist()
        anchors = {
            anchor: anchors_of(boxes, anchor).tolist() for anchor in {item.anchor for item in self._zones.places}
        }
        rows = boxes.tolist()
        for row, (number, class_) in enumerate(zip(tracker_id.tolist(), class_id.tolist(), strict=True)):
            if number < 0:
                continue
            left, top, right, bottom = rows[row]
            seen = self._tracks.get(number)
            if seen is None:
                seen = self._begun(number, self._names[class_], now)
                seen.last, seen.frame, seen.box = now, frame, (left, top, right, bottom)
                events.append(self._event("appeared", number, seen))
            seen.last, seen.frame, seen.box = now, frame, (left, top, right, bottom)
            seen.votes[self._names[class_]] += 1
            seen.name = seen.votes.most_common(1)[0][0]
            for line in self._zones.lines:
                if seen.name in self._counted[line.name]:
                    x, y = anchors[line.anchor][row]
                    events.extend(self._at_line(line, number, seen, (x, y), sizes[row]))
            for zone in self._zones.zones:
                if seen.name in self._counted[zone.name]:
                    x, y = anchors[zone.anchor][row]
                    events.extend(self._at_zone(zone, number, seen, (x, y), sizes[row]))
        events.extend(self._crowds(frame, time))
        return events

    def open_stays(self) -> Iterator[tuple[str, str, float]]:
        """The zone, class and seconds so far of each stay that has not ended."""
        for name, count in self.zones.items():
            for number, since in count.inside.items():
                seen = self._tracks[number]
                yield name, seen.name, (seen.last - since) / _MICROSECONDS

    def _begun(self, number: int, name: str, now: int) -> _Seen:
        """A track that was not there: a new one, or one that had vanished."""
        seen = self._vanished.pop(number, None)
        if seen is None:
            self.unique[name] += 1
            seen = _Seen(name, now, now, 0, (0.0, 0.0, 0.0, 0.0))
        else:
            seen.first = now
            for zone in self._zones.zones:
                seen.boundaries.pop(zone.name, None)
        self._tracks[number] = seen
        return seen

    def _at_line(self, line: Line, number: int, seen: _Seen, point: Point, size: float) -> Iterator[Event]:
        depth = distance_right(point, line.start, line.end) / size
        state = seen.boundaries.get(line.name)
        if state is None:
            seen.boundaries[line.name] = _Boundary.at(depth, point)
            return
        before = state.passes(depth, point)
        if before is None or not segments_meet(before, point, line.start, line.end):
            return
        count = self.lines[line.name]
        (count.entered if state.inside else count.left)[seen.name] += 1
        direction: Literal["in", "out"] = "in" if state.inside else "out"
        yield self._event("crossed", number, seen, place=line.name, direction=direction)

    def _at_zone(self, zone: Zone, number: int, seen: _Seen, point: Point, size: float) -> Iterator[Event]:
        depth = depth_inside(point, zone.polygon) / size
        state = seen.boundaries.get(zone.name)
        if state is None:
            state = seen.boundaries[zone.name] = _Boundary.at(depth, point)
            changed = state.inside
        else:
            changed = state.passes(depth, point) is not None
        count = self.zones[zone.name]
        if changed and state.inside:
            count.inside[number] = seen.last
            count.entries[seen.name] += 1
            count.most = max(count.most, len(count.inside))
            yield self._event("entered", number, seen, place=zone.name, count=len(count.inside))
        elif changed:
            yield self._leaves(zone.name, number, seen)
        elif state.inside and zone.stay_seconds is not None and zone.name not in seen.stayed:
            stay = seen.last - count.inside[number]
            if stay >= zone.stay_seconds * _MICROSECONDS:
                seen.stayed.add(zone.name)
                yield self._event("stayed", number, seen, place=zone.name, seconds=stay / _MICROSECONDS)

    def _leaves(self, zone: str, number: int, seen: _Seen) -> Event:
        count = self.zones[zone]
        stay = seen.last - count.inside.pop(number)
        count.exits[seen.name] += 1
        count.dwell[seen.name] += stay
        seen.stayed.discard(zone)
        return self._event("left", number, seen, place=zone, seconds=stay / _MICROSECONDS, count=len(count.inside))

    def _forget(self, before: int, events: list[Event]) -> None:
        """Take leave of the tracks that were last seen before a moment; their events bear the time of that sight."""
        for number in [number for number, seen in self._tracks.items() if seen.last < before]:
            seen = self._tracks[number]
            events.extend(
                self._leaves(name, number, seen) for name, count in self.zones.items() if number in count.inside
            )
            seconds = (seen.last - seen.first) / _MICROSECONDS
            events.append(self._event("vanished", number, seen, seconds=seconds))
            self._vanished[number] = self._tracks.pop(number)
        forgotten = before - round(_REMEMBERED_SECONDS * _MICROSECONDS)
        for number in [number for number, seen in self._vanished.items() if seen.last < forgotten]:
            del self._vanished[number]

    def _crowds(self, frame: int, time: float) -> Iterator[Event]:
        for zone in self._zones.zones:
            if zone.above is None:
                continue
            count = len(self.zones[zone.name].inside)
            crowded = count > zone.above
            if crowded and not self._above[zone.name]:
                yield Event("above", round(time, 6), frame, None, None, None, place=zone.name, count=count)
            self._above[zone.name] = crowded

    def _event(
        self,
        kind: EventKind,
        number: int,
        seen: _Seen,
        *,
        place: str | None = None,
        direction: Literal["in", "out"] | None = None,
        seconds: float | None = None,
        count: int | None = None,
    ) -> Event:
        time = seen.last / _MICROSECONDS
        return Event(kind, time, seen.frame, number, seen.name, seen.box, place, direction, seconds, count)
