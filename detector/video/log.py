"""The frame log: what was found in every frame, as JSON Lines that are valid up to the last one written.

Unlike other outputs it is written under its final name from the start: it is the journal of a run, of most use when
the run did not end well.
"""

from __future__ import annotations

import json
import os
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from io import FileIO
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Any, Self

import numpy as np

from detector.detections import Detections
from detector.errors import InputError, OutputError, WriteError
from detector.video.endings import Ending
from detector.video.frames import Frame, Gap, Sink, VideoInfo
from detector.video.outputs import check_output, create

SCHEMA = 1


@dataclass(frozen=True)
class RunRecord:
    """The log's first line: what was run on what."""

    source: str
    width: int
    height: int
    frame_rate: Fraction | None
    """Frames per second on average; None where the source does not say."""
    model: str
    model_sha256: str
    settings: Mapping[str, object]
    classes: tuple[str, ...]

    @classmethod
    def of(
        cls,
        info: VideoInfo,
        *,
        model: str,
        model_sha256: str,
        settings: Mapping[str, object],
        classes: Iterable[str],
    ) -> RunRecord:
        """The record of a run over the video that `info` describes; `settings` must be fit for JSON."""
        return cls(
            source=info.source,
            width=info.width,
            height=info.height,
            frame_rate=info.frame_rate,
            model=model,
            model_sha256=model_sha256,
            settings=settings,
            classes=tuple(classes),
        )


@dataclass(frozen=True)
class BoxRecord:
    """One box of a frame."""

    class_id: int
    name: str
    confidence: float
    box: tuple[float, float, float, float]
    """Left, top, right, bottom in pixels of the picture as displayed."""


@dataclass(frozen=True)
class FrameRecord:
    """The line of one frame."""

    frame: int
    """Place in the source, from 0."""
    time: float
    """The frame's own timestamp in seconds, to the microsecond."""
    detections: tuple[BoxRecord, ...]
    carried: bool = False
    """Whether nobody looked into this frame, and the boxes come from one before."""


@dataclass(frozen=True)
class EndRecord:
    """The last line; absent where the run was killed."""

    frames: int
    status: Ending


Record = RunRecord | FrameRecord | Gap | EndRecord


@dataclass(frozen=True)
class Journal:
    """What a log says of the run that wrote it, so that another can go on."""

    run: RunRecord

    frames: int
    """Frames that have their line, counted from 0 without a gap."""

    size: int
    """Bytes up to the end of the last frame's line."""

    status: Ending | None
    """How the run ended; None where it was killed."""


class FrameLog(Sink):
    """Writes a line for each frame, flushed before the next begins.

    A log in which a run failed before its first frame is removed. `goes_on_from` is what a run that was broken off
    left in `path`: lines are appended to it, and frames that it holds are passed over. Raises `OutputError` if `path`
    cannot or must not be written, `WriteError` if the disk fills; the lines before stay whole.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        run: RunRecord,
        *,
        overwrite: bool = False,
        inputs: Iterable[str | os.PathLike[str]] = (),
        goes_on_from: Journal | None = None,
    ) -> None:
        super().__init__()
        self.path = Path(path)
        self._run = run
        self._journal = goes_on_from
        check_output(self.path, overwrite=overwrite or goes_on_from is not None, inputs=[run.source, *inputs])
        self._file: FileIO | None = None
        self._appending = Lock()
        self._size = 0
        self._count = 0

    def __enter__(self) -> Self:
        if self._journal is not None:
            self._go_on(self._journal)
            return self
        create(self.path)
        try:
            # Unbuffered: a line is with the operating system, or refused by it, when `write` returns.
            self._file = FileIO(self.path, "w")
        except OSError as error:
            raise OutputError(f"{self.path}: cannot be written: {error.strerror or error}") from None
        run = self._run
        self._append(
            {
                "type": "run",
                "schema": SCHEMA,
                "source": run.source,
                "width": run.width,
                "height": run.height,
                "frame_rate": None if run.frame_rate is None else str(run.frame_rate),
                "model": run.model,
                "model_sha256": run.model_sha256,
                "settings": dict(run.settings),
                "classes": list(run.classes),
            }
        )
        return self

    def write(self, frame: Frame, detections: Detections) -> None:
        """Append the frame's line."""
        if self._journal is not None and frame.index < self._journal.frames:
            return
        self._append(
            {
                "type": "frame",
                "frame": frame.index,
                "time": round(float(frame.time), 6),
                **({"carried": True} if detections.carried else {}),
                "detections": detections.as_records(),
            }
        )
        self._count += 1

    def gap(self, gap: Gap) -> None:
        """Append a line for a time in which the source was lost; may be called from another thread."""
        if self._file is None or self._file.closed:
            return
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
        ending = Ending.of(error)
        try:
            self._append({"type": "end", "frames": self._count, "status": str(ending)})
        except WriteError:
            if error is None:
                raise
        finally:
            if self._file is not None:
                self._file.close()
        if not self._count and not ending.keeps_output:
            self.path.unlink(missing_ok=True)

    def _go_on(self, journal: Journal) -> None:
        try:
            self._file = FileIO(self.path, "r+")
            self._file.truncate(journal.size)
            self._file.seek(journal.size)
        except OSError as error:
            raise OutputError(f"{self.path}: cannot be written: {error.strerror or error}") from None
        self._size, self._count = journal.size, journal.frames

    def _append(self, record: dict[str, object]) -> None:
        text = json.dumps(record, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        try:
            line = memoryview(text.encode() + b"\n")
        except UnicodeEncodeError:  # a file name that is no UTF-8
            line = memoryview(json.dumps(record, allow_nan=False, separators=(",", ":")).encode() + b"\n")
        assert self._file is not None
        with self._appending:
            self._put(line)

    def _put(self, line: memoryview) -> None:
        assert self._file is not None
        written = 0
        try:
            while written < len(line):  # a nearly full disk takes a part of it first
                written += self._file.write(line[written:]) or 0
        except OSError as error:
            with suppress(OSError):  # a device takes nothing back
                self._file.truncate(self._size)
                self._file.seek(self._size)
            raise WriteError(f"{self.path}: could not be written: {error.strerror or error}") from error
        self._size += len(line)


def read_log(path: str | os.PathLike[str]) -> Generator[Record, None, None]:
    """The records of a log: the run's, then one per frame, then the end's unless the run was killed.

    A last line that the writer did not finish is passed over. Raises `InputError`, with the line's number, where
    a line is not what it should be.
    """
    for record, _ in _lines(Path(path)):
        yield record


def detections_of(record: FrameRecord, names: tuple[str, ...]) -> Detections:
    """The detections of a frame as its line holds them."""
    found = record.detections
    return Detections(
        np.array([item.box for item in found], np.float32).reshape(len(found), 4),
        np.array([item.confidence for item in found], np.float32),
        np.array([item.class_id for item in found], np.int64),
        names,
        record.carried,
    )


def read_journal(path: str | os.PathLike[str]) -> Journal:
    """How far the run of this log came. Raises `InputError` as `read_log` does."""
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
            raise InputError(f"{path}: frame {frames} is missing before frame {record.frame}; it cannot be resumed")
    assert run is not None
    return Journal(run, frames, size, status)


def _lines(path: Path) -> Iterator[tuple[Record, int]]:
    """The records of a log and where in the file each one's line ends."""
    try:
        file = path.open("rb")
    except OSError as error:
        raise InputError(f"{path}: the log cannot be opened: {error.strerror or error}") from None
    with file:
        previous: Record | None = None
        last_frame: FrameRecord | None = None
        number = end = 0
        for number, line in enumerate(file, 1):
            if not line.endswith(b"\n"):
                break
            try:
                record = _record(json.loads(line))
                _check_order(previous, record, last_frame)
            except (ValueError, TypeError, KeyError, AttributeError) as error:
                what = f"lacks {error}" if isinstance(error, KeyError) else str(error)
                raise InputError(f"{path}: line {number} is no line of a frame log: {what}") from None
            end += len(line)
            yield record, end
            previous = record
            last_frame = record if isinstance(record, FrameRecord) else last_frame
        if previous is None:
            raise InputError(f"{path}: line {max(number, 1)} should begin a frame log but is not there or not whole")


def _record(fields: dict[str, Any]) -> Record:
    match fields["type"]:
        case "run":
            if fields["schema"] != SCHEMA:
                raise ValueError(f"schema {fields['schema']!r}; this program knows {SCHEMA}")
            rate = fields["frame_rate"]
            return RunRecord(
                source=fields["source"],
                width=int(fields["width"]),
                height=int(fields["height"]),
                frame_rate=None if rate is None else Fraction(rate),
                model=fields["model"],
                model_sha256=fields["model_sha256"],
                settings=dict(fields["settings"]),
                classes=tuple(fields["classes"]),
            )
        case "frame":
            return FrameRecord(
                frame=int(fields["frame"]),
                time=float(fields["time"]),
                detections=tuple(_box(found) for found in fields["detections"]),
                carried=bool(fields.get("carried", False)),
            )
        case "gap":
            return Gap(
                after_frame=int(fields["after_frame"]),
                time=float(fields["time"]),
                seconds=float(fields["seconds"]),
                reason=str(fields["reason"]),
            )
        case "end":
            return EndRecord(frames=int(fields["frames"]), status=Ending(fields["status"]))
        case other:
            raise ValueError(f"its type is {other!r}; expected run, frame, gap or end")


def _box(fields: dict[str, Any]) -> BoxRecord:
    left, top, right, bottom = (float(edge) for edge in fields["box"])
    return BoxRecord(
        class_id=int(fields["class_id"]),
        name=fields["name"],
        confidence=float(fields["confidence"]),
        box=(left, top, right, bottom),
    )


def _check_order(previous: Record | None, record: Record, last_frame: FrameRecord | None) -> None:
    if previous is None and not isinstance(record, RunRecord):
        raise ValueError("the first line must be of type run")
    if previous is not None and isinstance(record, RunRecord):
        raise ValueError("a second line of type run")
    if isinstance(previous, EndRecord):
        raise ValueError("it follows the end")
    if last_frame is not None and isinstance(record, FrameRecord) and record.frame <= last_frame.frame:
        raise ValueError(f"frame {record.frame} after frame {last_frame.frame}")
