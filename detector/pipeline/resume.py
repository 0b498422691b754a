"""Continue an interrupted run from its log and the parts of its video."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, fields
from itertools import islice
from pathlib import Path

from detector.errors import OutputError
from detector.logs.frame_log import (
    FrameRecord,
    LogProgress,
    RunRecord,
    detections_of,
    open_log,
    pending_log,
    read_log,
    read_log_progress,
)
from detector.video.frames import Detect, Frame, Gap, Source
from detector.video.status import RunStatus
from detector.video.writing.codecs import VideoSettings
from detector.video.writing.parts import Part, kept_of, made_by, part_path, parts_left


@dataclass(frozen=True)
class ResumePoint:
    """How far an earlier run came."""

    progress: LogProgress | None = None
    """The state of its log; None if there is no earlier run."""

    parts: tuple[Part, ...] = ()
    """The state of its video."""

    frames: int = 0
    """Number of frames, from the first on, that both log and video contain."""

    complete: bool = False
    """Whether nothing is left to do."""

    @property
    def logged_frames(self) -> int:
        """Number of frames that have a line in the log."""
        return 0 if self.progress is None else self.progress.frames


class ResumedFrames(Source):
    """The frames of a source from a resume point on; those in the log come with their detections."""

    def __init__(self, source: Source, point: ResumePoint, log: Path, names: tuple[str, ...]) -> None:
        self._source = source
        self._point = point
        self._log = log
        self._names = names
        self._pass_to: Detect | None = None
        self._pass_from = 0

    def pass_to(self, detect: Detect, *, first: int) -> None:
        """Pass the frames from `first` to the resume point to a detector that depends on them."""
        self._pass_to, self._pass_from = detect, first

    @property
    def notes(self) -> Sequence[str]:
        """The notes of the source."""
        return self._source.notes

    def stop(self) -> None:
        """End the iteration soon."""
        self._source.stop()

    def take_gaps(self) -> Sequence[Gap]:
        """The gaps of the source."""
        return self._source.take_gaps()

    def __iter__(self) -> Iterator[Frame]:
        if self._point.progress is None:
            yield from self._source
            return
        with closing(read_log(self._log)) as records:
            logged = islice((item for item in records if isinstance(item, FrameRecord)), self._point.logged_frames)
            for frame in self._source:
                record = next(logged, None)
                if record is not None:
                    frame.detections = detections_of(record, self._names)
                if frame.index >= self._point.frames:
                    yield frame
                elif self._pass_to is not None and frame.index >= self._pass_from:
                    self._pass_to(frame)


def journal_path(video: Path) -> Path:
    """Return the path of the log when only a video was requested; it is removed when the video is complete."""
    return part_path(video).with_suffix(".jsonl")


def current_log(log: Path) -> Path:
    """Return the log of the last run that wrote to this path: its pending replacement, if there is one."""
    return pending if (pending := pending_log(log)).exists() else log


def run_digest(run: RunRecord, encoding: VideoSettings) -> str:
    """Return the digest that identifies the parts of a video, of everything that its frames depend on.

    The model is included by its own digest, because its file may have moved.
    """
    known = {**asdict(run), "model": None, "encoding": [encoding.codec, encoding.crf, encoding.preset]}
    return hashlib.sha256(json.dumps(known, sort_keys=True, default=str).encode()).hexdigest()[:32]


def find_resume_point(
    video: Path | None, log: Path, run: RunRecord, *, digest: str, replaces: bool = False
) -> ResumePoint:
    """Return how far an earlier run with these outputs came; raise `OutputError` if it was a different run.

    With `replaces`, the existing video is the one to be replaced: it stays unchanged. `digest` is that of `run_digest`:
    parts without it were made by another run, or encoded differently.
    """
    if not log.exists() or b"\n" not in log.read_bytes()[: 1 << 24]:
        if video is not None and video.exists():
            raise OutputError(
                f"{video}: cannot be resumed, because there is no log of how it was made; pass --overwrite"
            )
        return ResumePoint()
    progress = read_log_progress(log)
    _check_same(log, progress.run, run)
    if video is None:
        return ResumePoint(progress, (), progress.frames, progress.status is RunStatus.COMPLETE)
    left = parts_left(video)
    if not replaces and not left and video.exists() and progress.frames and progress.status is not RunStatus.FAILED:
        if progress.status is RunStatus.COMPLETE:
            _check_video(video, log)
            return ResumePoint(progress, (), progress.frames, complete=True)
        # Finished early, for instance by Ctrl-C: now it is the first part of a longer one.
        _check_made_by(video, digest)
        left = [part_path(video)]
        video.rename(left[0])
    for part in left:
        _check_made_by(part, digest)
    parts = tuple(kept_of(left))
    return ResumePoint(progress, parts, min(progress.frames, sum(part.frames for part in parts)))


def _check_video(video: Path, log: Path) -> None:
    """Refuse to call a run complete whose video is no video: another file, where only a log was made."""
    if not kept_of([video]):
        raise OutputError(
            f"{video}: is not the video of {log}: it has no frame that can be read; name another file for the video, "
            "or pass --overwrite"
        )


def _check_made_by(path: Path, digest: str) -> None:
    """Refuse to continue, and in the end to replace, a video that another run made."""
    if kept_of([path]) and made_by(path) != digest:
        raise OutputError(
            f"{path}: was made by another run, or with other options such as --quality or --codec; "
            "move it away, give the same options, or pass --overwrite"
        )


def last_detected(log: Path, *, before: int) -> int:
    """Return the last frame before frame `before` that was detected in, not propagated to; 0 if there is none."""
    _, records = open_log(log)
    return max((record.frame for record in islice(records, before) if not record.propagated), default=0)


def _check_same(log: Path, before: RunRecord, now: RunRecord) -> None:
    for field in fields(RunRecord):
        was, wanted = getattr(before, field.name), getattr(now, field.name)
        if field.name == "settings":
            changed = [name for name in {**was, **wanted} if was.get(name) != wanted.get(name)]
            if changed:
                was, wanted = was.get(changed[0]), wanted.get(changed[0])
                raise OutputError(_other_run(log, changed[0], was, wanted))
        elif field.name != "model" and was != wanted:  # a model may have moved; its SHA-256 identifies it
            raise OutputError(_other_run(log, field.name.replace("_", " "), was, wanted))


def _other_run(log: Path, what: str, was: object, wanted: object) -> str:
    return f"{log}: is of another run: its {what} was {was}, not {wanted}; use the same value, or pass --overwrite"
