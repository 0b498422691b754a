"""A model's boxes for the images of a dataset, from the JSON of `yolo3 image` or from a video's frame log."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from detector.datasets.examples import Example
from detector.detections import Detections
from detector.errors import LogError
from detector.images.addresses import is_url
from detector.logs.frame_log import open_log
from detector.logs.picture_exports import is_picture_lines, picture_records
from detector.logs.records import BoxRecord

_FRAME = re.compile(r"frame_(\d{6,})")


class Predictions:
    """Finds the boxes of an image: by its path, by its name if no two have it, or by the frame that its name states.

    Raise `LogError` for a file that is neither.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._boxes: dict[str, tuple[BoxRecord, ...] | None] = {}
        self._frames: dict[int, tuple[BoxRecord, ...]] = {}
        if is_picture_lines(path):
            for source, boxes in _picture_boxes(path):
                name = os.path.basename(source)  # noqa: PTH119
                self._boxes[name] = None if name in self._boxes else boxes  # of one name: only by their paths
                self._boxes[source] = boxes
        else:
            try:
                records = open_log(path)[1]
            except LogError as error:
                raise LogError(f"{error}; expected the file of yolo3 image --json, or the log of a video") from None
            for record in records:
                self._frames[record.frame] = record.detections

    def of(self, example: Example, names: Sequence[str]) -> Detections | None:
        """Return the boxes in an image, with class ids by `names`, to which unknown ones are added; None if unknown."""
        frame = _FRAME.fullmatch(example.path.stem)
        boxes = self._boxes.get(os.path.realpath(example.path))
        if boxes is None:
            boxes = self._boxes.get(example.path.name)
        if boxes is None and frame:
            boxes = self._frames.get(int(frame[1]))
        if boxes is None:
            return None
        all_names = tuple(dict.fromkeys((*names, *(box.name for box in boxes))))
        return Detections(
            np.array([box.box for box in boxes], np.float32).reshape(-1, 4),
            np.array([box.confidence for box in boxes], np.float32),
            np.array([all_names.index(box.name) for box in boxes], np.int64),
            all_names,
        )


def _picture_boxes(path: Path) -> Iterator[tuple[str, tuple[BoxRecord, ...]]]:
    for record in picture_records(path):
        if is_url(record.source):
            continue
        # Relative to the working folder, in which yolo3 image was run, or to the file's own.
        places = (Path(record.source), path.parent / record.source)
        found = next((place for place in places if place.exists()), places[0])
        yield os.path.realpath(found), record.detections
