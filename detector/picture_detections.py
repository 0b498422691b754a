"""Hold the detections of one image and draw them: `detector.detect("dog.jpg").save("found.png")`."""

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
    """`Detections` that know their image."""

    source: PictureSource | Planes | None = field(default=None, kw_only=True)
    """The image as it was passed to `detect`; a file is read again for drawing."""

    bgr: bool = field(default=False, kw_only=True)
    """Whether `source` is an array in blue, green, red order."""

    def plot(
        self,
        *,
        line_width: int | None = None,
        text_size: int | None = None,
        labels: bool = True,
        confidence: bool = True,
    ) -> NDArray[np.uint8]:
        """Return a copy of the image with the boxes drawn on it, RGB (height, width, 3) uint8.

        `line_width` and `text_size` are in pixels and depend on the image's size unless given. For an image passed as
        BGR the copy is BGR too. Raise `PictureError` when the image file can no longer be read.
        """
        from detector.drawing.boxes import draw  # text rendering and its fonts take a tenth of the start-up time

        if self.source is None:
            raise ValueError("these detections have no picture; draw them with detector.drawing.boxes.draw")
        picture = np.array(self.source.rgb if isinstance(self.source, Planes) else read_picture(self.source))
        if self.bgr:
            picture = np.ascontiguousarray(picture[..., ::-1])
        draw(picture, self, line_width=line_width, text_size=text_size, labels=labels, confidence=confidence)
        return np.ascontiguousarray(picture[..., ::-1]) if self.bgr else picture

    def save(self, path: str | os.PathLike[str], *, labels: bool = True, confidence: bool = True) -> None:
        """Write the image with its boxes as JPEG, PNG or WEBP, according to the suffix; an existing file is replaced.

        Raise `OutputError` if nothing can be written, `WriteError` if writing fails.
        """
        picture = self.plot(labels=labels, confidence=confidence)
        write_picture(path, np.ascontiguousarray(picture[..., ::-1]) if self.bgr else picture)
