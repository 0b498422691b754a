"""Simulate an archive on many workers: a discrete-event simulation fed with measured service times.

    python -m benchmarks.archive_simulation [--out docs/scale.png] [--page docs/scale.md]

Workers process units (videos, or segments of them) one after another. All workers share one storage: if they ask for
more bytes per second than it delivers, all slow down alike. The time in which a lone worker would have done its work is
kept in `virtual` seconds; while `busy` workers share the storage, a real second is worth `pace(busy)` virtual seconds.
Events are therefore in one queue of virtual times, whatever the storage does.
"""

from __future__ import annotations

import argparse
import heapq
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.report import put, table

KINDS: dict[str, int | None] = {"one shard per worker": 1, "ten shards per worker": 10, "one queue of units": None}
WORKERS = (1, 10, 100, 1_000, 10_000, 100_000)
SHARDS_WITH_LISTS = 1_000
"""Up to here every shard is given the whole archive; beyond, a list of its own inputs."""

_UNIT_LIMIT = 3_000_000


@dataclass(frozen=True)
class Costs:
    """What one worker, a process with one thread, needs; measured by `benchmarks.archive` unless said otherwise."""

    frames_per_second: float = 37.0
    """Frames per second of CPU time: Yolo-Fastest-1.1-XL with annotated copies of 768x432 pixels."""
    start_seconds: float = 1.3
    """To import and to open the model."""
    unit_seconds: float = 0.02
    """For each unit beside its frames; assumed."""
    listing_seconds: float = 1.0e-5
    """For each input of the archive, in every shard; assumed."""
    read_bytes_per_hour: float = 0.34e9
    written_bytes_per_hour: float = 0.2e9
    storage_bytes_per_second: float = 5.0e9
    """Of all workers together; assumed."""
    entries_per_second: float = 200_000.0
    """Names and attributes that the storage lists for all workers together; assumed."""
    price_per_core_hour: float = 0.04
    """Assumed."""


@dataclass(frozen=True)
class Archive:
    """The videos to process; lengths are log-normal with this mean."""

    hours: float = 20_000.0
    mean_minutes: float = 30.0
    spread: float = 1.0
    """Standard deviation of the logarithm of a length."""
    longest_hours: float = 24.0
    """Length of one more video."""
    frame_rate: float = 25.0
    segment_minutes: float | None = 10.0


@dataclass(frozen=True)
class Troubles:
    """What goes wrong; assumed."""

    slow_part: float = 0.02
    """Part of the workers that are stragglers."""
    slow_factor: float = 3.0
    """How much longer they take."""
    failures_per_hour: float = 0.01
    """Crashes of each worker while it works."""
    restart_seconds: float = 60.0
    repeated_part: float = 0.1
    """Cost of reading again what a killed unit had done: the journal saves its detections, not its decoding."""


@dataclass(frozen=True)
class Outcome:
    """How a simulated run went."""

    workers: int
    units: int
    seconds: float
    """Until the last worker has ended."""
    busy_seconds: float
    """Of all workers together."""
    video_hours: float
    failures: int
    limited_by: str

    @property
    def efficiency(self) -> float:
        """Part of the workers' time in which they worked."""
        return self.busy_seconds / (self.workers * self.seconds)

    @property
    def hours_per_hour(self) -> float:
        """Hours of video per hour."""
        return self.video_hours * 3600 / self.seconds

    def cost(self, costs: Costs) -> float:
        """Price of a thousand hours of video; workers are paid until the last has ended."""
        return self.workers * self.seconds / 3600 * costs.price_per_core_hour / self.video_hours * 1000


def unit_seconds(archive: Archive, seed: int) -> tuple[NDArray[np.float64], int]:
    """Return the lengths of all units in seconds of video, in the order of the archive, and the number of inputs."""
    random = np.random.default_rng(seed)
    count = max(1, round(archive.hours * 60 / archive.mean_minutes))
    lengths = random.lognormal(-(archive.spread**2) / 2, archive.spread, count) * archive.mean_minutes * 60
    lengths = np.insert(lengths, count // 2, archive.longest_hours * 3600)
    if archive.segment_minutes is None:
        return lengths, count + 1
    length = archive.segment_minutes * 60
    pieces = np.maximum(1, np.floor(lengths / length + 0.5)).astype(int)
    if pieces.sum() > _UNIT_LIMIT:
        raise ValueError(f"{pieces.sum()} units are too many to simulate; make segments longer or the archive smaller")
    return np.repeat(lengths / pieces, pieces), count + 1


def simulate(
    workers: int,
    archive: Archive,
    *,
    costs: Costs = Costs(),
    troubles: Troubles = Troubles(),
    shards_per_worker: int | None = 1,
    seed: int = 1,
) -> Outcome:
    """Simulate one run.

    A worker that has ended its shard starts the next one that is waiting. With None there are no shards: the workers
    take single units from one queue, as a scheduler would hand them out.
    """
    random = np.random.default_rng(seed)
    lengths, inputs = unit_seconds(archive, seed)
    work = lengths * archive.frame_rate / costs.frames_per_second + costs.unit_seconds
    shards = _shards(len(work), None if shards_per_worker is None else workers * shards_per_worker, random)
    slow = np.where(random.random(workers) < troubles.slow_part, troubles.slow_factor, 1.0)
    start = costs.start_seconds + _listing_seconds(workers, inputs, costs)
    pace = _pace(archive, costs)
    current: list[deque[int]] = [deque() for _ in range(workers)]
    queue: list[tuple[float, int]] = []
    virtual = real = busy_seconds = 0.0
    limited = failures = 0

    def begin(worker: int, at: float) -> None:
        nonlocal failures
        seconds = 0.0
        while not current[worker]:
            if not shards:
                return
            current[worker] = shards.popleft()
            seconds += start if shards_per_worker is not None or at == 0 else 0.0
        done = float(work[current[worker].popleft()] * slow[worker])
        crashes = int(random.poisson(done / 3600 * troubles.failures_per_hour))
        failures += crashes
        seconds += done + crashes * (troubles.restart_seconds + start + done * troubles.repeated_part / 2)
        heapq.heappush(queue, (at + seconds, worker))

    for worker in range(workers):
        begin(worker, 0.0)
    while queue:
        busy = len(queue)
        at, worker = heapq.heappop(queue)
        speed = pace(busy)
        real += (at - virtual) / speed
        busy_seconds += busy * (at - virtual) / speed
        limited += speed < 1
        virtual = at
        begin(worker, at)
    if limited > len(work) / 2:
        bound = "storage"
    elif start > real / 4:
        bound = "listing"
    else:
        bound = "model and encoder" if busy_seconds > 0.8 * workers * real else "slow workers, last units"
    return Outcome(workers, len(work), real, busy_seconds, float(lengths.sum()) / 3600, failures, bound)


def _shards(units: int, count: int | None, random: np.random.Generator) -> deque[deque[int]]:
    """Return the units of each shard, found by hashing; one unit in each if `count` is None."""
    if count is None:
        return deque(deque([unit]) for unit in range(units))
    shards: list[deque[int]] = [deque() for _ in range(count)]
    for unit, number in enumerate(random.integers(0, count, units).tolist()):
        shards[number].append(unit)
    return deque(shard for shard in shards if shard)


def _listing_seconds(workers: int, inputs: int, costs: Costs) -> float:
    """Return how long a shard takes to list its inputs, while the storage answers all workers."""
    listed = inputs if workers <= SHARDS_WITH_LISTS else inputs / workers
    return max(listed * costs.listing_seconds, workers * listed / costs.entries_per_second)


def _pace(archive: Archive, costs: Costs) -> Callable[[int], float]:
    """Return the speed of each worker while so many share the storage."""
    hours_per_second = costs.frames_per_second / archive.frame_rate / 3600
    each = hours_per_second * (costs.read_bytes_per_hour + costs.written_bytes_per_hour)
    return lambda busy: min(1.0, costs.storage_bytes_per_second / (busy * each))


def by_workers(archive: Archive, costs: Costs) -> dict[str, list[Outcome]]:
    """Simulate the archive on more and more workers."""
    return {
        kind: [simulate(count, archive, costs=costs, shards_per_worker=shards) for count in WORKERS]
        for kind, shards in list(KINDS.items())[:2]
    }


def by_segments(costs: Costs, minutes: Sequence[float | None]) -> dict[str, dict[str, Outcome]]:
    """Simulate an archive with one very long video, for lengths of segments."""
    return {
        kind: {
            "uncut" if length is None else f"{length:g}": simulate(
                SEGMENT_RUN[0], replace(SEGMENT_RUN[1], segment_minutes=length), costs=costs, shards_per_worker=shards
            )
            for length in minutes
        }
        for kind, shards in KINDS.items()
    }


def by_failures(costs: Costs, rates: Sequence[float]) -> list[tuple[float, Outcome, Outcome]]:
    """Simulate rates of crashes, with the journal and without (a killed unit begins again)."""
    workers, archive = FAILURE_RUN

    def run(troubles: Troubles) -> Outcome:
        return simulate(workers, archive, costs=costs, troubles=troubles, shards_per_worker=10)

    return [
        (
            rate,
            run(Troubles(failures_per_hour=rate)),
            run(Troubles(failures_per_hour=rate, repeated_part=1.0)),
        )
        for rate in rates
    ]


SEGMENT_MINUTES = (None, 60.0, 20.0, 10.0, 5.0, 2.0, 1.0)
SEGMENT_RUN = (1_000, Archive(hours=1_000))
FAILURE_RUN = (20, Archive(hours=2_000))
"""Workers and archive of the two smaller simulations."""

FAILURE_RATES = (0.0, 0.01, 0.1, 1.0, 10.0)


Failing = list[tuple[float, Outcome, Outcome]]


@dataclass(frozen=True)
class Figures:
    """The results of all simulations."""

    growing: dict[str, list[Outcome]]
    cut: dict[str, dict[str, Outcome]]
    failing: Failing


def run_all(archive: Archive, costs: Costs) -> Figures:
    """Run all simulations."""
    return Figures(by_workers(archive, costs), by_segments(costs, SEGMENT_MINUTES), by_failures(costs, FAILURE_RATES))


def tables(archive: Archive, costs: Costs, figures: Figures) -> str:
    """Return the results as tables."""
    one, ten = figures.growing.values()
    growing = table(
        (
            "workers",
            "takes",
            "busy",
            "with ten shards for each",
            "busy",
            "hours of video per hour",
            "cost of 1,000 hours",
            "limited by",
        ),
        [
            (
                f"{single.workers:,}",
                _duration(single.seconds),
                f"{single.efficiency:.0%}",
                _duration(many.seconds),
                f"{many.efficiency:.0%}",
                f"{many.hours_per_hour:,.0f}",
                f"{many.cost(costs):.2f}",
                many.limited_by,
            )
            for single, many in zip(one, ten, strict=True)
        ],
    )
    names = next(iter(figures.cut.values()))
    cut = table(
        ("segment, minutes", "units", *figures.cut),
        [
            (name, f"{names[name].units:,}", *(_duration(outcomes[name].seconds) for outcomes in figures.cut.values()))
            for name in names
        ],
    )
    failing = table(
        ("crashes of a worker per hour", "crashes", "takes", "without the journal"),
        [
            (f"{rate:g}", f"{kept.failures:,}", _duration(kept.seconds), _duration(lost.seconds))
            for rate, kept, lost in figures.failing
        ],
    )
    size = f"{archive.hours:,.0f} hours in {one[0].units:,} segments of about {archive.segment_minutes:g} minutes"
    return (
        f"{size}, one video of {archive.longest_hours:g} hours:\n\n{growing}\n\n"
        f"1,000 hours and a video of 24 hours on 1,000 workers, by the length of segments:\n\n{cut}\n\n"
        f"2,000 hours on 20 workers with ten shards for each, by crashes:\n\n{failing}"
    )


def plot(path: Path, figures: Figures, costs: Costs) -> None:
    """Draw the results."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, ((speed, price), (lengths, crashes)) = pyplot.subplots(2, 2, figsize=(10, 7.5), layout="constrained")
    workers = list(WORKERS)
    for kind, outcomes in figures.growing.items():
        speed.loglog(workers, [one.hours_per_hour for one in outcomes], "o-", label=kind)
        price.loglog(workers, [one.cost(costs) for one in outcomes], "o-", label=kind)
    first = next(iter(figures.growing.values()))[0].hours_per_hour
    speed.loglog(workers, [first * count for count in workers], ":", color="grey", label="linear")
    speed.set(xlabel="workers (cores)", ylabel="hours of video per hour", title="Throughput")
    price.set(xlabel="workers (cores)", ylabel="cost of 1,000 hours", title="Cost, idle workers included")
    for kind, by_length in figures.cut.items():
        lengths.plot(list(by_length), [one.seconds / 60 for one in by_length.values()], "o-", label=kind)
    lengths.set(xlabel="segment, minutes", ylabel="minutes until done", title="Length of segments", yscale="log")
    names = [f"{rate:g}" for rate, _, _ in figures.failing]
    crashes.plot(names, [kept.seconds / 3600 for _, kept, _ in figures.failing], "o-", label="continued by the journal")
    crashes.plot(names, [lost.seconds / 3600 for _, _, lost in figures.failing], "o-", label="begun again")
    crashes.set(xlabel="crashes of a worker per hour", ylabel="hours until done", title="Crashes")
    crashes.set_ylim(bottom=0)
    for axes in (speed, price, lengths, crashes):
        axes.grid(alpha=0.3)
        axes.legend(frameon=False)
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=90)
    pyplot.close(figure)


def _duration(seconds: float) -> str:
    """Return `12 s`, `3.4 min`, `5.6 h`, `7.8 d`."""
    for unit, size in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:,.1f} {unit}"
    return f"{seconds:.0f} s"


def main() -> None:
    """Simulate, print the tables, and with the options write plot and page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="PNG to write the plots to")
    parser.add_argument("--page", type=Path, help="page whose section to replace")
    parser.add_argument("--hours", type=float, default=Archive.hours, help="of the archive")
    for name in ("frames_per_second", "storage_bytes_per_second", "price_per_core_hour"):
        parser.add_argument(f"--{name.replace('_', '-')}", type=float, default=getattr(Costs, name))
    given = parser.parse_args()
    costs = Costs(
        frames_per_second=given.frames_per_second,
        storage_bytes_per_second=given.storage_bytes_per_second,
        price_per_core_hour=given.price_per_core_hour,
    )
    archive = Archive(hours=given.hours)
    figures = run_all(archive, costs)
    words = tables(archive, costs, figures)
    print(words)
    if given.out:
        plot(given.out, figures, costs)
    if given.page:
        put("simulation", words, page=given.page)


if __name__ == "__main__":
    main()
