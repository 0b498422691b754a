"""Boxes of a log without flicker: those that live for one frame left out, gaps of one frame filled."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import chain, repeat

import numpy as np
from numpy.typing import NDArray

from detector.detections import Detections
from detector.heads.boxes import iou
from detector.logs.frame_log import FrameRecord, detections_of

_SAME_OBJECT_IOU = 0.1
"""Minimum IoU of boxes of one object in frames that are at most two apart."""

_REACH = 2
"""Frames before and after in which a box must have a counterpart."""

Found = tuple[int, Detections]
"""The number of a frame, and what was detected in it."""


class SteadyBoxes:
    """The boxes to draw in each frame of a log, requested in order; five frames are kept in memory.

    `choose` selects boxes before it is decided which of them flicker, so that a box that rises above the chosen
    confidence for one frame only is left out too.
    """

    def __init__(
        self, records: Iterable[FrameRecord], names: tuple[str, ...], choose: Callable[[Detections], Detections]
    ) -> None:
        self._empty = Detections.empty(names)
        self._frames = steady((record.frame, choose(detections_of(record, names))) for record in records)
        self._next = next(self._frames, None)

    def in_frame(self, number: int) -> Detections:
        """Return the boxes of the frame with this number in the log."""
        while self._next is not None and self._next[0] < number:
            self._next = next(self._frames, None)
        return self._next[1] if self._next is not None and self._next[0] == number else self._empty


def steady(frames: Iterable[Found]) -> Iterator[Found]:
    """Return the frames with steady boxes only; a filled gap has the mean of the boxes around it."""
    window: list[Found | None] = [None] * (2 * _REACH + 1)
    for frame in chain(frames, repeat(None, _REACH)):
        window = [*window[1:], frame]
        now = window[_REACH]
        if now is not None:
            before, after = window[_REACH - 1], window[_REACH + 1]
            others = [other[1] for place, other in enumerate(window) if other is not None and place != _REACH]
            kept = _without_lone(now[1], others)
            yield now[0], kept if before is None or after is None else _with_missed(kept, now[1], before[1], after[1])


def _without_lone(found: Detections, others: list[Detections]) -> Detections:
    if not others or not len(found):
        return found
    return found[np.any([_same(found, other).any(axis=1) for other in others], axis=0)]


def _with_missed(kept: Detections, found: Detections, before: Detections, after: Detections) -> Detections:
    """Add the objects that the frames before and after have and this one lacks."""
    pairs = _same(before, after)
    pairs[_same(before, found).any(axis=1)] = False
    pairs[:, _same(after, found).any(axis=1)] = False
    first, second = [], []
    for index in range(len(before)):  # best first, as detections are
        partners = np.flatnonzero(pairs[index])
        if len(partners):
            first.append(index)
            second.append(int(partners[0]))
            pairs[:, partners[0]] = False
    if not first:
        return kept
    mean = (before.xyxy[first] + after.xyxy[second]) / 2
    confidence = np.concatenate([kept.confidence, np.minimum(before.confidence[first], after.confidence[second])])
    order = np.argsort(-confidence, kind="stable")
    return Detections(
        np.concatenate([kept.xyxy, mean])[order],
        confidence[order],
        np.concatenate([kept.class_id, before.class_id[first]])[order],
        kept.names,
    )


def _same(one: Detections, other: Detections) -> NDArray[np.bool_]:
    """Return (n, m): which boxes may be of one object."""
    close = iou(one.xyxy[:, None], other.xyxy[None]) >= _SAME_OBJECT_IOU
    return np.asarray(close & (one.class_id[:, None] == other.class_id[None]), bool)
