"""A video drawn again from its log: other boxes, faces hidden, objects cut out, a sheet of what happened."""

from __future__ import annotations

from array import array
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import cv2
import numpy as np
from numpy.typing import NDArray

from detector.detections import Detections
from detector.errors import LogError, OutputError, SettingsError
from detector.pictures import write_picture
from detector.planes import Planes
from detector.settings import known
from detector.video.endings import Ending
from detector.video.frames import Frame, Image, Sink
from detector.video.log import EndRecord, FrameRecord, RunRecord, detections_of, open_log, read_log
from detector.video.opening import OpenedVideo

_SAME_SECONDS = 0.0006
"""Two times of one frame differ by no more; WebM and Matroska round to a millisecond."""

_LENGTH_SECONDS = 1.0
_LENGTH_SHARE = 0.02
"""What a video claims of its length is not always exact."""

_MOST_MISSED = 5
"""Frames that the log has and the video has not, as where a decoder gives one less of a damaged file."""

_LONGEST_START_SECONDS = 10.0
"""In which a live run may drop its first frames."""

_BLUR_SHARE = 6
"""Squares across a box whose content is hidden: too few to recognise a face in."""


@dataclass(frozen=True)
class Chosen:
    """Which boxes of a log to use."""

    confidence: float = 0.0
    """Those of at least this confidence."""

    classes: tuple[str, ...] = ()
    """Those of these classes; of all when empty."""

    blur: tuple[str, ...] = ()
    """Classes to hide what they are of: no box is drawn around these."""

    def check(self, run: RunRecord) -> None:
        """Raise `SettingsError` for a class that the log's network does not have."""
        for name in (*self.classes, *self.blur):
            if name not in run.classes:
                raise SettingsError(f"class {name!r} is not one of this log's {known(name, run.classes)}")
        if not 0 <= self.confidence <= 1:
            raise SettingsError(f"confidence {self.confidence} is out of range; expected 0 to 1")

    def of(self, found: Detections) -> Detections:
        """The boxes to draw or to cut out."""
        wanted = found.confidence >= np.float32(self.confidence)
        if self.classes:
            ids = [number for number, name in enumerate(found.names) if name in self.classes]
            wanted &= np.isin(found.class_id, ids)
        return found[wanted]

    def drawn(self, found: Detections) -> Detections:
        """The boxes to draw."""
        shown = self.of(found)
        hidden = [number for number, name in enumerate(found.names) if name in self.blur]
        return shown[~np.isin(shown.class_id, hidden)]

    def hidden(self, found: Detections) -> Detections:
        """The boxes to hide, of any confidence: one blurred too many is better than one forgotten."""
        ids = [number for number, name in enumerate(found.names) if name in self.blur]
        return found[np.isin(found.class_id, ids)]


class Logged:
    """A log read once, for what is to be known before its frames are looked at in turn.

    Raises `LogError` where it is none.
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
        self.status: Ending | None = None
        for record in records:
            if isinstance(record, FrameRecord):
                self.first, self.last = self.first or record, record
                self.count += 1
            elif isinstance(record, EndRecord):
                self.status = record.status

    def check_size(self, width: int, height: int, video: Path) -> None:
        """Raise `LogError` where the log is not that of a video of this size."""
        if (width, height) != (self.run.width, self.run.height):
            raise LogError(
                f"{self.path}: is of a video of {self.run.width}x{self.run.height}; {video} is {width}x{height}"
            )

    def records(self) -> Iterator[FrameRecord]:
        """Its frames, read again."""
        return open_log(self.path)[1]


class Matched:
    """A video's frames, each numbered as in a log and with what that says of it; stands in for a detector too.

    Frames are matched by their time: a log of a live run numbers also the frames that were dropped, which a recording
    of that run does not hold. Iterating raises `LogError` where log and video do not belong together.
    """

    def __init__(self, video: OpenedVideo, logged: Logged) -> None:
        self._video = video
        self._logged = logged
        self._found: deque[Detections] = deque()
        self._matched = 0
        self._beyond = 0

    @property
    def notes(self) -> list[str]:
        """The video's own, and how much of it the log does not reach."""
        if not self._beyond:
            return self._video.notes
        beyond = f"{self._logged.path}: ends {self._beyond} frames before the video; nothing there is drawn or hidden"
        return [*self._video.notes, beyond]

    def detect(self, picture: object) -> Detections:
        """What the log says of the next frame; nothing where it has no line for it."""
        return self._found.popleft()

    def __iter__(self) -> Iterator[Frame]:
        records = self._logged.records()
        record = next(records, None)
        missed, shift = 0, 0.0
        for frame in self._video:
            seconds = float(frame.time)
            if frame.index == 0:
                shift = self._shift(seconds)
                self._check_length(seconds + shift)
            while record is not None and record.time < seconds + shift - _SAME_SECONDS:
                missed += 1
                self._check_missed(missed, record)
                record = next(records, None)
            found = Detections.empty(self._logged.run.classes)
            if record is not None and record.time <= seconds + shift + _SAME_SECONDS:
                frame.index, found = record.frame, detections_of(record, self._logged.run.classes)
                self._matched += 1
                record = next(records, None)
            elif record is None and self._logged.status is Ending.COMPLETE:
                raise self._other(f"the log ends before its frame at {seconds:.3f} s")
            elif record is None:
                self._beyond += 1
            self._found.append(found)
            yield frame
        if record is not None and self._logged.status is not None:
            raise self._other(f"it ends before the log's frame at {record.time:.3f} s")

    def _shift(self, first_seconds: float) -> float:
        """What to add to the video's times to have the log's: a recording may start at 0 where its source did not."""
        first = self._logged.first
        if first is None:
            return 0.0
        ahead = first.time - first_seconds
        # Of a log that does not begin at the first frame, that frame was dropped, and the clocks are the same.
        return ahead if first.frame == 0 or ahead > _LONGEST_START_SECONDS else 0.0

    def _check_length(self, first_seconds: float) -> None:
        """Tell of a log that goes on beyond the video before it is read to its end, where it says how long it is."""
        last, length = self._logged.last, self._video.info.duration_seconds
        if last is None or length is None or self._logged.status is not Ending.COMPLETE:
            return
        end = first_seconds + float(length)
        if last.time - end > max(_LENGTH_SECONDS, _LENGTH_SHARE * float(length)):
            raise self._other(f"the log's last frame is at {last.time:.2f} s, the video's near {end:.2f} s")

    def _check_missed(self, missed: int, record: FrameRecord) -> None:
        if missed > _MOST_MISSED + self._matched / 10:
            raise self._other(f"it has no frame at {record.time:.3f} s, where the log has one")

    def _other(self, what: str) -> LogError:
        return LogError(
            f"{self._logged.path}: is not the log of {self._video.info.source}: {what}; "
            f"it is of {self._logged.run.source}, or of a recording that was made with it"
        )


def hide(image: Image, found: Detections) -> None:
    """Make what is in the boxes unrecognisable, in place."""
    for left, top, right, bottom in _whole_pixels(found, image):
        squares = max(1, max(bottom - top, right - left) // _BLUR_SHARE)
        if isinstance(image, Planes):
            _coarsen(image.luma[top:bottom, left:right], squares)
            for plane in image.chroma:
                half = plane[top // 2 : (bottom + 1) // 2, left // 2 : (right + 1) // 2]
                _coarsen(half, max(1, squares // 2))
        else:
            _coarsen(image[top:bottom, left:right], squares)


def _coarsen(piece: NDArray[np.uint8], side: int) -> None:
    """Give each square of so many pixels its mean, in place."""
    height, width = piece.shape[:2]
    small = cv2.resize(piece, (-(-width // side), -(-height // side)), interpolation=cv2.INTER_AREA)
    piece[:] = cv2.resize(small, (width, height), interpolation=cv2.INTER_NEAREST)


class Crops(Sink):
    """Saves each chosen object as a picture `CLASS/frame_000017_0.jpg` in a folder."""

    def __init__(self, folder: Path, chosen: Chosen, *, overwrite: bool = False) -> None:
        super().__init__()
        if folder.exists() and not folder.is_dir():
            raise OutputError(f"{folder}: is a file; objects go into a folder")
        if folder.exists() and any(folder.iterdir()) and not overwrite:
            raise OutputError(f"{folder}: is not empty; name another folder or pass --overwrite")
        self._folder = folder
        self._chosen = chosen
        self.count = 0

    def write(self, frame: Frame, detections: Detections) -> None:
        """Save the frame's objects."""
        wanted = self._chosen.of(detections)
        for number, (box, (_, _, _, name)) in enumerate(zip(_whole_pixels(wanted, frame.image), wanted, strict=True)):
            left, top, right, bottom = box
            # A name may hold a slash, and must not lead out of the folder.
            kind = "".join(letter if letter.isalnum() or letter in " -_" else "_" for letter in name) or "_"
            target = self._folder / kind / f"frame_{frame.index:06d}_{number}.jpg"
            target.parent.mkdir(parents=True, exist_ok=True)
            write_picture(target, np.ascontiguousarray(frame.picture[top:bottom, left:right]))
            self.count += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.notes.append(f"{self._folder}: {self.count} objects")


def eventful_frames(log: Path, chosen: Chosen, *, count: int) -> list[int]:
    """The frames in which most happens, in order: those where the counts per class change most, far apart."""
    run, records = open_log(log)
    chosen.check(run)
    before: Counter[int] = Counter()
    scores, numbers = array("d"), array("q")  # of a long log's frames, in little room
    for record in records:
        now = Counter(chosen.of(detections_of(record, run.classes)).class_id.tolist())
        change = sum(abs(now[kind] - before[kind]) for kind in now | before)
        scores.append(change + now.total() / 1000)
        numbers.append(record.frame)
        before = now
    apart = max(1, len(scores) // (4 * count))
    taken: list[int] = []
    for index in np.argsort(-np.asarray(scores), kind="stable"):
        frame = numbers[int(index)]
        if all(abs(frame - other) >= apart for other in taken):
            taken.append(frame)
        if len(taken) == count:
            break
    return sorted(taken)


def _whole_pixels(found: Detections, image: Image) -> Iterator[tuple[int, int, int, int]]:
    """The boxes widened to whole pixels of the image, at least one wide and high."""
    height, width = image.shape[:2]
    for left, top, right, bottom in found.xyxy.tolist():
        x, y = min(max(int(left), 0), width - 1), min(max(int(top), 0), height - 1)
        yield x, y, max(x + 1, min(int(np.ceil(right)), width)), max(y + 1, min(int(np.ceil(bottom)), height))
