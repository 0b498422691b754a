"""Save the objects of a video as separate images."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType

import numpy as np

from detector.detections import Detections
from detector.drawing.blur import whole_pixels
from detector.errors import OutputError
from detector.images.reading import write_picture
from detector.logs.box_filter import BoxFilter
from detector.video.frames import Frame, Sink


class Crops(Sink):
    """Saves each chosen object as an image `CLASS/frame_000017_0.jpg` in a folder."""

    def __init__(self, folder: Path, chosen: BoxFilter, *, overwrite: bool = False) -> None:
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
        for number, (box, (_, _, _, name)) in enumerate(
            zip(whole_pixels(wanted.xyxy, frame.image), wanted, strict=True)
        ):
            left, top, right, bottom = box
            # A name may contain a slash, and must not escape the folder.
            kind = "".join(letter if letter.isalnum() or letter in " -_" else "_" for letter in name) or "_"
            target = self._folder / kind / f"frame_{frame.index:06d}_{number}.jpg"
            target.parent.mkdir(parents=True, exist_ok=True)
            write_picture(target, np.ascontiguousarray(frame.picture[top:bottom, left:right]))
            self.count += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.notes.append(f"{self._folder}: {self.count} objects")
