"""Read images as a video: a folder or a glob of them at an even rate, and animations in one file."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import ceil
from pathlib import Path
from types import TracebackType
from typing import Self

import cv2
import numpy as np
from PIL import Image

from detector.errors import PictureError, SettingsError, StreamError, VideoError
from detector.images.finding import find_pictures
from detector.images.reading import read_picture
from detector.video.frames import Frame, OpenedVideo, Picture, VideoInfo
from detector.video.reading.containers import counted, is_address, single_picture
from detector.video.section import WHOLE, Section, empty_section, start_after_end

USUAL_RATE = Fraction(25)
_FASTEST_RATE = 1000

_MS = Fraction(1, 1000)
_SHORTEST_DELAY_MS = 10
_USUAL_DELAY_MS = 100
"""What browsers use instead of a delay of 10 ms or less, which is rarely intended."""

_ANIMATIONS = ("GIF", "PNG", "WEBP", "AVIF")
_MAYBE_ANIMATED = re.compile(rb"GIF8|\x89PNG|RIFF....WEBP|....ftypavi[fs]", re.DOTALL)
_NAMED_PROBLEMS = 20
_LAST_BYTES = 512


def parse_rate(text: str) -> Fraction:
    """Parse frames per second as a user writes them: 25, 12.5, 30000/1001; raise `SettingsError` for anything else."""
    match = re.fullmatch(r"(\d{1,6}(?:\.\d{1,6})?)(?:/(\d{1,6}))?", text.strip(), re.ASCII)
    rate = Fraction(match[1]) / int(match[2] or 1) if match and int(match[2] or 1) else Fraction(0)
    if not 0 < rate <= _FASTEST_RATE:
        raise SettingsError(
            f"fps {text!r} is not a frame rate; expected frames per second up to {_FASTEST_RATE}, such as 25, 12.5 or"
            " 30000/1001"
        )
    return rate


def is_picture_series(name: str) -> bool:
    """Return whether this is a folder, or a pattern that does not name an existing file."""
    return os.path.isdir(name) or (  # noqa: PTH112 - answers False where Path raises
        glob.has_magic(name) and not is_address(name) and not os.path.lexists(name)
    )


def may_be_animation(name: str) -> bool:
    """Return whether a file begins like an image format with animations; false if it is not a file."""
    try:
        if not Path(name).is_file():
            return False
        with open(name, "rb") as file:  # noqa: PTH123 - a str may hold what Path refuses
            return bool(_MAYBE_ANIMATED.match(file.read(16)))
    except (OSError, ValueError):
        return False


@dataclass(frozen=True)
class _Shown:
    """An image and its time in ticks."""

    pts: int
    duration: int
    picture: Picture


class _PictureVideo(OpenedVideo):
    """The common part of image series and animations: opened once, iterated once, nothing to close."""

    audio_from = None

    def __init__(self) -> None:
        self._notes: list[str] = []

    @property
    def notes(self) -> Sequence[str]:
        """What was changed in the frames yielded so far, one line each."""
        return self._notes

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def _frames(self, shown: Iterator[_Shown]) -> Iterator[Frame]:
        for index, item in enumerate(shown):
            yield Frame(index, item.pts, self.info.time_base, item.picture, item.duration)


class PictureSeries(_PictureVideo):
    """The images of a folder or a glob, in natural order, at an even rate; iterate once for its frames.

    Its size is that of the first image; others are fitted into it on black. An image that cannot be read is left out,
    its time stays free, and `StreamError` follows the last frame. `as_darknet` is `read_picture`'s. Raise
    `PictureError` if there is no image to read, `SettingsError` if the section contains none.
    """

    def __init__(
        self, name: str, *, rate: Fraction = USUAL_RATE, section: Section = WHOLE, as_darknet: bool = False
    ) -> None:
        super().__init__()
        self._name = name
        self._read: Callable[[str], Picture] = lambda path: read_picture(path, as_darknet=as_darknet)
        self.files = find_pictures([name])
        total = Fraction(len(self.files)) / rate
        self._from = ceil((section.start or 0) * rate)
        self._to = len(self.files) if section.end is None else min(len(self.files), ceil(section.end * rate))
        if section.start is not None and self._from >= len(self.files):
            raise start_after_end(name, section.start, total)
        if self._from >= self._to:
            raise empty_section(name, section, self._from / rate)
        if section.end is not None and section.end > total:
            self._notes.append(section.end_not_reached(name, total))
        height, width = self._first_size()
        self._fitted = 0
        self.info = VideoInfo(
            source=name,
            width=width,
            height=height,
            time_base=1 / rate,
            frame_rate=rate,
            frame_count=self._to - self._from,
            duration_seconds=total,
            begin_seconds=None if section.start is None else self._from / rate,
            end_seconds=section.end,
        )

    def __iter__(self) -> Iterator[Frame]:
        return self._frames(self._shown())

    def _first_size(self) -> tuple[int, int]:
        """Return height and width of the first image that can be read."""
        problem = None
        for path in self.files[self._from : self._to]:
            try:
                height, width = self._read(path).shape[:2]
                return height, width
            except PictureError as error:
                problem = problem or error
        raise PictureError(f"{self._name}: none of its {self._to - self._from} pictures can be read; {problem}")

    def _shown(self) -> Iterator[_Shown]:
        lost = 0
        for position in range(self._from, self._to):
            try:
                picture = self._read(self.files[position])
            except PictureError as error:
                lost += 1
                if lost <= _NAMED_PROBLEMS:
                    self._notes.append(str(error))
                continue
            yield _Shown(position, 1, self._sized(picture))
        if self._fitted:
            size = f"{self.info.width}x{self.info.height}"
            self._notes.append(
                f"{self._name}: {counted(self._fitted, 'picture')} of another size fitted into {size}, the first one's"
            )
        if lost:
            raise StreamError(f"{self._name}: {lost} of {self._to - self._from} pictures could not be read; left out")

    def _sized(self, picture: Picture) -> Picture:
        """Return the image at the video's size: its own shape kept, centred on black. Arrays from others are copied."""
        height, width = picture.shape[:2]
        if (width, height) == (self.info.width, self.info.height):
            return picture
        self._fitted += 1
        scale = min(self.info.width / width, self.info.height / height)
        inner = max(1, round(width * scale)), max(1, round(height * scale))
        method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        fitted = np.zeros((self.info.height, self.info.width, 3), np.uint8)
        left, top = (self.info.width - inner[0]) // 2, (self.info.height - inner[1]) // 2
        fitted[top : top + inner[1], left : left + inner[0]] = cv2.resize(picture, inner, interpolation=method)
        return fitted


class Animation(_PictureVideo):
    """An animated GIF, PNG, WEBP or AVIF, played once; iterate once for its frames, white where it is transparent.

    A damaged one yields the frames before the damage and then raises `StreamError`. Raise `VideoError` for a single
    image, `PictureError` for one that cannot be opened, `SettingsError` if the section contains no frame.
    """

    def __init__(self, name: str, *, section: Section = WHOLE) -> None:
        super().__init__()
        self._name = name
        self._section = section
        self.files = [name]
        first = read_picture(name)  # says in words what is wrong with it
        self._image = Image.open(name, formats=[kind for kind in _ANIMATIONS if kind in Image.OPEN])
        try:
            self._count = self._frame_count()
            if self._count == 1:
                raise single_picture(name)
            # An image for programs that cannot show animations.
            self._leading = int(bool(getattr(self._image, "default_image", False)))
            self._decoded = self._decode()
            self._first = self._first_of_section()
        except BaseException:
            self._image.close()
            raise
        height, width = first.shape[:2]
        self.info = VideoInfo(
            source=name,
            width=width,
            height=height,
            time_base=_MS,
            frame_count=self._count - self._leading if self._count and section == WHOLE else None,
            begin_seconds=None if section.start is None else self._first.pts * _MS,
            end_seconds=section.end,
        )

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._image.close()

    def __iter__(self) -> Iterator[Frame]:
        return self._frames(self._of_section())

    def _frame_count(self) -> int | None:
        """Return the number of frames it claims to contain; None if it is damaged after the first."""
        try:
            return int(getattr(self._image, "n_frames", 1))
        except Exception:  # noqa: BLE001 - counting reads the whole file, and fails as decoding does
            return None

    def _check_end(self) -> None:
        """Note a missing end mark of a GIF: nothing else tells how many frames there should be."""
        if self._image.format == "GIF":
            with open(self._name, "rb") as file:  # noqa: PTH123 - a str may hold what Path refuses
                file.seek(max(0, os.fstat(file.fileno()).st_size - _LAST_BYTES))
                if not file.read().rstrip(b"\0").endswith(b";"):
                    self._notes.append(f"{self._name}: has no end mark; it may be truncated")

    def _first_of_section(self) -> _Shown:
        start, end = self._section.start, self._section.end
        ends = 0
        for shown in self._decoded:
            if start is None or shown.pts * _MS >= start:
                if end is not None and shown.pts * _MS >= end:
                    raise empty_section(self._name, self._section, shown.pts * _MS)
                return shown
            ends = shown.pts + shown.duration
        if start is None:
            raise VideoError(f"{self._name}: contains no frame that can be read")
        raise start_after_end(self._name, start, ends * _MS)

    def _of_section(self) -> Iterator[_Shown]:
        shown: _Shown | None = self._first
        end = self._section.end
        ends = 0
        while shown is not None and (end is None or shown.pts * _MS < end):
            yield shown
            ends = shown.pts + shown.duration
            shown = next(self._decoded, None)
        if end is not None and shown is None and ends * _MS < end:
            self._notes.append(self._section.end_not_reached(self._name, ends * _MS))

    def _decode(self) -> Iterator[_Shown]:
        """Every frame, in order."""
        number = self._leading
        time_ms = Fraction(0)
        while (picture := self._picture(number)) is not None:
            delay = Fraction(self._image.info.get("duration") or 0).limit_denominator(1000)
            if delay <= _SHORTEST_DELAY_MS:
                delay = Fraction(_USUAL_DELAY_MS)
            pts, time_ms = round(time_ms), time_ms + delay
            yield _Shown(pts, round(time_ms) - pts, picture)
            number += 1

    def _picture(self, number: int) -> Picture | None:
        """Return the image of this number, which must be that of the last or the next one; None after the end."""
        try:
            self._image.seek(number)
            return read_picture(self._image, name=self._name)
        except Exception as error:  # decoders raise many kinds of errors for broken files
            if isinstance(error, EOFError) and number == self._count:
                self._check_end()
                return None
            read = counted(number - self._leading, "frame")
            raise StreamError(f"{self._name}: damaged or truncated; {read} could be read ({error})") from error
