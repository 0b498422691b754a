"""Hold boxes to hide over the gaps in which an object was not detected.

A detector misses an object in some frames. When objects are to be hidden, such a frame would show them; the log
contains the frames before and after it, so a box is held for a while before its object appears and after it disappears.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from detector.heads.boxes import iou
from detector.logs.frame_log import FrameRecord

HOLD_SECONDS = 1.0
"""Seconds for which a box is held before its object is first detected and after it was last detected."""

MOST_BOXES = 1_000
"""Maximum boxes to hide in one frame; if there are more, the whole frame is hidden."""

_SAME_OBJECT_IOU = 0.1
"""Minimum IoU of boxes of one object in successive frames."""

Boxes = NDArray[np.float32]


@dataclass
class _Frame:
    """A frame of the log, and what is known about its boxes."""

    number: int
    time: float
    boxes: Boxes
    appeared: Boxes
    """The boxes without a predecessor in the frame before."""
    held: list[Boxes] = field(default_factory=list)
    """Boxes of other frames to hide in this one."""


class HeldBoxes:
    """The boxes to hide in each frame of a log, requested in order.

    `records` are the log's frames, `class_ids` the classes to hide. A second of the log is kept in memory.
    """

    def __init__(
        self, records: Iterator[FrameRecord], class_ids: Sequence[int], *, hold_seconds: float = HOLD_SECONDS
    ) -> None:
        self._frames = _with_held(_frames(records, frozenset(class_ids)), hold_seconds)
        self._next = next(self._frames, None)

    def in_frame(self, number: int) -> Boxes:
        """Return (n, 4): the boxes to hide in the frame with this number in the log, its own and held ones."""
        while self._next is not None and self._next.number < number:
            self._next = next(self._frames, None)
        if self._next is None or self._next.number != number:
            return np.zeros((0, 4), np.float32)
        return np.concatenate([self._next.boxes, *self._next.held])


def _frames(records: Iterator[FrameRecord], class_ids: frozenset[int]) -> Iterator[_Frame]:
    before = np.zeros((0, 4), np.float32)
    for record in records:
        edges = [box.box for box in record.detections if box.class_id in class_ids]
        boxes = np.array(edges, np.float32).reshape(len(edges), 4)
        yield _Frame(record.frame, record.time, boxes, _unmatched(boxes, before))
        before = boxes


def _with_held(frames: Iterator[_Frame], hold_seconds: float) -> Iterator[_Frame]:
    """Yield the frames in order, with boxes held forwards and backwards in time."""
    window: deque[_Frame] = deque()
    lost: list[tuple[float, Boxes]] = []
    """Boxes whose object has disappeared, and the time until which they are held."""
    previous: _Frame | None = None
    for frame in frames:
        if previous is not None:
            gone = _unmatched(previous.boxes, frame.boxes)
            if len(gone):
                lost.append((previous.time + hold_seconds, gone))
        lost = [(until, _unmatched(boxes, frame.boxes)) for until, boxes in lost if until >= frame.time]
        frame.held.extend(boxes for _, boxes in lost)
        if len(frame.appeared):
            for earlier in window:
                if frame.time - earlier.time <= hold_seconds:
                    earlier.held.append(_unmatched(frame.appeared, earlier.boxes))
        window.append(frame)
        previous = frame
        while frame.time - window[0].time > hold_seconds:
            yield window.popleft()
    yield from window


def _unmatched(boxes: Boxes, others: Boxes) -> Boxes:
    """Return the boxes that none of the others overlaps."""
    if not len(boxes) or not len(others) or max(len(boxes), len(others)) > MOST_BOXES:
        return boxes[: MOST_BOXES + 1]
    return boxes[(iou(boxes[:, None], others[None]) < _SAME_OBJECT_IOU).all(axis=1)]
