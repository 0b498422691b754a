"""Work through an archive: skip what is done, process the rest, repeat what failed, and record all of it."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator, Sequence
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
from detector.archive.work import ArchiveOptions, Worker
from detector.errors import WriteError, Yolo3Error

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

    def count(self, entry: Entry) -> None:
        """Take the last entry of an input."""
        if entry.state is not State.FAILED:
            self.processed += 1
            self.frames += entry.frames or 0
            self.boxes += entry.boxes or 0
        if entry.state is not State.COMPLETE:
            self.problems.append((entry.source, entry.error or "is damaged"))


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


def owned(inputs: Sequence[ArchiveInput], options: ArchiveOptions) -> list[ArchiveInput]:
    """Return the inputs of this shard."""
    return [item for item in inputs if options.shard.owns(item.key)]


def run_archive(
    inputs: Sequence[ArchiveInput],
    worker: Worker,
    *,
    version: str,
    progress: ArchiveProgress,
    on_failure: Callable[[Entry], object] = lambda entry: None,
) -> ArchiveResult:
    """Process the inputs of this shard; one that fails does not stop the others and is tried again at the end.

    `on_failure` is called when an input has failed for the first time and will be tried again. Raise `ArchiveError` if
    the folder holds the results of another run, `WriteError` if there is no room for further results,
    `KeyboardInterrupt` on Ctrl-C; what is done by then is recorded, and the same run continues it.
    """
    options, run = worker.options, archive_run(inputs, worker, version)
    index = read_index(options.folder, run)
    result = ArchiveResult()
    with ManifestWriter(options.folder / manifest_name(options.shard), run) as manifest:
        waiting = list(_not_done(owned(inputs, options), worker, index, result, progress))
        for attempt in range(1, options.retries + 2):
            failed = []
            for item in waiting:
                afresh = index.changed(item.key, stamp=item.stamp)
                entry = _attempt(item, worker, attempt, afresh=afresh)
                manifest.add(entry)
                if entry.state is State.FAILED and attempt <= options.retries:
                    failed.append(item)
                    if attempt == 1:
                        on_failure(entry)
                    continue
                result.count(entry)
                progress.update(1)
            waiting = failed
    return result


def _not_done(
    inputs: Sequence[ArchiveInput],
    worker: Worker,
    index: ManifestIndex,
    result: ArchiveResult,
    progress: ArchiveProgress,
) -> Iterator[ArchiveInput]:
    """Yield what is left to do; what is done is counted."""
    for item in inputs:
        state = index.state(item.key, stamp=item.stamp) if len(index) else None
        if state in (State.COMPLETE, State.TRUNCATED) and worker.is_done(item, state):
            result.skipped += 1
            if state is State.TRUNCATED:
                result.problems.append((item.shown, "is damaged; what can be read of it was processed before"))
            progress.update(1)
        else:
            yield item


def _attempt(item: ArchiveInput, worker: Worker, attempt: int, *, afresh: bool) -> Entry:
    """Process an input once; an error becomes an entry unless it would stop all others too."""
    stamp = item.stamp
    try:
        entry = worker.process(item, afresh=afresh)
    except Yolo3Error as error:
        if _no_room(error):
            raise
        text = "\n".join([str(error), *getattr(error, "__notes__", ())])
        entry = Entry(item.key, State.FAILED, item.shown, stamp, error=text)
    except (OSError, MemoryError, ValueError, RuntimeError, ArithmeticError, LookupError) as error:
        entry = Entry(item.key, State.FAILED, item.shown, stamp, error=f"{item.shown}: {type(error).__name__}: {error}")
    return replace(entry, attempts=attempt, at=milliseconds_now())


def _no_room(error: Yolo3Error) -> bool:
    """Return whether no further result can be written either."""
    return isinstance(error, WriteError) and getattr(error.__cause__, "errno", None) in _NO_ROOM
