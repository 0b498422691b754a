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

from detector.tracking.motion import Floats, KalmanBank, MotionModel, sizes_of, states_of

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
    bank = KalmanBank(model)
    patience = max(settings.patience_seconds, 1.5 * seen.interval) + 1e-9
    last_seen, class_id = np.zeros(0), np.zeros(0, np.int64)
    numbers = np.zeros(0, np.intp)
    members: list[list[int]] = []
    before = float(seen.times[0]) if len(seen.times) else 0.0
    for index, time in enumerate(seen.times.tolist()):
        begin, end = seen.starts[index], seen.starts[index + 1]
        fresh = time - last_seen <= patience
        if not fresh.all():
            bank.keep(fresh)
            last_seen, class_id, numbers = last_seen[fresh], class_id[fresh], numbers[fresh]
        bank.predict(time - before)
        before = time
        states, confidence = seen.states[begin:end], seen.confidence[begin:end]
        classes = seen.class_id[begin:end]
        unused = np.ones(end - begin, bool)
        if len(bank) and end > begin:
            costs = _costs(bank, states, class_id[:, None] != classes[None], settings)
            for rows, columns in _links(costs, confidence >= settings.confident, settings.margin):
                bank.update(rows, states[columns])
                unused[columns] = False
                last_seen[rows], class_id[rows] = time, classes[columns]
                for row, column in zip(numbers[rows].tolist(), columns.tolist(), strict=True):
                    members[row].append(int(begin) + column)
        begun = np.flatnonzero(unused)
        if len(begun):
            bank.append(states[begun])
            last_seen = np.concatenate([last_seen, np.full(len(begun), time)])
            class_id = np.concatenate([class_id, classes[begun]])
            numbers = np.concatenate([numbers, np.arange(len(members), len(members) + len(begun))])
            members.extend([int(begin) + column] for column in begun.tolist())
    return [np.array(rows, np.intp) for rows in members]


def _costs(bank: KalmanBank, states: Floats, other: NDArray[np.bool_], settings: LinkSettings) -> Floats:
    """(tracklets, detections): twice the negative log likelihood of each link, `_NO_LINK` where it is too far."""
    apart = states[None] - bank.states[:, None]
    apart[..., :2] /= sizes_of(bank.states)[:, None, None]
    variances = bank.variances()[:, None]
    distance = np.einsum("ijk,ijk->ij", apart, apart) / variances + settings.other_class * other
    return np.where(distance <= settings.farthest, distance + 4 * np.log(variances), _NO_LINK)


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
