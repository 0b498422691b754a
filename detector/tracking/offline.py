"""Tracks from detections that are all known already, as in a frame log.

Three things are possible there that no tracker can do while the video runs: broken tracks are joined across gaps of
some seconds with what comes after them in view, gaps are filled, and tracks too short to be believed are left out.

Frames are taken in windows that overlap, so that memory does not grow with the log; tracks keep their numbers from
window to window by the detections that both hold.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from detector.errors import SettingsError
from detector.tracking.motion import Floats, MotionModel, boxes_of
from detector.tracking.smoothing import fill_gaps, smooth
from detector.tracking.stitching import StitchSettings, stitch
from detector.tracking.tracklets import LinkSettings, Observations, Rows, link_detections

Ids = NDArray[np.int64]

_WINDOW_BOXES = 150_000
_EVIDENCE_SECONDS = 3.0
"""What is to be seen of a track beyond the longest gap, on either side of where one window takes over from another."""


@dataclass(frozen=True)
class OfflineSettings:
    """How tracks are found in a log."""

    motion: MotionModel = field(default_factory=MotionModel)
    links: LinkSettings = field(default_factory=LinkSettings)
    stitches: StitchSettings = field(default_factory=StitchSettings)

    least_evidence: float = 3.0
    """A track whose confidences add up to less is left out as a false alarm."""

    smooth_seconds: float = 0.1
    """Movements shorter than this are taken for noise; 0 leaves boxes as they were detected."""

    window_frames: int = 3000
    """How many frames are looked at together; memory grows with it."""

    def __post_init__(self) -> None:
        for name, value in (
            ("the longest gap", self.stitches.longest_gap_seconds),
            ("the least evidence", self.least_evidence),
            ("the smoothing time", self.smooth_seconds),
        ):
            if not 0 <= value <= 3600:
                raise SettingsError(f"{name} is {value:g}; expected 0 to 3600")


@dataclass(frozen=True, eq=False)
class DetectedFrame:
    """The detections of one frame."""

    frame: int
    time: float
    """Seconds."""
    xyxy: Floats
    confidence: Floats
    class_id: NDArray[np.int64]
    propagated: bool = False
    """Whether the boxes were carried over from a frame before."""


@dataclass(frozen=True, eq=False)
class TrackedFrame(DetectedFrame):
    """The tracked objects of one frame, detected ones first."""

    tracker_id: Ids = field(default_factory=lambda: np.zeros(0, np.int64))
    """(n,): numbers of the tracks, from 1."""

    interpolated: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, bool))
    """(n,): whether the object was not detected here, but before and after."""


FindTracklets = Callable[[Observations], list[Rows]]
"""Detections -> tracklets, as `tracklets.link_detections` gives them."""


def track_frames(
    frames: Iterable[DetectedFrame],
    size: tuple[int, int],
    settings: OfflineSettings = OfflineSettings(),
    *,
    find_tracklets: FindTracklets | None = None,
    looks: Callable[[DetectedFrame], Floats] | None = None,
) -> Iterator[TrackedFrame]:
    """All frames again, with tracks in place of detections.

    `size` is the picture's, to which boxes are clipped where the detections are. `looks` describes each detection of
    a frame, (n, features); tracks are then also joined by it. Frames come out some seconds after they went in.
    """
    find = find_tracklets or (lambda seen: link_detections(seen, settings.motion, settings.links))
    windows = _Windows(size, settings, find)
    for frame in frames:
        windows.frames.append(frame)
        windows.boxes += len(frame.confidence)
        if looks is not None:
            windows.looks.append(looks(frame))
        if len(windows.frames) >= settings.window_frames or windows.boxes >= _WINDOW_BOXES:
            yield from windows.advance()
    yield from windows.advance(last=True)


@dataclass
class _Track:
    """A track within a window."""

    rows: Rows
    class_id: int
    number: int = 0


class _Windows:
    """The frames that are not written yet, and those before them that tracks are recognized by."""

    def __init__(self, size: tuple[int, int], settings: OfflineSettings, find: FindTracklets) -> None:
        self.frames: list[DetectedFrame] = []
        self.looks: list[Floats] = []
        self.boxes = 0
        self._size, self._settings, self._find = size, settings, find
        self._written = 0
        """How many of `frames` were given out before."""
        self._known: Ids = np.zeros(0, np.int64)
        """For each detection of the first frames, the track it was given in the window before; 0 for none."""
        self._classes: dict[int, int] = {}
        self._last_number = 0

    def advance(self, *, last: bool = False) -> Iterator[TrackedFrame]:
        """Give out the frames whose tracks no later frame can change; all of them when these were the last."""
        if not self.frames:
            return
        seen = _observations(self.frames)
        looks = np.concatenate(self.looks) if self.looks else None
        settings = self._settings
        tracklets = stitch(self._find(seen), seen, settings.motion, settings.stitches, looks)
        tracks = [
            _Track(rows, _voted(seen.class_id[rows], seen.confidence[rows]))
            for rows in tracklets
            if seen.confidence[rows].sum() >= settings.least_evidence
        ]
        self._number(tracks)
        count = len(self.frames)
        until, kept = (count, count) if last else self._cut(seen.times)
        yield from _assembled(tracks, seen, self.frames, range(self._written, until), (self._size, settings))
        numbers = np.zeros(len(seen), np.int64)
        for track in tracks:
            numbers[track.rows] = track.number
        self._known = numbers[seen.starts[kept] :]
        self._classes = {track.number: track.class_id for track in tracks}
        self.frames, self.looks, self._written = self.frames[kept:], self.looks[kept:], until - kept
        self.boxes = len(self._known)

    def _cut(self, times: Floats) -> tuple[int, int]:
        """Up to which frame tracks are settled, and from which on frames are needed to recognize them."""
        beyond = self._settings.stitches.longest_gap_seconds + _EVIDENCE_SECONDS
        count = len(times)
        until = max(int(np.searchsorted(times, times[-1] - beyond)), (count + self._written) // 2, self._written + 1)
        kept = max(int(np.searchsorted(times, times[until - 1] - beyond)), until // 2)
        return until, min(kept, until)

    def _number(self, tracks: list[_Track]) -> None:
        """Give each track its number: that of the window before if it holds the same detections."""
        shared: Counter[tuple[int, int]] = Counter()
        for place, track in enumerate(tracks):
            for number in self._known[track.rows[track.rows < len(self._known)]].tolist():
                if number:
                    shared[number, place] += 1
        taken: set[int] = set()
        for (number, place), _ in sorted(shared.items(), key=lambda item: (-item[1], item[0])):
            if number not in taken and not tracks[place].number:
                tracks[place].number = number
                tracks[place].class_id = self._classes[number]
                taken.add(number)
        for track in tracks:
            if not track.number:
                self._last_number += 1
                track.number = self._last_number


def _observations(frames: list[DetectedFrame]) -> Observations:
    return Observations.of(
        np.array([frame.time for frame in frames]),
        np.array([len(frame.confidence) for frame in frames], np.intp),
        np.concatenate([frame.xyxy for frame in frames]).reshape(-1, 4),
        np.concatenate([frame.confidence for frame in frames]),
        np.concatenate([frame.class_id for frame in frames]),
    )


def _voted(class_id: NDArray[np.int64], confidence: Floats) -> int:
    """The class that most of the confidence is for."""
    return int(np.bincount(class_id, confidence).argmax())


def _assembled(
    tracks: list[_Track],
    seen: Observations,
    frames: list[DetectedFrame],
    wanted: range,
    how: tuple[tuple[int, int], OfflineSettings],
) -> Iterator[TrackedFrame]:
    """The frames `wanted` with the boxes of the tracks."""
    (width, height), settings = how
    places, boxes, confidences, numbers, classes, filled = [], [], [], [], [], []
    for track in tracks:
        known = seen.frame[track.rows]
        if known[-1] < wanted.start or known[0] >= wanted.stop:
            continue
        full, states = fill_gaps(known, seen.states[track.rows], seen.times)
        box = boxes_of(smooth(states, seen.times[full], settings.smooth_seconds))
        interpolated = np.ones(len(full), bool)
        interpolated[known - full[0]] = False
        places.append(full)
        boxes.append(box)
        confidences.append(_confidence(known, seen.confidence[track.rows], full))
        numbers.append(np.full(len(full), track.number))
        classes.append(np.full(len(full), track.class_id))
        filled.append(interpolated)
    place = np.concatenate([np.zeros(0, np.intp), *places])
    interpolated = np.concatenate([np.zeros(0, bool), *filled])
    confidence = np.concatenate([np.zeros(0), *confidences])
    number = np.concatenate([np.zeros(0, np.int64), *numbers])
    class_id = np.concatenate([np.zeros(0, np.int64), *classes])
    box = np.concatenate([np.zeros((0, 4)), *boxes])
    # Detectors whose boxes reach beyond the picture are left to do so.
    low = np.minimum(seen.xyxy[:, :2].min(0, initial=0.0), 0.0)
    high = np.maximum(seen.xyxy[:, 2:].max(0, initial=0.0), [width, height])
    box = np.clip(box, np.tile(low, 2), np.tile(high, 2))
    order = np.lexsort((number, -confidence, interpolated, place))
    bounds = np.searchsorted(place[order], np.arange(wanted.start, wanted.stop + 1))
    for offset, index in enumerate(wanted):
        chosen = order[bounds[offset] : bounds[offset + 1]]
        frame = frames[index]
        yield TrackedFrame(
            frame.frame,
            frame.time,
            box[chosen],
            confidence[chosen],
            class_id[chosen],
            frame.propagated,
            number[chosen],
            interpolated[chosen],
        )


def _confidence(known: Rows, confidence: Floats, full: Rows) -> Floats:
    """Of a frame without a detection, the lesser confidence of the two beside the gap."""
    before = np.searchsorted(known, full, "right") - 1
    after = np.minimum(np.searchsorted(known, full, "left"), len(known) - 1)
    return np.asarray(np.minimum(confidence[before], confidence[after]))
