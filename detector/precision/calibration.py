"""Select images to calibrate and compare a network of lower precision: from a video, a folder or a list."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from detector.errors import Yolo3Error
from detector.images.addresses import is_url
from detector.images.finding import find_pictures
from detector.images.reading import read_picture
from detector.images.signatures import PICTURE_SUFFIXES
from detector.video.frames import Image, VideoInfo
from detector.video.reading.containers import is_address
from detector.video.reading.image_sequence import is_picture_series
from detector.video.reading.opening import open_video
from detector.video.reading.pipes import is_pipe
from detector.video.section import Section

PICTURES = 48
"""Number of images, spread evenly."""

_READ_THROUGH = 1500
"""A video of at most this many frames is read from its beginning; in a longer one, each image is sought."""

Sources = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]


@dataclass(frozen=True)
class Calibration:
    """Where the pictures come from."""

    name: str
    """For messages."""

    digest: str
    """Digest of the names, sizes and times of the files."""

    pictures: tuple[str, ...] = ()
    """Image files, or none for a video."""

    video: str = ""

    @classmethod
    def of(cls, sources: Sources | None) -> Calibration | None:
        """Return the files that `sources` stand for: a video, or images as in `find_pictures`.

        Return None if they can be read only once or not at all: a camera, a pipe, an address. Raise `PictureError` for
        a folder without images.
        """
        given = [sources] if isinstance(sources, str | os.PathLike) else list(sources or [])
        names = [os.fspath(name) for name in given if not is_url(os.fspath(name)) and not is_address(os.fspath(name))]
        if not names or any(name == "-" or is_pipe(name) for name in names):
            return None
        if len(names) == 1 and _is_video(names[0]):
            return cls(names[0], _digest([names[0]]), video=names[0]) if Path(names[0]).is_file() else None
        pictures = [name for name in find_pictures(names) if Path(name).is_file()]
        name = names[0] if len(names) == 1 else f"{len(pictures)} pictures"
        return cls(name, _digest(pictures), pictures=tuple(pictures)) if pictures else None

    def expected(self) -> int:
        """Return how many images or frames there are in total, if the source says."""
        if self.pictures:
            return len(self.pictures)
        with open_video(self.video) as video:
            return video.info.frame_count or 0

    def read(self) -> Iterator[tuple[Image, float]]:
        """Yield some of the readable images, evenly spread, each with the width of a pixel over its height."""
        if not self.pictures:
            yield from self._frames()
            return
        step = max(1, len(self.pictures) // PICTURES)
        for path in self.pictures[::step][:PICTURES]:
            try:
                yield read_picture(path), 1.0
            except Yolo3Error:
                continue

    def _frames(self) -> Iterator[tuple[Image, float]]:
        try:
            with open_video(self.video) as video:
                info = video.info
                if not info.frame_count or info.frame_count <= _READ_THROUGH or not info.duration_seconds:
                    step = max(1, (info.frame_count or _READ_THROUGH) // PICTURES)
                    taken = 0
                    for frame in video:
                        if frame.index % step == 0 and taken < PICTURES:
                            taken += 1
                            yield frame.image, float(frame.pixel_aspect)
                    return
        except Yolo3Error:  # the source breaks off: the frames before are valid
            return
        yield from self._sought(info)

    def _sought(self, info: VideoInfo) -> Iterator[tuple[Image, float]]:
        for number in range(PICTURES):
            start = (info.duration_seconds or Fraction(0)) * number / PICTURES
            try:
                with open_video(self.video, section=Section(start=start or None)) as video:
                    frame = next(iter(video))
                    yield frame.image, float(frame.pixel_aspect)
            except (Yolo3Error, StopIteration):
                continue


def _is_video(name: str) -> bool:
    return not is_picture_series(name) and Path(name).suffix.lower() not in PICTURE_SUFFIXES


def _digest(names: Sequence[str]) -> str:
    digest = hashlib.sha256()
    for name in names:
        found = Path(name).stat()
        digest.update(f"{Path(name).absolute()}\0{found.st_size}\0{found.st_mtime_ns}\0".encode("utf-8", "replace"))
    return digest.hexdigest()[:16]
