"""Tracks while the frames come: the trackers of the package `trackers`, fed with each frame's own time."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from detector.errors import SettingsError

if TYPE_CHECKING:
    from trackers.core.base import BaseTracker

TrackerName = Literal["bytetrack", "botsort", "ocsort", "sort"]

USUAL_FRAME_RATE = 30.0
"""Assumed where a source does not say."""

_SAME_STEP_SECONDS = 0.004
"""By how much the time from one frame to the next may differ from the usual one and still be it: the package's own
tolerance, which makes up for rounded timestamps."""

_TICKS_PER_SECOND = 1 << 20
"""Times are given to the package in steps of a power of two, so that equal steps are equal to the last bit: it
computes the matrices of a step anew for each object whenever the step changes."""

_MOST_VOTED = 10_000
"""Tracks whose classes are remembered: a camera may run for months."""

Ids = NDArray[np.int64]


def open_tracker(name: TrackerName, frame_rate: float | None = None) -> OnlineTracker:
    """A tracker by its name. Raises `SettingsError` where the package is not installed."""
    if name not in get_args(TrackerName):
        raise SettingsError(f"{name!r} is no tracker; expected one of {', '.join(get_args(TrackerName))}")
    try:
        import trackers
    except ImportError as error:
        raise SettingsError(f"tracker {name} needs the package trackers ({error}); pip install -e '.[track]'") from None
    kinds: dict[str, Callable[..., BaseTracker]] = {
        "bytetrack": trackers.ByteTrackTracker,
        "botsort": trackers.BoTSORTTracker,
        "ocsort": trackers.OCSORTTracker,
        "sort": trackers.SORTTracker,
    }
    return OnlineTracker(name, kinds[name], frame_rate or USUAL_FRAME_RATE)


class OnlineTracker:
    """Gives each detection the number of its track, frame by frame."""

    def __init__(self, name: TrackerName, kind: Callable[..., BaseTracker], frame_rate: float) -> None:
        from detector.tracking.quick_filter import quick_estimator

        self.name = name
        self._clock = _Clock(frame_rate)
        self._tracker = kind(frame_rate=1 / self._clock.step, state_estimator_class=quick_estimator(kind))
        # With frame numbers the package matches a lost object in the frame after its patience has ended, and then
        # drops it; with times it drops it first. Half a frame more is for times that are rounded.
        patience = self._tracker.maximum_frames_without_update
        self._tracker.maximum_time_without_update = (patience + 1.5) * self._clock.step
        self._votes: dict[int, Counter[int]] = {}

    @property
    def wants_pictures(self) -> bool:
        """Whether pictures help: botsort makes up for the movement of the camera."""
        return self.name == "botsort"

    def update(
        self,
        time: float,
        xyxy: NDArray[np.floating],
        confidence: NDArray[np.floating],
        class_id: NDArray[np.integer],
        picture: NDArray[np.uint8] | None = None,
    ) -> Ids:
        """(n,) numbers of the tracks from 1, -1 for a detection that none holds (yet).

        `time` is the frame's own in seconds, so that dropped and uneven frames are taken for what they are. `picture`
        is RGB, for a tracker that wants it.
        """
        import supervision

        given = supervision.Detections(
            xyxy=np.asarray(xyxy, np.float32).reshape(-1, 4),
            confidence=np.asarray(confidence, np.float32),
            class_id=np.arange(len(confidence)),  # which detection it is; no tracker looks at classes
        )
        frame = None
        if picture is not None and self.wants_pictures:
            frame = np.ascontiguousarray(picture[..., ::-1])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tracked = self._tracker.update(given, frame=frame, timestamp=self._clock.read(time))
        numbers = np.full(len(confidence), -1, np.int64)
        if len(tracked):
            found = np.asarray(tracked.tracker_id, np.int64)
            numbers[np.asarray(tracked.class_id, int)] = np.where(found >= 0, found + 1, -1)
        for number, class_ in zip(numbers.tolist(), class_id.tolist(), strict=True):
            if number >= 0:
                votes = self._votes.pop(number, None) or Counter()
                votes[class_] += 1
                self._votes[number] = votes  # last, so that the first is the one not seen for longest
        while len(self._votes) > _MOST_VOTED:
            del self._votes[next(iter(self._votes))]
        return numbers

    def classes(self, numbers: Ids, class_id: NDArray[np.integer]) -> NDArray[np.int64]:
        """(n,): the class as which each track was detected most so far; the detection's own without a track."""
        return np.array(
            [
                self._votes[number].most_common(1)[0][0] if number >= 0 else own
                for number, own in zip(numbers.tolist(), class_id.tolist(), strict=True)
            ],
            np.int64,
        )


class _Clock:
    """The frames' own times in seconds, with usual steps from frame to frame made exactly equal."""

    def __init__(self, frame_rate: float) -> None:
        self.step = max(1, round(_TICKS_PER_SECOND / frame_rate)) / _TICKS_PER_SECOND
        """Seconds from one frame to the next, usually."""
        self._last: float | None = None
        self._reading = 0.0

    def read(self, time: float) -> float:
        """Return the reading at a frame; call it once for each, in order."""
        passed = 0.0 if self._last is None else time - self._last
        if passed >= 0:  # the package leaves out a frame whose time runs backward
            self._last = time
        if abs(passed - self.step) <= min(_SAME_STEP_SECONDS, self.step / 4):
            passed = self.step
        reading = self._reading + round(passed * _TICKS_PER_SECOND) / _TICKS_PER_SECOND
        self._reading = max(self._reading, reading)
        return reading
