"""Match a video's frames with the lines of its log."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from detector.errors import LogError
from detector.logs.frame_log import EndRecord, FrameRecord, RunRecord, detections_of, open_log, read_log
from detector.video.frames import Frame, OpenedVideo, Source
from detector.video.status import RunStatus

_SAME_SECONDS = 0.0006
"""Seconds by which the times of one frame may differ; WebM and Matroska round to a millisecond."""

_LENGTH_SECONDS = 1.0
_LENGTH_SHARE = 0.02
"""Seconds by which a video's declared length may differ, which is not always exact."""

_MOST_MISSED = 5
"""How many frames the video may lack, as when a decoder returns one less of a damaged file."""

_LONGEST_START_SECONDS = 10.0
"""Seconds during which a live run may drop its first frames."""


class LogIndex:
    """What must be known of a log before its frames are replayed; reads the log once.

    Raise `LogError` for an invalid log.
    """

    def __init__(self, log: Path) -> None:
        self.path = log
        records = read_log(log)
        run = next(records)
        assert isinstance(run, RunRecord)
        self.run = run
        self.first: FrameRecord | None = None
        self.last: FrameRecord | None = None
        self.count = 0
        self.status: RunStatus | None = None
        for record in records:
            if isinstance(record, FrameRecord):
                self.first, self.last = self.first or record, record
                self.count += 1
            elif isinstance(record, EndRecord):
                self.status = record.status

    def check_size(self, width: int, height: int, video: Path) -> None:
        """Raise `LogError` if the log is of a video of another size."""
        if (width, height) != (self.run.width, self.run.height):
            raise LogError(
                f"{self.path}: is of a video of {self.run.width}x{self.run.height}; {video} is {width}x{height}"
            )

    def records(self) -> Iterator[FrameRecord]:
        """Read its frames from the start."""
        return open_log(self.path)[1]


class LogReplay(Source):
    """A video's frames, each numbered as in a log and with the detections of its line.

    A frame without a line keeps its number and comes without detections (`Frame.detections` is None). Frames are
    matched by their time: a log of a live run also numbers the dropped frames, which a recording of that run does not
    contain. Iterating raises `LogError` if log and video do not belong together.
    """

    def __init__(
        self,
        video: OpenedVideo,
        logged: LogIndex,
        *,
        records: Iterator[FrameRecord] | None = None,
        shift_seconds: float | None = None,
    ) -> None:
        """Match frames with `records`, the lines of the frames to come if these are a part of the logged ones.

        `shift_seconds` is then the result of `clock_shift` for the whole.
        """
        self._video = video
        self._logged = logged
        self._records = records
        self._shift_seconds = shift_seconds
        self._matched = 0
        self._beyond = 0
        self.unknown = 0
        """Number of frames so far that the log has no line for."""

    @property
    def notes(self) -> Sequence[str]:
        """The video's own notes, and how many of its frames come after the end of the log."""
        if not self._beyond:
            return self._video.notes
        beyond = f"{self._logged.path}: ends {self._beyond} frames before the video; those frames have no boxes"
        return [*self._video.notes, beyond]

    def __iter__(self) -> Iterator[Frame]:
        records = self._logged.records() if self._records is None else self._records
        record = next(records, None)
        missed, shift = 0, self._shift_seconds or 0.0
        for frame in self._video:
            seconds = float(frame.time)
            if frame.index == 0 and self._shift_seconds is None:
                shift = clock_shift(self._video, self._logged, seconds)
            while record is not None and record.time < seconds + shift - _SAME_SECONDS:
                missed += 1
                self._check_missed(missed, record)
                record = next(records, None)
            if record is not None and record.time <= seconds + shift + _SAME_SECONDS:
                frame.index, frame.detections = record.frame, detections_of(record, self._logged.run.classes)
                self._matched += 1
                record = next(records, None)
            elif record is None and self._logged.status is RunStatus.COMPLETE:
                raise self._other(f"the log ends before its frame at {seconds:.3f} s")
            else:
                self._beyond += record is None
                self.unknown += 1
            yield frame
        if record is not None and self._logged.status is not None:
            raise self._other(f"it ends before the log's frame at {record.time:.3f} s")

    def _check_missed(self, missed: int, record: FrameRecord) -> None:
        if missed > _MOST_MISSED + self._matched / 10:
            raise self._other(f"it has no frame at {record.time:.3f} s, where the log has one")

    def _other(self, what: str) -> LogError:
        return _another(self._logged, self._video, what)


def clock_shift(video: OpenedVideo, logged: LogIndex, first_seconds: float) -> float:
    """Return the offset from the video's times to the log's: a recording may start at 0 when its source did not.

    `first_seconds` is the time of the first logged frame. Raise `LogError` if the log continues after the end of the
    video, if its length is known.
    """
    first, last = logged.first, logged.last
    if first is None or last is None:
        return 0.0
    ahead = first.time - first_seconds
    # If the log does not begin at the first frame, that frame was dropped, and both clocks are the same.
    shift = ahead if first.frame == 0 or ahead > _LONGEST_START_SECONDS else 0.0
    length = video.info.duration_seconds
    if length is not None and logged.status is RunStatus.COMPLETE:
        end = first_seconds + shift + float(length)
        if last.time - end > max(_LENGTH_SECONDS, _LENGTH_SHARE * float(length)):
            raise _another(logged, video, f"the log's last frame is at {last.time:.2f} s, the video's near {end:.2f} s")
    return shift


def _another(logged: LogIndex, video: OpenedVideo, what: str) -> LogError:
    return LogError(
        f"{logged.path}: is not the log of {video.info.source}: {what}; "
        f"it is of {logged.run.source}, or of a recording that was made with it"
    )
