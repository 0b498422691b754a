"""A video drawn again from its log: other boxes, faces hidden, objects cut out, a sheet of what happened."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import cv2
import numpy as np
from numpy.typing import NDArray

from detector.detections import Detections
from detector.errors import InputError, OutputError, SettingsError
from detector.pictures import write_picture
from detector.planes import Planes
from detector.video.exports import open_log
from detector.video.frames import Frame, Image, Sink
from detector.video.log import FrameRecord, RunRecord, detections_of

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
                known = ", ".join(run.classes[:100])
                raise SettingsError(f"class {name!r} is not one of this log's: {known}")
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
    """What a log says of one frame after another; stands in for a detector."""

    def __init__(self, log: Path) -> None:
        self._log = log
        self.run, self._frames = open_log(log)
        self._next: FrameRecord | None = next(self._frames, None)
        self._frame = 0

    def detect(self, image: Image) -> Detections:
        """The boxes of the next frame; none where the log has no line for it."""
        number, self._frame = self._frame, self._frame + 1
        if self._next is None or self._next.frame > number:
            return Detections.empty(self.run.classes)
        record, self._next = self._next, next(self._frames, None)
        return detections_of(record, self.run.classes)

    def check_size(self, width: int, height: int, video: Path) -> None:
        """Raise `InputError` where the log is not that of a video of this size."""
        if (width, height) != (self.run.width, self.run.height):
            raise InputError(
                f"{self._log}: is of a video of {self.run.width}x{self.run.height}; {video} is {width}x{height}"
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
    scores: list[tuple[float, int]] = []
    for record in records:
        now = Counter(chosen.of(detections_of(record, run.classes)).class_id.tolist())
        change = sum(abs(now[kind] - before[kind]) for kind in now | before)
        scores.append((change + now.total() / 1000, record.frame))
        before = now
    apart = max(1, len(scores) // (4 * count))
    taken: list[int] = []
    for _, frame in sorted(scores, key=lambda item: (-item[0], item[1])):
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
