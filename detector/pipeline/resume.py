"""A run that was broken off, taken up again from its journal and the parts of its video."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, fields
from itertools import islice
from pathlib import Path

from detector.detections import Detections
from detector.errors import OutputError
from detector.logs.frame_log import FrameRecord, LogProgress, RunRecord, detections_of, read_log, read_log_progress
from detector.video.frames import Frame, Image, Source
from detector.video.status import RunStatus
from detector.video.writing.parts import Part, kept_of, part_path, parts_left


@dataclass(frozen=True)
class Progressed:
    """How far an earlier run came."""

    journal: LogProgress | None = None
    """What its log holds."""

    parts: tuple[Part, ...] = ()
    """What its video holds."""

    frames: int = 0
    """Frames that neither log nor video still need."""

    complete: bool = False
    """Whether there is nothing left to do."""

    @contextmanager
    def found(self, log: Path) -> Iterator[Iterator[FrameRecord]]:
        """What the log says of the frames that the video still needs."""
        if self.journal is None or self.frames == self.journal.frames:
            yield iter(())
            return
        with closing(read_log(log)) as records:
            lines = (record for record in records if isinstance(record, FrameRecord))
            yield islice(lines, self.frames, self.journal.frames)


class Onward:
    """A source from a frame on; those before are decoded but not handed out."""

    def __init__(self, source: Source, first: int) -> None:
        self._source = source
        self._first = first

    @property
    def notes(self) -> list[str]:
        """The source's own."""
        return list(getattr(self._source, "notes", ()))

    def __iter__(self) -> Iterator[Frame]:
        return (frame for frame in self._source if frame.index >= self._first)


def journal_path(video: Path) -> Path:
    """Where the log of a run goes that was asked for a video only; it is gone when the video is whole."""
    return part_path(video).with_suffix(".jsonl")


def find_progress(video: Path | None, log: Path, run: RunRecord) -> Progressed:
    """How far an earlier run into these files came; `OutputError` where it was another run than this one."""
    if not log.exists() or b"\n" not in log.read_bytes()[: 1 << 24]:
        if video is not None and video.exists():
            raise OutputError(f"{video}: cannot be resumed, as there is no log of how it was made; pass --overwrite")
        return Progressed()
    journal = read_log_progress(log)
    _check_same(log, journal.run, run)
    if video is None:
        return Progressed(journal, (), journal.frames, journal.status is RunStatus.COMPLETE)
    left = parts_left(video)
    if not left and video.exists() and journal.frames and journal.status is not RunStatus.FAILED:
        if journal.status is RunStatus.COMPLETE:
            return Progressed(journal, (), journal.frames, complete=True)
        # Finished early, by Ctrl-C say: now it is the first part of a longer one.
        left = [part_path(video)]
        video.rename(left[0])
    parts = tuple(kept_of(left))
    return Progressed(journal, parts, min(journal.frames, sum(part.frames for part in parts)))


def replayed(
    found: Iterator[FrameRecord], detect: Callable[[Image], Detections], names: tuple[str, ...]
) -> Callable[[Image], Detections]:
    """What was found already for as many frames as there are records, and then `detect`."""

    def answer(picture: Image) -> Detections:
        record = next(found, None)
        return detect(picture) if record is None else detections_of(record, names)

    return answer


def last_looked_into(log: Path) -> FrameRecord | None:
    """The last frame of a log that was looked into, and not only carried on to."""
    last = None
    for record in read_log(log):
        if isinstance(record, FrameRecord) and not record.carried:
            last = record
    return last


def _check_same(log: Path, before: RunRecord, now: RunRecord) -> None:
    for field in fields(RunRecord):
        was, wanted = getattr(before, field.name), getattr(now, field.name)
        if field.name == "settings":
            changed = [name for name in {**was, **wanted} if was.get(name) != wanted.get(name)]
            if changed:
                was, wanted = was.get(changed[0]), wanted.get(changed[0])
                raise OutputError(_other_run(log, changed[0], was, wanted))
        elif field.name != "model" and was != wanted:  # a model may have moved; its SHA-256 tells it
            raise OutputError(_other_run(log, field.name.replace("_", " "), was, wanted))


def _other_run(log: Path, what: str, was: object, wanted: object) -> str:
    return f"{log}: is of another run: its {what} was {was}, not {wanted}; give the same, or pass --overwrite"
