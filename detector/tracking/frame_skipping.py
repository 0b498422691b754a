"""Frame skipping: some frames get the boxes of an earlier one instead of being run through the network."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from detector.detections import Detections
from detector.errors import SettingsError
from detector.tracking.optical_flow import Follower, Stillness, luma_of
from detector.video.frames import Detect, Frame, Image

REFRESH_SECONDS = 2.0
"""With `skip_still`, the longest time without a detection, by the video's own clock."""


@dataclass(frozen=True)
class FrameSkipping:
    """Which frames to detect in; by default all. Raises `SettingsError` for a value out of range."""

    every: int = 1
    """One of so many frames."""

    carry: Literal["motion", "still"] = "motion"
    """Whether boxes follow the motion in between, or stay; with `motion` each new scene is detected in too."""

    skip_still: bool = False
    """Whether to skip frames in which nothing moved."""

    def __post_init__(self) -> None:
        if self.every < 1:
            raise SettingsError(
                f"every {self.every} is out of range; expected 1 for each frame, 2 for each other, and so on"
            )
        if self.carry not in ("motion", "still"):
            raise SettingsError(f"carry {self.carry!r} is not known; expected motion or still")

    @property
    def everything(self) -> bool:
        """Whether each frame is detected in."""
        return self.every == 1 and not self.skip_still

    def as_json(self) -> dict[str, object]:
        """What the log's settings hold of it: nothing where each frame is detected in."""
        given: dict[str, object] = {"every": self.every, "carry": self.carry} if self.every > 1 else {}
        return {**given, "skip_still": True} if self.skip_still else given


EVERY_FRAME = FrameSkipping()


class FrameSkippingDetector:
    """A `Detect` that runs another one on some of the frames it is given, in order, and marks the rest as propagated.

    Propagated boxes start from the rounded numbers of the log, so that a run which is resumed from its log goes on as
    the unbroken one would have. Frames before `count_from` do not count as asked or detected.
    """

    def __init__(self, detect: Detect, settings: FrameSkipping, *, count_from: int = 0) -> None:
        self._detect = detect
        self._settings = settings
        self._count_from = count_from
        self._number: int | None = None
        self._last: Detections | None = None
        self._detected_at = 0.0
        self._follower = Follower()
        self._stillness = Stillness()
        self.asked = 0
        """Frames given."""
        self.detected = 0
        """Frames that the other one was run on."""

    @property
    def note(self) -> str:
        """How much work it was, in a line."""
        return f"detected in {self.detected} of {self.asked} frames"

    def __call__(self, frame: Frame) -> Detections:
        """Detect in a frame, or propagate the boxes of an earlier one."""
        counts = frame.index >= self._count_from
        self.asked += counts
        # A live source drops frames, so those that come are counted; other sources number them alike.
        number = frame.index if self._number is None else self._number + 1
        self._number = number
        image, seconds = frame.image, float(frame.time)
        if self._last is not None:
            kept = self._propagated(image) if number % self._settings.every else self._unmoved(image, seconds)
            if kept is not None:
                frame.propagated = True
                return kept
        found = self._detect(frame)
        self.detected += counts
        self._last = _as_logged(found)
        self._detected_at = seconds
        if self._settings.skip_still:
            self._stillness.remember(luma_of(image))
        self._follow_from(image, self._last)
        return found

    def _propagated(self, image: Image) -> Detections | None:
        """The boxes moved on from the frame before; None after a change of scene."""
        assert self._last is not None
        if self._settings.carry == "still":
            return self._last
        boxes, visible, scene_changed = self._follower.follow(luma_of(image))
        return None if scene_changed else replace(self._last, xyxy=boxes)[visible]

    def _unmoved(self, image: Image, seconds: float) -> Detections | None:
        """The last detections, where nothing has moved since."""
        assert self._last is not None
        if not self._settings.skip_still or not 0 <= seconds - self._detected_at < REFRESH_SECONDS:
            return None
        if self._stillness.moved(luma_of(image)):
            return None
        self._follow_from(image, self._last)
        return self._last

    def _follow_from(self, image: Image, found: Detections) -> None:
        if self._settings.every > 1 and self._settings.carry == "motion":
            self._follower.start(luma_of(image), found.xyxy)


def _as_logged(found: Detections) -> Detections:
    """The detections as the log holds them (`Detections.as_records`)."""
    edges = [[round(edge, 2) for edge in box] for box in found.xyxy.tolist()]
    confidence = [round(value, 4) for value in found.confidence.tolist()]
    return replace(
        found,
        xyxy=np.array(edges, np.float32).reshape(len(found), 4),
        confidence=np.array(confidence, np.float32),
    )
