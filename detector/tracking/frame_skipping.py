"""Less work by choice: frames that are not looked into get the boxes of one before, carried on."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from detector.detections import Detections
from detector.errors import SettingsError
from detector.logs.frame_log import FrameRecord, detections_of
from detector.tracking.optical_flow import Follower, Stillness, luma_of
from detector.video.frames import Frame, Image, Source

REFRESH_SECONDS = 2.0
"""With `skip_still`, a frame is looked into at least so often, by the video's own time."""

Detect = Callable[[Image], Detections]


@dataclass(frozen=True)
class FrameSkipping:
    """Which frames to look into; by default all. Raises `SettingsError` for a value out of range."""

    every: int = 1
    """One of so many frames."""

    carry: Literal["motion", "still"] = "motion"
    """Whether boxes move with the picture in between, or stay; with `motion` a change of scene is looked into too."""

    skip_still: bool = False
    """Whether to pass over frames in which nothing moved."""

    def __post_init__(self) -> None:
        if self.every < 1:
            raise SettingsError(
                f"every {self.every} is out of range; expected 1 for each frame, 2 for each other, and so on"
            )
        if self.carry not in ("motion", "still"):
            raise SettingsError(f"carry {self.carry!r} is not known; expected motion or still")

    @property
    def everything(self) -> bool:
        """Whether each frame is looked into."""
        return self.every == 1 and not self.skip_still

    def as_json(self) -> dict[str, object]:
        """What the log's settings hold of it: nothing where each frame is looked into."""
        given: dict[str, object] = {"every": self.every, "carry": self.carry} if self.every > 1 else {}
        return {**given, "skip_still": True} if self.skip_still else given


EACH_FRAME = FrameSkipping()


class FrameSkippingDetector:
    """A `detect` that does not look into every frame it is asked about, in order, from the first on.

    `seconds` tells the time of the frame asked about. What is carried on is rounded as the log rounds it, so that a
    run which takes it from there goes on alike.
    """

    def __init__(
        self,
        detect: Detect,
        settings: FrameSkipping,
        seconds: Callable[[], float],
        names: tuple[str, ...] = (),
    ) -> None:
        self._detect = detect
        self._settings = settings
        self._seconds = seconds
        self._names = names
        self._number = 0
        self._last: Detections | None = None
        self._looked_at = 0.0
        self._follower = Follower()
        self._stillness = Stillness()
        self._asked = self.detected = 0

    @property
    def note(self) -> str:
        """How much work it was, in a line."""
        return f"detected in {self.detected} of {self._asked} frames"

    def __call__(self, image: Image) -> Detections:
        """What is in the frame, or was in one before."""
        self._asked += 1
        return self._answer(image, self._seconds(), self._look)

    def catch_up(self, frame: Frame, last: FrameRecord) -> None:
        """Take a frame that an earlier run has answered, from `last` on, which is what it looked into last."""
        self._number = frame.index
        self._answer(frame.image, float(frame.time), lambda image: detections_of(last, self._names))

    def _look(self, image: Image) -> Detections:
        self.detected += 1
        return self._detect(image)

    def _answer(self, image: Image, seconds: float, look: Detect) -> Detections:
        number, self._number = self._number, self._number + 1
        if self._last is not None:
            kept = self._carried(image) if number % self._settings.every else self._unmoved(image, seconds)
            if kept is not None:
                return kept
        found = look(image)
        self._last = replace(_as_logged(found), carried=True)
        self._looked_at = seconds
        if self._settings.skip_still:
            self._stillness.remember(luma_of(image))
        self._follow_from(image, self._last)
        return found

    def _carried(self, image: Image) -> Detections | None:
        """The boxes moved on from the frame before; None after a change of scene."""
        assert self._last is not None
        if self._settings.carry == "still":
            return self._last
        boxes, visible, scene_changed = self._follower.follow(luma_of(image))
        return None if scene_changed else replace(self._last, xyxy=boxes)[visible]

    def _unmoved(self, image: Image, seconds: float) -> Detections | None:
        """The boxes that were found last, where nothing has moved since."""
        assert self._last is not None
        if not self._settings.skip_still or not 0 <= seconds - self._looked_at < REFRESH_SECONDS:
            return None
        if self._stillness.moved(luma_of(image)):
            return None
        self._follow_from(image, self._last)
        return self._last

    def _follow_from(self, image: Image, found: Detections) -> None:
        if self._settings.every > 1 and self._settings.carry == "motion":
            self._follower.start(luma_of(image), found.xyxy)


class Watched:
    """A source that notes the `times` of its frames, from `first` on, for a `FrameSkippingDetector`.

    Those before, from `last` on, bring `sparse` up to date: `last` is what an earlier run looked into last.
    """

    def __init__(
        self,
        source: Source,
        sparse: FrameSkippingDetector,
        times: deque[float],
        *,
        first: int = 0,
        last: FrameRecord | None = None,
    ) -> None:
        self._source = source
        self._sparse = sparse
        self._times = times
        self._first = first
        self._last = last

    @property
    def notes(self) -> list[str]:
        """The source's own."""
        return list(getattr(self._source, "notes", ()))

    def __iter__(self) -> Iterator[Frame]:
        for frame in self._source:
            if frame.index >= self._first:
                self._times.append(float(frame.time))
            elif self._last is not None and frame.index >= self._last.frame:
                self._sparse.catch_up(frame, self._last)
            yield frame


def _as_logged(found: Detections) -> Detections:
    """The detections as the log holds them (`Detections.as_records`)."""
    edges = [[round(edge, 2) for edge in box] for box in found.xyxy.tolist()]
    confidence = [round(value, 4) for value in found.confidence.tolist()]
    return replace(
        found,
        xyxy=np.array(edges, np.float32).reshape(len(found), 4),
        confidence=np.array(confidence, np.float32),
    )
