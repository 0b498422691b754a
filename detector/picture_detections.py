"""What was found in one picture, with the means to show it: `detector.detect("dog.jpg").save("found.png")`."""

from __future__ import annotations

import os
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from detector.detections import Detections
from detector.images.planes import Planes
from detector.images.reading import PictureSource, read_picture, write_picture


@dataclass(frozen=True, eq=False, repr=False)
class PictureDetections(Detections):
    """`Detections` that know their picture."""

    source: PictureSource | Planes | None = field(default=None, kw_only=True)
    """The picture as it was given to `detect`; a file is read again when it is drawn."""

    bgr: bool = field(default=False, kw_only=True)
    """Whether `source` is an array of blue, green, red."""

    def plot(
        self,
        *,
        line_width: int | None = None,
        text_size: int | None = None,
        labels: bool = True,
        confidence: bool = True,
    ) -> NDArray[np.uint8]:
        """A copy of the picture with the boxes drawn on it, RGB (height, width, 3) uint8.

        `line_width` and `text_size` are in pixels and follow the picture's size unless given. For a picture that was
        given as BGR the copy is BGR too. Raises `PictureError` when the file of the picture can no longer be read.
        """
        from detector.drawing.boxes import draw  # text and its fonts take a tenth of the start

        if self.source is None:
            raise ValueError("these detections belong to no picture; draw them with detector.drawing.boxes.draw")
        picture = np.array(self.source.rgb if isinstance(self.source, Planes) else read_picture(self.source))
        if self.bgr:
            picture = np.ascontiguousarray(picture[..., ::-1])
        draw(picture, self, line_width=line_width, text_size=text_size, labels=labels, confidence=confidence)
        return np.ascontiguousarray(picture[..., ::-1]) if self.bgr else picture

    def save(self, path: str | os.PathLike[str], *, labels: bool = True, confidence: bool = True) -> None:
        """Write the picture with its boxes as JPEG, PNG or WEBP, as the suffix says; an existing file is replaced.

        Raises `OutputError` where nothing can be written, `WriteError` where writing fails.
        """
        picture = self.plot(labels=labels, confidence=confidence)
        write_picture(path, np.ascontiguousarray(picture[..., ::-1]) if self.bgr else picture)
