"""Detections linked from frame to frame into tracklets: short pieces of tracks that hold one object each.

A link is made only where it is clearly better than any other: a tracklet that ends too early is mended afterwards
(`stitching`), one that passes from one object to another is not.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from detector.heads.boxes import iou
from detector.tracking.motion import Floats, KalmanBank, MotionModel, boxes_of, sizes_of, states_of

Rows = NDArray[np.intp]

_NO_LINK = 1e6


@dataclass(frozen=True)
class LinkSettings:
    """When a detection belongs to a tracklet."""

    farthest: float = 13.3
    """Squared distance in standard deviations over four dimensions: 99 % of an object's own detections are nearer."""

    margin: float = 1.0
    """By how much twice the negative log likelihood of a link must be less than that of any other."""

    other_class: float = 6.0
    """Added to the squared distance where a tracklet was last detected as another class."""

    confident: float = 0.5
    """Detections of this confidence choose first, the others among what is left (ByteTrack, arXiv:2110.06864)."""

    missed: float = 4.4
    """By how much more a link costs a tracklet that was not detected in the frame before."""

    overlap: float = 0.4
    """Intersection over union from which an unexpected box is still of the object expected there, for want of another.
    """

    patience_seconds: float = 0.5
    """How long a tracklet may go without a detection."""


@dataclass(frozen=True, eq=False)
class Observations:
    """All detections of some frames, as flat arrays ordered by frame."""

    times: Floats
    """(frames,): seconds."""
    starts: NDArray[np.intp]
    """(frames + 1,): where in the arrays below each frame begins."""
    xyxy: Floats
    confidence: Floats
    class_id: NDArray[np.int64]
    states: Floats
    """(n, 4): the boxes as `motion.states_of` gives them."""
    frame: NDArray[np.intp]
    """(n,): place of each detection's frame in `times`."""

    @classmethod
    def of(
        cls, times: Floats, counts: NDArray[np.intp], xyxy: Floats, confidence: Floats, class_id: NDArray[np.int64]
    ) -> Observations:
        """From the number of detections in each frame and the detections of all."""
        starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.intp)
        frame = np.repeat(np.arange(len(times)), counts)
        return cls(times, starts, xyxy, confidence, class_id, states_of(xyxy), frame)

    def __len__(self) -> int:
        return len(self.confidence)

    @property
    def interval(self) -> float:
        """Seconds from one frame to the next, usually."""
        return float(np.median(np.diff(self.times))) if len(self.times) > 1 else 0.0


def link_detections(seen: Observations, model: MotionModel, settings: LinkSettings) -> list[Rows]:
    """The tracklets, each as the places of its detections in the arrays of `seen`, in order of time."""
    linker = _Linker(model, settings, max(settings.patience_seconds, 1.5 * seen.interval) + 1e-9)
    for index, time in enumerate(seen.times.tolist()):
        begin, end = int(seen.starts[index]), int(seen.starts[index + 1])
        linker.advance(time, begin, seen.states[begin:end], seen.confidence[begin:end], seen.class_id[begin:end])
    return [np.array(rows, np.intp) for rows in linker.members]


class _Linker:
    """The tracklets so far, those that may go on as parallel arrays."""

    def __init__(self, model: MotionModel, settings: LinkSettings, patience_seconds: float) -> None:
        self.members: list[list[int]] = []
        """For each tracklet the places of its detections."""
        self._settings, self._patience_seconds = settings, patience_seconds
        self._bank = KalmanBank(model)
        self._numbers = np.zeros(0, np.intp)
        """Places in `members` of those that may go on."""
        self._last_seen, self._class_id = np.zeros(0), np.zeros(0, np.int64)
        self._time: float | None = None

    def advance(self, time: float, begin: int, states: Floats, confidence: Floats, class_id: NDArray[np.int64]) -> None:
        """Link the detections of the next frame, the first of which is at `begin`."""
        before = time if self._time is None else self._time
        self._time = time
        self._forget(time)
        self._bank.predict(time - before)
        unused = np.ones(len(states), bool)
        if len(self._bank) and len(states):
            settings = self._settings
            idle = np.ones(len(self._bank), bool)
            costs = _costs(self._bank, states, self._class_id[:, None] != class_id, settings)
            # Misses come in runs: what was detected in the frame before is likelier to be detected again.
            missed = self._last_seen < before
            if missed.any():
                costs += settings.missed * missed[:, None] * (costs < _NO_LINK)
            for rows, columns in _links(costs, confidence >= settings.confident, settings.margin):
                self._bank.update(rows, states[columns])
                self._link(rows, columns, time, begin)
                self._class_id[rows] = class_id[columns]
                unused[columns], idle[rows] = False, False
            if unused.any() and idle.any():
                possible = idle[:, None] & unused & (self._class_id[:, None] == class_id)
                rows, columns = _overlapping(self._bank, states, possible, settings.overlap)
                self._bank.update(rows, states[columns], expected=False)
                self._link(rows, columns, time, begin)
                unused[columns], idle[rows] = False, False
                unused &= ~self._part(_contended(costs, settings.margin) & idle[:, None] & unused, begin)
        self._begin(np.flatnonzero(unused), time, begin, states, class_id)

    def _forget(self, time: float) -> None:
        """Drop the tracklets that have gone without a detection for too long."""
        fresh = time - self._last_seen <= self._patience_seconds
        if not fresh.all():
            self._bank.keep(fresh)
            self._last_seen, self._class_id = self._last_seen[fresh], self._class_id[fresh]
            self._numbers = self._numbers[fresh]

    def _link(self, rows: Rows, columns: Rows, time: float, begin: int) -> None:
        self._last_seen[rows] = time
        for row, column in zip(self._numbers[rows].tolist(), columns.tolist(), strict=True):
            self.members[row].append(begin + column)

    def _part(self, contended: NDArray[np.bool_], begin: int) -> NDArray[np.bool_]:
        """Settle who goes on where no link is clear; return (detections,) those that are tracklets of their own.

        Where several detections could each be of several tracklets, as when two objects meet, these go on as they went
        until it is clear. Elsewhere they end, as they would contend for all that follows with those that begin here.
        """
        alone = contended[contended.sum(1) > 1].any(0) & (contended.sum(0) > 1)
        self.members.extend([begin + column] for column in np.flatnonzero(alone).tolist())
        self._last_seen[contended.any(1) & ~contended[:, alone].any(1)] = -np.inf
        return np.asarray(alone)

    def _begin(self, begun: Rows, time: float, begin: int, states: Floats, class_id: NDArray[np.int64]) -> None:
        if not len(begun):
            return
        self._bank.append(states[begun])
        self._last_seen = np.concatenate([self._last_seen, np.full(len(begun), time)])
        self._class_id = np.concatenate([self._class_id, class_id[begun]])
        self._numbers = np.concatenate([self._numbers, np.arange(len(self.members), len(self.members) + len(begun))])
        self.members.extend([begin + column] for column in begun.tolist())


def _costs(bank: KalmanBank, states: Floats, other: NDArray[np.bool_], settings: LinkSettings) -> Floats:
    """(tracklets, detections): twice the negative log likelihood of each link, `_NO_LINK` where it is too far."""
    apart = states[None] - bank.states[:, None]
    apart[..., :2] /= sizes_of(bank.states)[:, None, None]
    variances = bank.variances()[:, None]
    distance = np.einsum("ijk,ijk->ij", apart, apart) / variances + settings.other_class * other
    return np.where(distance <= settings.farthest, distance + 4 * np.log(variances), _NO_LINK)


def _overlapping(bank: KalmanBank, states: Floats, possible: NDArray[np.bool_], overlap: float) -> tuple[Rows, Rows]:
    """Links of boxes that have another shape than expected but are in the same place, where there is no other choice.

    Such a box, of an object half hidden or in an unusual pose, says little of where the object is going.
    """
    rows, columns = np.flatnonzero(possible.any(1)), np.flatnonzero(possible.any(0))
    if not len(rows):
        return rows, columns
    expected, detected = (boxes_of(boxes).astype(np.float32) for boxes in (bank.states[rows], states[columns]))
    near = possible[np.ix_(rows, columns)] & (iou(expected[:, None], detected[None]) >= overlap)
    first, second = np.nonzero(near & (near.sum(1, keepdims=True) == 1) & (near.sum(0) == 1))
    return rows[first], columns[second]


def _contended(costs: Floats, margin: float) -> NDArray[np.bool_]:
    """(tracklets, detections): which detection a tracklet might hold, nearly as well as the best one."""
    best = costs.min(0, initial=_NO_LINK)
    return np.asarray((costs < _NO_LINK) & (costs - best <= margin))


def _links(costs: Floats, confident: NDArray[np.bool_], margin: float) -> Iterator[tuple[Rows, Rows]]:
    """The links that are better than all others, first of the confident detections."""
    free = np.ones(len(costs), bool)
    for chosen in (confident, ~confident):
        columns, rows = np.flatnonzero(chosen), np.flatnonzero(free)
        if not len(columns) or not len(rows):
            continue
        part = costs[np.ix_(rows, columns)]
        first, second = linear_sum_assignment(part)
        possible = part[first, second] < _NO_LINK
        first, second = first[possible], second[possible]
        if not len(first):
            continue
        best = part[first, second]
        part[first, second] = _NO_LINK
        clear = np.minimum(part[first].min(1), part[:, second].min(0)) - best > margin
        first, second = first[clear], second[clear]
        free[rows[first]] = False
        yield rows[first], columns[second]
