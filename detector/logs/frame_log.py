"""Write and read the frame log: the detections of every frame, as JSON Lines, valid up to the last line written.

Unlike other outputs it is written under its final name from the start: it is the journal from which an interrupted run
is resumed. Only when it replaces a log, it has the name `pending_log` until the end. The path `-` is standard output.
"""

from __future__ import annotations

import json
import os
from collections.abc import Generator, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from io import BufferedReader, FileIO
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self

import numpy as np

from convert.files import check_output, create, is_special, rename_whole
from detector.detections import Detections
from detector.errors import LogError, OutputError, WriteError
from detector.logs.log_lines import run_fields
from detector.logs.records import BoxRecord as BoxRecord
from detector.logs.records import EndRecord as EndRecord
from detector.logs.records import FrameRecord as FrameRecord
from detector.logs.records import LineError, Record, record_of
from detector.logs.records import RunRecord as RunRecord
from detector.profiling import Stopwatch, milliseconds
from detector.video.frames import Frame, Gap, Sink
from detector.video.status import KeepEarlier, RunStatus

_LONGEST_LINE = 1 << 24
"""Maximum bytes of a line; enough for a hundred thousand boxes."""

STANDARD_STREAM = Path("-")
"""For a log to write, standard output; for a log to read, standard input."""


def pending_log(path: Path) -> Path:
    """Return where a log that will replace another one is written: beside the file, links followed."""
    file = Path(os.path.realpath(path))
    return file.with_name(f"{file.name}.yolo3-part.jsonl")


@dataclass(frozen=True)
class LogProgress:
    """How far the run that wrote a log came, so that another can resume it."""

    run: RunRecord

    frames: int
    """Number of frames that have a line, counted from 0 without a gap."""

    size: int
    """Bytes up to the end of the last frame's line."""

    status: RunStatus | None
    """How the run ended; None if it was killed."""


class FrameLog(Sink):
    """Writes a line for each frame, flushed before the next begins.

    A log in which a run failed before its first frame is removed. `keep_earlier` says whether an existing log stays
    until this one can replace it; until then this one is in `pending_log`. `resumed_from` is what an interrupted run
    left there: lines are appended to it, and frames that it contains are skipped. With a `stopwatch` the last line
    contains the milliseconds per frame of each stage. Raise `OutputError` if `path` cannot or must not be written,
    `WriteError` if the disk fills; the lines before stay intact.
    """

    stage: ClassVar[str] = "log"

    def __init__(
        self,
        path: str | os.PathLike[str],
        run: RunRecord,
        *,
        overwrite: bool = False,
        inputs: Iterable[str | os.PathLike[str]] = (),
        keep_earlier: KeepEarlier = KeepEarlier.NO,
        resumed_from: LogProgress | None = None,
        stopwatch: Stopwatch | None = None,
    ) -> None:
        super().__init__()
        self.path = Path(path)
        self._run = run
        self._stopwatch = stopwatch
        self._progress = resumed_from
        streamed = self.path == STANDARD_STREAM or is_special(self.path)
        self._keep_earlier = KeepEarlier.NO if streamed else keep_earlier
        self._written = self.path if self._keep_earlier is KeepEarlier.NO else pending_log(self.path)
        if self.path != STANDARD_STREAM:
            replaces = overwrite or resumed_from is not None
            check_output(self.path, overwrite=replaces, inputs=[run.source, *inputs])
            check_output(self._written, overwrite=replaces, inputs=[run.source, *inputs])
        self._file: FileIO | None = None
        self._size = 0
        self._count = 0

    def __enter__(self) -> Self:
        if self._progress is not None:
            self._continue(self._progress)
            return self
        # Unbuffered: when `write` returns, the operating system has accepted the line or refused it.
        if self.path == STANDARD_STREAM:
            self._file = FileIO(1, "w", closefd=False)
        else:
            create(self._written)
            try:
                self._file = FileIO(self._written, "w")
            except OSError as error:
                self._remove()
                raise OutputError(f"{self._written}: cannot be written: {error.strerror or error}") from None
        try:
            self._append(run_fields(self._run))
        except WriteError:  # a file without a line is no log
            self._file.close()
            self._remove()
            raise
        return self

    def write(self, frame: Frame, detections: Detections) -> None:
        """Append the frame's line."""
        if self._progress is not None and frame.index < self._progress.frames:
            return
        self._append(
            {
                "type": "frame",
                "frame": frame.index,
                "time": round(float(frame.time), 6),
                **({"propagated": True} if frame.propagated else {}),
                "detections": detections.as_records(),
            }
        )
        self._count += 1

    def on_gap(self, gap: Gap) -> None:
        """Append a line for an interruption of the source."""
        self._append(
            {
                "type": "gap",
                "after_frame": gap.after_frame,
                "time": round(gap.time, 6),
                "seconds": round(gap.seconds, 3),
                "reason": gap.reason,
            }
        )

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        ending = RunStatus.of(error)
        try:
            end: dict[str, object] = {"type": "end", "frames": self._count, "status": str(ending)}
            if self._stopwatch is not None:
                before = self._progress.frames if self._progress is not None else 0
                end["milliseconds"] = milliseconds(self._stopwatch.seconds, self._count - before)
            self._append(end)
        except WriteError:
            if error is None:
                raise
        finally:
            if self._file is not None:
                self._file.close()
        self._settle(ending)

    def _remove(self) -> None:
        if self.path != STANDARD_STREAM and not is_special(self.path):
            with suppress(OSError):
                self._written.unlink(missing_ok=True)

    def _settle(self, ending: RunStatus) -> None:
        """Give the log its final name, or note where it is."""
        if self.path == STANDARD_STREAM or is_special(self.path):
            return
        if not self._count and not ending.keeps_output:
            self._written.unlink(missing_ok=True)
        elif self._keep_earlier.keeps(ending):
            self.notes.append(f"{self.path}: is still the earlier log; the new one is in {self._written}")
        elif self._written != self.path:
            try:
                rename_whole(self._written, Path(os.path.realpath(self.path)))
            except OSError as error:
                raise WriteError(f"{self.path}: could not be written: {error.strerror or error}") from error

    def _continue(self, progress: LogProgress) -> None:
        try:
            self._file = FileIO(self._written, "r+")
            self._file.truncate(progress.size)
            self._file.seek(progress.size)
        except OSError as error:
            raise OutputError(f"{self._written}: cannot be written: {error.strerror or error}") from None
        self._size, self._count = progress.size, progress.frames

    def _append(self, record: dict[str, object]) -> None:
        text = json.dumps(record, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        try:
            line = memoryview(text.encode() + b"\n")
        except UnicodeEncodeError:  # a file name that is not UTF-8
            line = memoryview(json.dumps(record, allow_nan=False, separators=(",", ":")).encode() + b"\n")
        assert self._file is not None
        written = 0
        try:
            while written < len(line):  # a nearly full disk may accept only part of it
                written += self._file.write(line[written:]) or 0
        except OSError as error:
            if isinstance(error, BrokenPipeError) and self.path == STANDARD_STREAM:
                raise  # a reader that has closed the pipe
            with suppress(OSError):  # a device cannot be truncated
                self._file.truncate(self._size)
                self._file.seek(self._size)
            raise WriteError(f"{self._written}: could not be written: {error.strerror or error}") from error
        self._size += len(line)


def read_log(path: str | os.PathLike[str]) -> Generator[Record, None, None]:
    """Read the records of a log: the run's, then one per frame, then the end's unless the run was killed.

    An incomplete last line is ignored. Raise `LogError`, with the line number, for an invalid line.
    """
    for record, _ in _lines(Path(path)):
        yield record


def open_log(path: str | os.PathLike[str]) -> tuple[RunRecord, Iterator[FrameRecord]]:
    """Read a log's run and iterate over its frames. Raise `LogError` as `read_log` does."""
    records = read_log(path)
    run = next(records)
    assert isinstance(run, RunRecord)
    return run, (record for record in records if isinstance(record, FrameRecord))


def detections_of(record: FrameRecord, names: tuple[str, ...]) -> Detections:
    """Return the detections in a frame's line."""
    found = record.detections
    tracks = [-1 if item.track is None else item.track for item in found]
    return Detections(
        np.array([item.box for item in found], np.float32).reshape(len(found), 4),
        np.array([item.confidence for item in found], np.float32),
        np.array([item.class_id for item in found], np.int64),
        names,
        np.array(tracks, np.int64) if any(track >= 0 for track in tracks) else None,
    )


def read_log_progress(path: str | os.PathLike[str]) -> LogProgress:
    """Read how far the run of this log came. Raise `LogError` as `read_log` does."""
    run: RunRecord | None = None
    frames = size = 0
    status = None
    for record, end in _lines(Path(path)):
        if isinstance(record, RunRecord):
            run, size = record, end
        elif isinstance(record, EndRecord):
            status = record.status
        elif isinstance(record, Gap):
            size = end
        elif record.frame == frames:
            frames, size = frames + 1, end
        else:
            raise LogError(f"{path}: frame {frames} is missing before frame {record.frame}; it cannot be resumed")
    assert run is not None
    return LogProgress(run, frames, size, status)


def _lines(path: Path) -> Iterator[tuple[Record, int]]:
    """Yield the records of a log, and the offset at which each line ends."""
    try:
        file = open(0, "rb", closefd=False) if path == STANDARD_STREAM else path.open("rb")  # noqa: SIM115 - below
    except OSError as error:
        raise LogError(f"{path}: the log cannot be opened: {error.strerror or error}") from None
    with file:
        run: RunRecord | None = None
        previous: Record | None = None
        last_frame: FrameRecord | None = None
        number = end = 0
        while line := _line(file, path):
            number += 1
            if not line.endswith(b"\n") and len(line) < _LONGEST_LINE:
                break
            try:
                record = record_of(line, run.classes if run else None)
                _check_order(previous, record, last_frame)
            except LineError as error:
                raise LogError(f"{path}: line {number} is not a line of a frame log: {error}; {error.advice}") from None
            end += len(line)
            yield record, end
            previous = record
            if isinstance(record, RunRecord):
                run = record
            elif isinstance(record, FrameRecord):
                last_frame = record
        if previous is None:
            raise LogError(
                f"{path}: line 1 is missing or incomplete; name a log that yolo3 video or yolo3 webcam made with --log"
            )


def _line(file: BufferedReader, path: Path) -> bytes:
    try:
        return file.readline(_LONGEST_LINE)
    except OSError as error:
        raise LogError(f"{path}: the log cannot be read: {error.strerror or error}") from None


def _check_order(previous: Record | None, record: Record, last_frame: FrameRecord | None) -> None:
    if previous is None and not isinstance(record, RunRecord):
        raise LineError("it comes first; expected type run, as the first line must be of type run")
    if previous is not None and isinstance(record, RunRecord):
        raise LineError("a second line of type run; expected one", "split the logs that were joined here")
    if isinstance(previous, EndRecord):
        raise LineError("it follows the end; expected nothing there", "split the logs that were joined here")
    if last_frame is not None and isinstance(record, FrameRecord):
        if record.frame <= last_frame.frame:
            raise LineError(f"frame {record.frame} after frame {last_frame.frame}; expected a greater number")
        if record.time < last_frame.time:
            raise LineError(f"time {record.time} after time {last_frame.time}; expected the same time or a later one")
