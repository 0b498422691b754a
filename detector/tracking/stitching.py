"""Broken tracks put together again: tracklets that fit across a gap, in position, velocity and size.

Both sides of a gap are known, which a tracker that runs with the video never has: the tracklet before it is carried
forward and must meet the one after it, whose velocity is measured too.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import min_weight_full_bipartite_matching

from detector.tracking.motion import Floats, KalmanBank, MotionModel, boxes_of, predicted, sizes_of
from detector.tracking.tracklets import Observations, Rows

_LOOKED_AT_SECONDS = 3.0
_LOOKED_AT_MOST = 90
"""Detections at an end of a tracklet: older ones say no more of its velocity."""

_SHRINKING_SECONDS = 1.0
_SHRUNK = 0.7
"""Part of its usual width or height below which an object is half hidden."""

_HIDDEN = 0.5
"""Part of a box that is covered by another, from which on it may well be missed."""

_GAP_SAMPLES = 8
"""Moments of a gap at which it is looked for what hides the object."""

_PAIRS_AT_ONCE = 1_000_000
_MOST_FOLLOWERS = 20
"""Tracklets that may follow one: more are near only where boxes lie in heaps."""


@dataclass(frozen=True)
class StitchSettings:
    """When two tracklets are of one object."""

    longest_gap_seconds: float = 4.0
    """Gaps are closed in rounds, up to an eighth of this first, then a quarter, a half and the whole."""

    farthest: float = 26.6
    """Squared distance in standard deviations over eight dimensions: 99.9 % of an object's own pieces are nearer."""

    most_cost: float = 0.0
    """Negative log likelihood above which two objects are likelier than one."""

    open_gap_cost: float = 2.0
    """Added to that for each second of a gap in which nothing detected is before the object."""

    hidden_gain: float = 1.5
    """By how much less it costs to join what ends and begins behind something detected, where nothing comes or goes."""

    other_class: float = 6.0
    """Added to the squared distance where the two are of different classes."""

    alike: float = 1.0
    """Where looks are known, by how much equal ones lower the cost; each unit of squared distance raises it by half."""


@dataclass(frozen=True, eq=False)
class _Ends:
    """One end of each tracklet: where it is and how it moves there."""

    times: Floats
    states: Floats
    velocities: Floats
    covariances: Floats
    sizes: Floats
    class_id: NDArray[np.int64]


def stitch(
    tracklets: list[Rows],
    seen: Observations,
    model: MotionModel,
    settings: StitchSettings,
    likeness: NDArray[np.float64] | None = None,
) -> list[Rows]:
    """The tracklets with broken ones joined, ordered by their first detection.

    `likeness`, (n, features), describes what each detection looks like; tracklets that differ are joined less readily.
    """
    for part in (8, 4, 2, 1):
        gap = max(settings.longest_gap_seconds / part, 1.5 * seen.interval)
        while len(tracklets) > 1:
            following = _following(tracklets, seen, model, settings, gap, likeness)
            if not following:
                break
            tracklets = _joined(tracklets, following)
    return sorted(tracklets, key=lambda rows: int(rows[0]))


def _following(
    tracklets: list[Rows],
    seen: Observations,
    model: MotionModel,
    settings: StitchSettings,
    longest: float,
    likeness: NDArray[np.float64] | None,
) -> dict[int, int]:
    """Which tracklet follows which, of those at most `longest` seconds apart: the likeliest choice for all."""
    before, after = _ends(tracklets, seen, model, backward=False), _ends(tracklets, seen, model, backward=True)
    looks = None if likeness is None else np.stack([likeness[rows].mean(0) for rows in tracklets])
    links: list[tuple[Rows, Rows, Floats]] = []
    for first, second in _pairs(before.times, after.times, longest):
        costs, distance = _link_costs(before, after, first, second, model)
        differ = before.class_id[first] != after.class_id[second]
        distance = distance + settings.other_class * differ
        costs = costs + settings.other_class / 2 * differ
        if looks is not None:
            costs = costs + ((looks[first] - looks[second]) ** 2).sum(1) / 2 - settings.alike
        possible = (costs < settings.most_cost + settings.hidden_gain) & (distance <= settings.farthest)
        first, second, costs = _likeliest(first[possible], second[possible], costs[possible])
        costs = costs + _gap_costs(before, after, first, second, seen, settings)
        possible = costs < settings.most_cost
        links.append((first[possible], second[possible], costs[possible]))
    if not links:
        return {}
    first, second, costs = (np.concatenate(column) for column in zip(*links, strict=True))
    return _best(first, second, costs, settings.most_cost, len(tracklets))


def _pairs(ends: Floats, begins: Floats, longest: float) -> Iterator[tuple[Rows, Rows]]:
    """All pairs of tracklets of which the second begins after the first has ended, and not too late; some at a time."""
    order = np.argsort(begins, kind="stable")
    low = np.searchsorted(begins[order], ends + 1e-6, "right")
    high = np.searchsorted(begins[order], ends + longest + 1e-6, "right")
    counts = np.maximum(high - low, 0)
    total = np.cumsum(counts)
    done = 0
    while done < len(ends):
        # At least one tracklet, and as many as make a number of pairs that fits into memory.
        until = max(done + 1, int(np.searchsorted(total, total[done] - counts[done] + _PAIRS_AT_ONCE, "right")))
        some = counts[done:until]
        first = np.repeat(np.arange(done, until), some)
        offsets = np.arange(some.sum()) - np.repeat(np.cumsum(some) - some, some)
        if len(first):
            yield first, order[np.repeat(low[done:until], some) + offsets]
        done = until


def _link_costs(before: _Ends, after: _Ends, first: Rows, second: Rows, model: MotionModel) -> tuple[Floats, Floats]:
    """Negative log likelihood that one object is seen before and after, against two of unknown velocity; and d²."""
    seconds = after.times[second] - before.times[first]
    unit = np.ones((len(seconds), 4))
    unit[:, :2] = np.sqrt(before.sizes[first] * after.sizes[second])[:, None]
    moved, velocities = model.moved(before.velocities[first], seconds)
    apart = (after.states[second] - before.states[first] - moved) / unit
    faster = (after.velocities[second] - velocities) / unit
    position, shared, velocity = predicted(before.covariances[:, first], seconds, model.acceleration)
    others = after.covariances[:, second]
    # The end that was followed backward in time has its covariance with the sign of that direction.
    position, shared, velocity = position + others[0], shared - others[1], velocity + others[2]
    determinant = position * velocity - shared**2
    distance = (
        velocity * (apart**2).sum(1) - 2 * shared * (apart * faster).sum(1) + position * (faster**2).sum(1)
    ) / determinant
    return distance / 2 + 2 * np.log(determinant / model.speed**2), distance


def _likeliest(first: Rows, second: Rows, costs: Floats) -> tuple[Rows, Rows, Floats]:
    """Of the pairs of each first tracklet those of least cost."""
    order = np.lexsort((costs, first))
    begins = np.searchsorted(first[order], first[order])
    order = order[np.arange(len(order)) - begins < _MOST_FOLLOWERS]
    return first[order], second[order], costs[order]


def _gap_costs(
    before: _Ends, after: _Ends, first: Rows, second: Rows, seen: Observations, settings: StitchSettings
) -> Floats:
    """What a gap adds to the cost of each pair: by what hides the object in it."""
    most = int(np.diff(seen.starts).max(initial=1))
    at_once = max(1, _PAIRS_AT_ONCE // (_GAP_SAMPLES * most))
    parts = [
        _open_part(before, after, first[begin : begin + at_once], second[begin : begin + at_once], seen)
        for begin in range(0, len(first), at_once)
    ]
    opens = np.concatenate([np.zeros((0, _GAP_SAMPLES), bool), *parts])
    seconds = opens.mean(1) * (after.times[second] - before.times[first])
    hidden = ~(opens[:, 0] | opens[:, -1])
    return np.asarray(settings.open_gap_cost * seconds - settings.hidden_gain * hidden)


def _open_part(before: _Ends, after: _Ends, first: Rows, second: Rows, seen: Observations) -> NDArray[np.bool_]:
    """(pairs, `_GAP_SAMPLES`): whether nothing detected is before each pair's object, at moments of its gap."""
    gaps = after.times[second] - before.times[first]
    parts = (np.arange(_GAP_SAMPLES) + 0.5) / _GAP_SAMPLES
    times = before.times[first, None] + gaps[:, None] * parts
    way = before.states[first, None] + (after.states[second] - before.states[first])[:, None] * parts[:, None]
    boxes = boxes_of(way.reshape(-1, 4))
    frames = np.minimum(np.searchsorted(seen.times, times.ravel()), len(seen.times) - 1)
    counts = seen.starts[frames + 1] - seen.starts[frames]
    which = np.repeat(np.arange(len(boxes)), counts)
    others = seen.xyxy[np.arange(counts.sum()) + np.repeat(seen.starts[frames] - np.cumsum(counts) + counts, counts)]
    sides = np.minimum(boxes[which, 2:], others[:, 2:]) - np.maximum(boxes[which, :2], others[:, :2])
    covered = np.maximum(sides, 0).prod(1) / (boxes[which, 2:] - boxes[which, :2]).prod(1)
    most = np.zeros(len(boxes))
    np.maximum.at(most, which, covered)
    return np.asarray((most < _HIDDEN).reshape(-1, _GAP_SAMPLES))


def _ends(tracklets: list[Rows], seen: Observations, model: MotionModel, *, backward: bool) -> _Ends:
    """The filtered last detections of all tracklets, or of their first ones with time running backward."""
    count = len(tracklets)
    looked_at: list[Rows] = []
    for rows in tracklets:
        end = rows[:_LOOKED_AT_MOST][::-1] if backward else rows[-_LOOKED_AT_MOST:]
        times = seen.times[seen.frame[end]]
        end = end[np.abs(times - times[-1]) <= _LOOKED_AT_SECONDS]
        looked_at.append(_before_hidden(end, seen))
    until = np.array([seen.times[seen.frame[rows[0] if backward else rows[-1]]] for rows in tracklets])
    longest = max(map(len, looked_at))
    places = np.full((longest, count), -1, np.intp)
    for column, end in enumerate(looked_at):
        places[longest - len(end) :, column] = end
    bank = KalmanBank(model)
    bank.append(np.zeros((count, 4)))
    began = np.zeros(count, bool)
    previous = np.zeros(count)
    for row in places:
        now = row >= 0
        times = np.where(now, seen.times[seen.frame[row]], previous)
        bank.predict(np.where(began, np.abs(times - previous), 0.0))
        fresh = now & ~began
        bank.states[fresh] = seen.states[row[fresh]]
        going = np.flatnonzero(now & began)
        bank.update(going, seen.states[row[going]])
        began, previous = began | now, times
    bank.predict(np.abs(until - previous))
    sizes = sizes_of(bank.states)
    velocities = -bank.velocities if backward else bank.velocities
    class_id = np.array([_usual(seen.class_id[end]) for end in looked_at], np.int64)
    return _Ends(until, bank.states, velocities, bank.covariances, sizes, class_id)


def _before_hidden(end: Rows, seen: Observations) -> Rows:
    """An end of a tracklet without the last boxes that are much narrower or lower than those of the second before.

    They are of an object half hidden already, and their centres do not move as it does.
    """
    times = seen.times[seen.frame[end]]
    sides = seen.states[end][:, 2:]
    usual = sides[np.abs(times - times[-1]) <= _SHRINKING_SECONDS].max(0)
    whole = np.flatnonzero((sides >= usual + np.log(_SHRUNK)).all(1))
    return end[: whole[-1] + 1] if len(whole) else end


def _usual(class_id: NDArray[np.int64]) -> int:
    return int(np.bincount(class_id).argmax())


def _best(first: Rows, second: Rows, costs: Floats, most: float, count: int) -> dict[int, int]:
    """The pairs of least total cost, where a tracklet without a follower costs `most`."""
    if not len(first):
        return {}
    # Each tracklet may also be matched with a place of its own: nothing follows it. Weights must not be 0.
    rows = np.concatenate([first, np.arange(count)])
    columns = np.concatenate([second, count + np.arange(count)])
    weights = np.concatenate([costs, np.full(count, most)]) - costs.min() + 1.0
    graph = coo_array((weights, (rows, columns)), shape=(count, 2 * count)).tocsr()
    matched, followers = min_weight_full_bipartite_matching(graph)
    return {int(row): int(column) for row, column in zip(matched, followers, strict=True) if column < count}


def _joined(tracklets: list[Rows], following: dict[int, int]) -> list[Rows]:
    led = set(following.values())
    joined = []
    for number in range(len(tracklets)):
        if number in led:
            continue
        chain = [number]
        while chain[-1] in following:
            chain.append(following[chain[-1]])
        joined.append(np.concatenate([tracklets[one] for one in chain]) if len(chain) > 1 else tracklets[number])
    return joined
