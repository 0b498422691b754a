"""Join the segments of a long video: their logs line by line, their videos packet by packet, sound from the source."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

from convert.files import file_sha256, lock_outputs, replacing
from detector.errors import ArchiveError, VideoError, WriteError
from detector.logs.frame_log import EndRecord, FrameRecord, RunRecord, read_log
from detector.logs.log_lines import json_line, run_fields
from detector.video.ffmpeg import av
from detector.video.reading.containers import DAMAGE, reason
from detector.video.reading.opening import open_video
from detector.video.section import Span
from detector.video.status import RunStatus
from detector.video.writing.audio import Audio
from detector.video.writing.codecs import container_of
from detector.video.writing.parts import Part
from detector.video.writing.remuxing import Accompaniment, Remuxer
from detector.video.writing.video_writer import late_seconds

_FRAME = re.compile(rb'\{"type":"frame","frame":(\d+),(.*\n)', re.DOTALL)
_BOX = b'"class_id":'


@dataclass(frozen=True)
class SegmentedVideo:
    """A long video, the files of its segments, and its own results."""

    source: str
    folder: Path
    """Of all results."""
    name: str
    """Of its results, without a suffix."""
    count: int
    """Number of segments."""

    @property
    def parts_folder(self) -> Path:
        """The folder of its segments, which is deleted once they are joined."""
        return self.folder / f"{self.name}.segments"

    def outputs(self, number: int) -> tuple[Path, Path]:
        """Return the video and the log of a segment."""
        return self.parts_folder / f"{number:05d}.mp4", self.parts_folder / f"{number:05d}.jsonl"

    @property
    def video(self) -> Path:
        """The joined video."""
        return self.folder / f"{self.name}.mp4"

    @property
    def log(self) -> Path:
        """The joined log."""
        return self.folder / f"{self.name}.jsonl"

    def remove_parts(self) -> None:
        """Delete the segments."""
        for number in range(self.count):
            for path in self.outputs(number):
                path.unlink(missing_ok=True)
        with suppress(OSError):  # something else is in it
            self.parts_folder.rmdir()


@dataclass(frozen=True)
class Joined:
    """What was joined."""

    frames: int
    boxes: int
    status: RunStatus
    log_sha256: str
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Piece:
    """A segment's log, read to its end."""

    log: Path
    run: RunRecord
    frames: int
    first_time: float
    last_time: float
    status: RunStatus


def join_segments(video: SegmentedVideo, *, copies: bool, audio: Audio = "auto") -> Joined:
    """Write the log of a video whose segments are all done, and with `copies` its annotated copy; segments stay.

    Log and copy are those of a run over the whole video, except that the copy has a key frame at the start of each
    segment. Raise `ArchiveError` if segments are missing or do not follow each other, `WriteError` if the results
    cannot be written.
    """
    pieces = [_read(video, number) for number in range(video.count)]
    _check_chain(video, pieces)
    notes: tuple[str, ...] = ()
    with lock_outputs(video.video, video.log):
        if copies:
            notes = _join_copies(video, pieces, audio)
        with replacing(video.log, inputs=[piece.log for piece in pieces]) as aside, aside.open("wb") as file:
            status, boxes = _join_logs(pieces, file)
    frames = sum(piece.frames for piece in pieces)
    return Joined(frames, boxes, status, file_sha256(video.log), notes)


def _read(video: SegmentedVideo, number: int) -> _Piece:
    log = video.outputs(number)[1]
    if not log.exists():
        raise ArchiveError(f"{log}: is missing; run yolo3 archive again, which makes it")
    run, status, frames, first, last = None, None, 0, 0.0, 0.0
    for record in read_log(log):
        if isinstance(record, RunRecord):
            run = record
        elif isinstance(record, FrameRecord):
            first, last, frames = record.time if not frames else first, record.time, frames + 1
        elif isinstance(record, EndRecord):
            status = record.status
    if run is None or status not in (RunStatus.COMPLETE, RunStatus.TRUNCATED) or not frames:
        raise ArchiveError(f"{log}: is not complete; run yolo3 archive again, which continues it")
    return _Piece(log, run, frames, first, last, status)


def _check_chain(video: SegmentedVideo, pieces: Sequence[_Piece]) -> None:
    """Raise `ArchiveError` unless each segment begins where the one before ends, and all are of one run."""
    first = _whole_run(pieces[0].run)
    for number, piece in enumerate(pieces):
        settings, before = piece.run.settings, pieces[number - 1] if number else None
        follows = settings.get("start") == (before.run.settings.get("end") if before else None)
        ends = (settings.get("end") is None) == (number == len(pieces) - 1)
        later = before is None or before.last_time < piece.first_time
        if not (follows and ends and later) or replace(_whole_run(piece.run), model=first.model) != first:
            raise ArchiveError(
                f"{piece.log}: does not continue the segment before it; delete the folder {video.parts_folder} and run "
                "yolo3 archive again"
            )


def _whole_run(run: RunRecord) -> RunRecord:
    settings = {name: value for name, value in run.settings.items() if name not in ("start", "end")}
    return replace(run, settings=settings)


def _join_logs(pieces: Sequence[_Piece], into: BinaryIO) -> tuple[RunStatus, int]:
    frames = boxes = 0
    into.write(_bytes(run_fields(_whole_run(pieces[0].run))))
    for piece in pieces:
        with piece.log.open("rb") as lines:
            for line in lines:
                if match := _FRAME.fullmatch(line):
                    into.write(b'{"type":"frame","frame":%d,%b' % (frames, match[2]))
                    frames += 1
                    boxes += line.count(_BOX)
    truncated = any(piece.status is RunStatus.TRUNCATED for piece in pieces)
    status = RunStatus.TRUNCATED if truncated else RunStatus.COMPLETE
    into.write(_bytes({"type": "end", "frames": frames, "status": str(status)}))
    return status, boxes


def _bytes(fields: dict[str, object]) -> bytes:
    return json_line(fields).encode()


def _join_copies(video: SegmentedVideo, pieces: Sequence[_Piece], audio: Audio) -> tuple[str, ...]:
    if not Path(video.source).exists():
        raise VideoError(
            f"{video.source}: no such file, so its sound cannot be copied; join in the folder in which the shards ran"
        )
    with open_video(video.source) as source:
        late, has_sound = late_seconds(source.info), source.audio_from is not None
    parts = [
        Part(
            video.outputs(number)[0],
            piece.frames,
            _shift(video.outputs(number)[0], piece, late) if number else Fraction(0),
        )
        for number, piece in enumerate(pieces)
    ]
    beside = Accompaniment(video.source if has_sound else None, Span(late), audio=audio)
    try:
        with av.open(f"file:{parts[0].path}") as first:
            time_base = first.streams.video[0].time_base or Fraction(1, av.time_base)
        with replacing(video.video, inputs=[video.source]) as aside:
            remuxer = Remuxer(aside, container_of(video.video), beside, name=video.video)
            remuxer.join(parts, time_base=time_base)
    except DAMAGE as error:
        raise WriteError(f"{video.video}: could not be written: {reason(error)}") from error
    return tuple(remuxer.notes)


def _shift(path: Path, piece: _Piece, late: Fraction) -> Fraction:
    """Return when a segment begins in the joined video: exactly, although the log rounds to microseconds."""
    try:
        with av.open(f"file:{path}") as segment:
            tick = segment.streams.video[0].time_base or Fraction(1, av.time_base)
    except (*DAMAGE, OSError):
        raise ArchiveError(f"{path}: cannot be read; delete it and its log, and run yolo3 archive again") from None
    return round((Fraction(piece.first_time) - late) / tick) * tick
