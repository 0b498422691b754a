"""Conditions that a frame meets or not, as somebody writes them: `person in door`, `2 car and not person`.

    condition  =  term  { "or" term }
    term       =  factor  { "and" factor }
    factor     =  "not" factor  |  "(" condition ")"  |  statement
    statement  =  [ number ] class [ "in" zone ]
               |  class ( "entered" | "left" | "stayed" ) zone
               |  class "crossed" line [ "in" | "out" ]
               |  class ( "appeared" | "vanished" )
               |  "track" number

`any` stands for all classes, a number for at least so many. Names of several words need no quotes, names that hold a
word of this grammar do: `'left turn'`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal, cast

import numpy as np
from numpy.typing import NDArray

from detector.errors import ZonesError
from detector.settings import suggestions
from detector.tracking.events import Event, EventKind
from detector.tracking.geometry import depth_inside
from detector.tracking.zones import Line, Zone, Zones, anchors_of

_TOKEN = re.compile(r"\s*(?:'([^']*)'|\"([^\"]*)\"|([()])|([^\s()'\"]+))")
_AT_PLACES = ("entered", "left", "stayed", "crossed")
_VERBS = (*_AT_PLACES, "appeared", "vanished")
_KEYWORDS = frozenset((*_VERBS, "and", "or", "not", "in", "out", "track", "(", ")"))
_ANY = "any"
_DEEPEST = 50
_EXAMPLES = "such as 'person', '2 person in door', 'car crossed north' or 'person and not car'"

Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class FrameObjects:
    """What a condition is asked about: the boxes of one frame."""

    frame: int
    xyxy: NDArray[np.float64]
    class_id: NDArray[np.int64]
    tracker_id: NDArray[np.int64]
    """(n,): -1 for a box without a track."""


@dataclass(frozen=True)
class _Present:
    """At least `least` objects of a class, or of a track, are in the picture or in a zone."""

    class_id: int | None
    least: int = 1
    zone: Zone | None = None
    zone_ids: tuple[int, ...] = ()
    """Classes that the zone counts."""
    track: int | None = None

    def match(self, seen: FrameObjects) -> Mask | None:
        chosen = np.ones(len(seen.class_id), bool) if self.class_id is None else seen.class_id == self.class_id
        if self.track is not None:
            chosen = seen.tracker_id == self.track
        if self.zone is not None and chosen.any():
            chosen &= np.isin(seen.class_id, self.zone_ids)
            rows = np.flatnonzero(chosen)
            for row, (x, y) in zip(rows, anchors_of(seen.xyxy[rows], self.zone.anchor).tolist(), strict=True):
                chosen[row] = depth_inside((x, y), self.zone.polygon) >= 0
        return chosen if chosen.sum() >= self.least else None

    def parts(self) -> Iterator[_Happens]:
        yield from ()


@dataclass(frozen=True, eq=False)
class _Happens:
    """An event happens in this frame; `tracks` is filled from the events of the video."""

    kind: EventKind
    name: str | None
    place: str | None = None
    direction: str | None = None
    tracks: dict[int, list[int]] = field(default_factory=dict)
    """By frame, the tracks to which it happens."""

    def note(self, event: Event) -> None:
        """Remember an event if it is one of these."""
        wanted = (self.kind, self.place, self.direction or event.direction, self.name or event.name)
        if event.track is not None and wanted == (event.kind, event.place, event.direction, event.name):
            self.tracks.setdefault(event.frame, []).append(event.track)

    def match(self, seen: FrameObjects) -> Mask | None:
        tracks = self.tracks.get(seen.frame)
        return None if tracks is None else np.isin(seen.tracker_id, tracks)

    def parts(self) -> Iterator[_Happens]:
        yield self


@dataclass(frozen=True)
class _Joined:
    """Several conditions, all or one of which are to hold."""

    of: tuple[Node, ...]
    every: bool

    def match(self, seen: FrameObjects) -> Mask | None:
        matches = [one.match(seen) for one in self.of]
        held = [match for match in matches if match is not None]
        if not held or (self.every and len(held) < len(matches)):
            return None
        return np.asarray(np.logical_or.reduce(held), bool)

    def parts(self) -> Iterator[_Happens]:
        for one in self.of:
            yield from one.parts()


@dataclass(frozen=True)
class _Not:
    """A condition that is not to hold."""

    of: Node

    def match(self, seen: FrameObjects) -> Mask | None:
        return np.zeros(len(seen.class_id), bool) if self.of.match(seen) is None else None

    def parts(self) -> Iterator[_Happens]:
        yield from self.of.parts()


Node = _Present | _Happens | _Joined | _Not


class Condition:
    """A condition that was understood, to be asked of each frame."""

    def __init__(self, text: str, node: Node, *, names_track: bool) -> None:
        self.text = text
        self._node = node
        self._parts = tuple(node.parts())
        self.needs_events = bool(self._parts)
        """Whether it speaks of events; these are to be given to `note_events` before it is asked of a frame."""
        self.needs_tracks = self.needs_events or names_track

    @classmethod
    def parse(cls, text: str, names: Sequence[str], zones: Zones) -> Condition:
        """From what somebody wrote; `zones` are those of `Zones.for_picture`, `names` the classes.

        Raises `ZonesError` for what cannot be understood and for unknown classes, zones and lines.
        """
        parser = _Parser(text, names, zones)
        return cls(text, parser.whole(), names_track=parser.names_track)

    def note_events(self, events: Iterable[Event]) -> None:
        """Remember the events of a video that it speaks of."""
        for event in events:
            for part in self._parts:
                part.note(event)

    def match(self, seen: FrameObjects) -> Mask | None:
        """(n,): which boxes of a frame it is met by; None where it is not met."""
        return self._node.match(seen)


class _Parser:
    """Takes a text apart, word by word."""

    def __init__(self, text: str, names: Sequence[str], zones: Zones) -> None:
        self._text, self._names, self._zones = text, tuple(names), zones
        self._tokens = self._split()
        self._place = self._depth = 0
        self.names_track = False

    def whole(self) -> Node:
        found = self._any_of()
        if self._place < len(self._tokens):
            raise self._wrong(f"nothing is expected before {self._tokens[self._place][0]!r}")
        return found

    def _split(self) -> list[tuple[str, bool]]:
        """The words, and whether each was quoted."""
        tokens, place, text = [], 0, self._text.rstrip()
        while place < len(text):
            match = _TOKEN.match(text, place)
            if match is None:
                raise self._wrong(f"a quote is not closed: {text[place:].strip()[:40]}")
            single, double, bracket, word = match.groups()
            quoted = single if single is not None else double
            tokens.append((quoted, True) if quoted is not None else (bracket or word, False))
            place = match.end()
        return tokens

    def _any_of(self) -> Node:
        return self._chain("or", lambda: self._chain("and", self._factor))

    def _chain(self, word: str, read: Callable[[], Node]) -> Node:
        found = [read()]
        while self._took(word):
            found.append(read())
        return found[0] if len(found) == 1 else _Joined(tuple(found), word == "and")

    def _factor(self) -> Node:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise self._wrong(f"it is nested more than {_DEEPEST} deep")
        try:
            if self._took("not"):
                return _Not(self._factor())
            if self._took("("):
                inner = self._any_of()
                if not self._took(")"):
                    raise self._wrong("a bracket is not closed")
                return inner
            return self._statement()
        finally:
            self._depth -= 1

    def _statement(self) -> Node:
        if self._took("track"):
            word = self._name("the number of a track")
            if not (word.isascii() and word.isdigit()):
                raise self._wrong(f"{word!r} is no number of a track")
            self.names_track = True
            return _Present(None, track=int(word))
        name = self._name("a class")
        least = 1
        count, _, rest = name.partition(" ")
        if name not in self._names and count.isascii() and count.isdigit():
            least, name = int(count), rest.strip() or _ANY
            if least < 1:
                raise self._wrong("at least 0 objects are in every frame; expected 1 or more")
        class_id = self._class(name)
        for verb in _VERBS:
            if self._took(verb):
                if least > 1:
                    raise self._wrong(f"{verb!r} is said of one object at a time; leave out the {least}")
                return self._event(cast(EventKind, verb), class_id)
        if not self._took("in"):
            return _Present(class_id, least)
        zone = self._zone(self._name("a zone"), class_id)
        ids = tuple(number for number, own in enumerate(self._names) if not zone.classes or own in zone.classes)
        return _Present(class_id, least, zone, ids)

    def _event(self, verb: EventKind, class_id: int | None) -> Node:
        name = None if class_id is None else self._names[class_id]
        if verb not in _AT_PLACES:
            return _Happens(verb, name)
        if verb == "crossed":
            line = self._line(self._name("a line"), class_id)
            direction: Literal["in", "out"] | None = None
            if self._took("in"):
                direction = "in"
            elif self._took("out"):
                direction = "out"
            return _Happens(verb, name, line.name, direction)
        if verb == "stayed":
            self._took("in")
        zone = self._zone(self._name("a zone"), class_id)
        if verb == "stayed" and zone.stay_seconds is None:
            raise self._wrong(
                f"zone {zone.name!r} has no stay_seconds, so nobody stays in it; add them to the zones", hint=""
            )
        return _Happens(verb, name, zone.name)

    def _took(self, word: str) -> bool:
        """Whether the next word is this one; then it is passed."""
        found = self._place < len(self._tokens) and self._tokens[self._place] == (word, False)
        self._place += found
        return found

    def _name(self, what: str) -> str:
        """A quoted text, or all words up to the next of the grammar."""
        words: list[str] = []
        while self._place < len(self._tokens):
            word, quoted = self._tokens[self._place]
            if (quoted and words and not words[-1].isdigit()) or (not quoted and word in _KEYWORDS):
                break
            words.append(word)
            self._place += 1
            if quoted:
                break
        if not words:
            found = repr(self._tokens[self._place][0]) if self._place < len(self._tokens) else "its end"
            raise self._wrong(f"{what} is expected before {found}")
        return " ".join(words)

    def _class(self, name: str) -> int | None:
        if name in self._names:
            return self._names.index(name)
        if name == _ANY:
            return None
        raise self._wrong(f"class {name!r} is not one of the {suggestions(name, self._names)}", hint="")

    def _zone(self, name: str, class_id: int | None) -> Zone:
        for zone in self._zones.zones:
            if zone.name == name:
                self._check_counted(zone, class_id)
                return zone
        raise self._unknown("zone", name, [zone.name for zone in self._zones.zones])

    def _line(self, name: str, class_id: int | None) -> Line:
        for line in self._zones.lines:
            if line.name == name:
                self._check_counted(line, class_id)
                return line
        raise self._unknown("line", name, [line.name for line in self._zones.lines])

    def _check_counted(self, place: Zone | Line, class_id: int | None) -> None:
        if class_id is not None and place.classes and self._names[class_id] not in place.classes:
            raise self._wrong(f"{place.name!r} counts only {', '.join(place.classes)}", hint="")

    def _unknown(self, kind: str, name: str, known: Sequence[str]) -> ZonesError:
        if not known:
            return self._wrong(f"there is no {kind} {name!r}; name a file that describes it with --zones", hint="")
        return self._wrong(f"{kind} {name!r} is not one of the {suggestions(name, known)}", hint="")

    def _wrong(self, what: str, *, hint: str = f"; expected a condition {_EXAMPLES}") -> ZonesError:
        shown = self._text if len(self._text) <= 80 else f"{self._text[:80]}…"
        return ZonesError(f"condition {shown!r}: {what}{hint}")
