"""Work through an archive: skip what is done, process the rest, repeat what failed, and record all of it."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from detector.archive.inputs import ArchiveInput
from detector.archive.manifest import (
    ArchiveRun,
    Entry,
    ManifestIndex,
    ManifestWriter,
    State,
    keys_sha256,
    manifest_name,
    milliseconds_now,
    read_index,
)
from detector.archive.segments import Segment
from detector.archive.work import ArchiveOptions, Worker
from detector.errors import WriteError, Yolo3Error

_DONE = (State.COMPLETE, State.TRUNCATED)
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)


class ArchiveProgress(Protocol):
    """Counts finished inputs."""

    def update(self, n: int = 1, /) -> object:
        """Count `n` more inputs as finished."""
        ...


@dataclass
class ArchiveResult:
    """What a run did."""

    processed: int = 0
    """Number of inputs that this run finished."""
    skipped: int = 0
    """Number that were done before."""
    frames: int = 0
    boxes: int = 0
    problems: list[tuple[str, str]] = field(default_factory=list)
    """Source and error of the inputs that failed or are damaged, those of earlier runs included."""

    segments: int = 0
    """Number of segments of long videos that this run finished."""

    def count(self, entry: Entry) -> None:
        """Take the last entry of an input or a segment."""
        if entry.state is not State.FAILED:
            self.processed += entry.segment is None
            self.segments += entry.segment is not None
            self.frames += entry.frames or 0
            self.boxes += entry.boxes or 0
        if entry.state is not State.COMPLETE:
            self.problems.append((entry.source, entry.error or "is damaged"))

    def count_joined(self, entry: Entry) -> None:
        """Take the entry of a video whose segments were joined, and counted before."""
        self.processed += entry.state is not State.FAILED
        if entry.state is State.FAILED:
            self.problems.append((entry.source, entry.error or "could not be joined"))


def archive_run(inputs: Sequence[ArchiveInput], worker: Worker, version: str) -> ArchiveRun:
    """Return what the manifest says about this run."""
    options = worker.options
    return ArchiveRun(
        version=version,
        model_sha256=worker.model.sha256,
        settings=options.as_json(),
        inputs=len(inputs),
        inputs_sha256=keys_sha256(item.key for item in inputs),
        shard=str(options.shard),
    )


def inputs_ahead(inputs: Sequence[ArchiveInput], options: ArchiveOptions) -> int:
    """Return how many inputs a run will count: those of its shard, or all if it has to look which are cut."""
    if options.segment_seconds is not None:
        return len(inputs)
    return sum(options.shard.owns(item.key) for item in inputs)


def run_archive(
    inputs: Sequence[ArchiveInput],
    worker: Worker,
    *,
    version: str,
    progress: ArchiveProgress,
    on_failure: Callable[[Entry], object] = lambda entry: None,
    execute: Execute | None = None,
) -> ArchiveResult:
    """Process the inputs of this shard; one that fails does not stop the others and is tried again at the end.

    `on_failure` is called when an input has failed for the first time and will be tried again. `execute` processes the
    units somewhere else than in this process. Raise `ArchiveError` if the folder holds the results of another run,
    `WriteError` if there is no room for further results, `KeyboardInterrupt` on Ctrl-C; what is done by then is
    recorded, and the same run continues it.
    """
    options, run = worker.options, archive_run(inputs, worker, version)
    index = read_index(options.folder, run)
    result = ArchiveResult()
    with ManifestWriter(options.folder / manifest_name(options.shard), run) as manifest:
        share = _Share(worker, manifest, index, result, progress)
        waiting: Iterable[Unit] = share.units(inputs)
        for attempt in range(1, options.retries + 2):
            failed = []
            for unit, done in (execute or share.one_by_one)(waiting):
                entry = replace(done, attempts=attempt, at=milliseconds_now())
                manifest.add(entry)
                if entry.state is not State.FAILED or attempt > options.retries:
                    share.conclude(unit, entry)
                    continue
                failed.append(unit)
                if attempt == 1:
                    on_failure(entry)
            waiting = failed
    return result


@dataclass(frozen=True)
class Unit:
    """An input, or one segment of it."""

    item: ArchiveInput
    segment: Segment | None = None
    afresh: bool = False
    """Whether its results are of an earlier state of its file, and are replaced."""


Execute = Callable[[Iterable[Unit]], Iterator[tuple[Unit, Entry]]]
"""Processes units in any order; each comes back with what became of it."""


class _Share:
    """The work of one shard, unit by unit."""

    def __init__(
        self,
        worker: Worker,
        manifest: ManifestWriter,
        index: ManifestIndex,
        result: ArchiveResult,
        progress: ArchiveProgress,
    ) -> None:
        self._worker = worker
        self._manifest = manifest
        self._index = index
        self._result = result
        self._progress = progress
        self._left: dict[str, int] = {}
        """Number of segments of a cut video that are not done yet."""

    def units(self, inputs: Sequence[ArchiveInput]) -> Iterator[Unit]:
        """Yield what is left to do; what is done is counted."""
        shard, cuts = self._worker.options.shard, self._worker.options.segment_seconds is not None
        for item in inputs:
            if not cuts and not shard.owns(item.key):
                continue
            state = self._index.state(item.key, stamp=item.stamp) if len(self._index) else None
            if state in _DONE and self._worker.is_done(item):
                self._skip(item, state)
                continue
            segments = self._worker.segments(item)
            if segments:
                yield from self._segments(item, segments)
            elif shard.owns(item.key):
                yield Unit(item, afresh=self._index.changed(item.key, stamp=item.stamp))
            else:
                self._progress.update(1)

    def one_by_one(self, units: Iterable[Unit]) -> Iterator[tuple[Unit, Entry]]:
        """Process units in this process."""
        for unit in units:
            yield unit, process_unit(unit, self._worker)

    def conclude(self, unit: Unit, entry: Entry) -> None:
        """Count a unit that will not be tried again; join the segments of a video once all are done."""
        self._result.count(entry)
        if unit.segment is None:
            self._progress.update(1)
            return
        if entry.state in _DONE:
            self._one_less(unit)

    def _skip(self, item: ArchiveInput, state: State | None) -> None:
        self._result.skipped += 1
        if state is State.TRUNCATED:
            self._result.problems.append((item.shown, "is damaged; what can be read of it was processed before"))
        self._progress.update(1)

    def _segments(self, item: ArchiveInput, segments: Sequence[Segment]) -> Iterator[Unit]:
        """Yield the segments of a video that this shard has to process."""
        self._left[item.key] = len(segments)
        for segment in segments:
            changed = self._index.changed(item.key, segment.number, stamp=item.stamp)
            unit, key = Unit(item, segment, changed), f"{item.key}:{segment.number}"
            state = self._index.state(item.key, segment.number, stamp=item.stamp)
            if state in _DONE and self._worker.is_done(item, segment):
                self._one_less(unit)
            elif self._worker.options.shard.owns(key):
                yield unit
        self._progress.update(1)

    def _one_less(self, unit: Unit) -> None:
        assert unit.segment is not None
        self._left[unit.item.key] -= 1
        if self._left[unit.item.key] or self._worker.options.shard.count > 1:
            return  # the shards' segments are joined by --join
        entry = attempt_unit(unit, lambda: self._worker.join(unit.item, unit.segment.count if unit.segment else 0))
        entry = replace(entry, segment=None, segments=None, at=milliseconds_now())
        self._manifest.add(entry)
        self._result.count_joined(entry)
        if entry.state in _DONE:
            self._worker.remove_segments(unit.item, unit.segment.count)


def process_unit(unit: Unit, worker: Worker) -> Entry:
    """Process a unit; an error becomes an entry unless it would stop all others too."""
    return attempt_unit(unit, lambda: worker.process(unit.item, unit.segment, afresh=unit.afresh))


def attempt_unit(unit: Unit, work: Callable[[], Entry]) -> Entry:
    """Do some work for a unit; an error becomes an entry unless it would stop all others too."""
    item, segment, stamp = unit.item, unit.segment, unit.item.stamp
    try:
        return work()
    except Yolo3Error as error:
        if _no_room(error):
            error.add_note("nothing further can be written; make room and start again, which continues")
            raise
        text = "\n".join([str(error), *getattr(error, "__notes__", ())])
    except (OSError, MemoryError, ValueError, RuntimeError, ArithmeticError, LookupError) as error:
        text = f"{item.shown}: {type(error).__name__}: {error}"
    failed = Entry(item.key, State.FAILED, item.shown, stamp, error=text)
    return failed if segment is None else replace(failed, segment=segment.number, segments=segment.count)


def _no_room(error: Yolo3Error) -> bool:
    """Return whether no further result can be written either."""
    return isinstance(error, WriteError) and getattr(error.__cause__, "errno", None) in _NO_ROOM
