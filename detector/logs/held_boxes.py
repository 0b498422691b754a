"""Boxes to hide, held over the gaps in which an object was not detected.

A detector misses an object in a frame now and then. Where things are hidden, that frame would show them; the log knows
what comes before and after it, so a box is held for a while when its object disappears, and before it appears.
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
"""For how long a box is held before its object is first detected and after it was last detected."""

MOST_BOXES = 1_000
"""Boxes to hide in one frame; where there are more, the whole frame is hidden."""

_SAME_OBJECT_IOU = 0.1
"""Boxes of successive frames that overlap by as much are of one object."""

Boxes = NDArray[np.float32]


@dataclass
class _Frame:
    """A frame of the log, and what is known of its boxes."""

    number: int
    time: float
    boxes: Boxes
    appeared: Boxes
    """Those without a predecessor in the frame before."""
    held: list[Boxes] = field(default_factory=list)
    """Boxes of other frames to hide here."""


class HeldBoxes:
    """What to hide in each frame of a log, asked for in order.

    `records` are the log's frames, `class_ids` the classes to hide. A second of the log is held in memory.
    """

    def __init__(
        self, records: Iterator[FrameRecord], class_ids: Sequence[int], *, hold_seconds: float = HOLD_SECONDS
    ) -> None:
        self._frames = _with_held(_frames(records, frozenset(class_ids)), hold_seconds)
        self._next = next(self._frames, None)

    def in_frame(self, number: int) -> Boxes:
        """(n, 4): the boxes to hide in the frame of this number of the log, its own and those held."""
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
    """The frames in order, with boxes held forwards and backwards in time."""
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
    """Those of the boxes that none of the others overlaps."""
    if not len(boxes) or not len(others) or max(len(boxes), len(others)) > MOST_BOXES:
        return boxes[: MOST_BOXES + 1]
    return boxes[(iou(boxes[:, None], others[None]) < _SAME_OBJECT_IOU).all(axis=1)]
