"""Make a contact sheet: the most eventful frames of a video, and the number of boxes per class over time."""

from __future__ import annotations

from array import array
from collections import Counter
from pathlib import Path
from types import TracebackType
from typing import Any

import cv2
import numpy as np

from convert.files import check_output
from detector.detections import Detections
from detector.errors import OutputError, SettingsError
from detector.logs.box_filter import BoxFilter
from detector.logs.frame_log import detections_of, open_log
from detector.logs.replay import LogIndex
from detector.video.frames import Frame, Picture, Sink

SHEET_FRAMES = 9
_COLUMNS = 3
_THUMBNAIL_WIDTH = 480
_MOST_CLASSES = 8
_BINS = 200


class ContactSheet(Sink):
    """Collects the eventful frames during a run, and makes the sheet of them at the end."""

    def __init__(self, path: Path, log: Path, chosen: BoxFilter, *, overwrite: bool = False) -> None:
        super().__init__()
        check_output(path, overwrite=overwrite, inputs=[log])
        if path.suffix.lower() not in (".png", ".jpg", ".jpeg", ".pdf", ".svg"):
            raise OutputError(f"{path}: a sheet cannot be written in this format; use .png, .jpg, .pdf or .svg")
        self._figure_of = _matplotlib_figure()
        self._path = path
        self._log = log
        self._chosen = chosen
        self._wanted = set(eventful_frames(log, chosen, count=SHEET_FRAMES))
        self._pictures: list[tuple[float, Picture]] = []

    def write(self, frame: Frame, detections: Detections) -> None:
        """Keep the frame if it is one of the eventful ones."""
        if frame.index in self._wanted:
            height, width = frame.picture.shape[:2]
            size = (_THUMBNAIL_WIDTH, max(1, round(height * _THUMBNAIL_WIDTH / width)))
            small = cv2.resize(frame.picture, size, interpolation=cv2.INTER_AREA)
            self._pictures.append((float(frame.time), np.asarray(small, dtype=np.uint8)))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            return
        if not self._pictures:
            self.notes.append(f"{self._path}: not made, because no frame of the video is in the log")
            return
        rows = -(-len(self._pictures) // _COLUMNS)
        figure = self._figure_of(figsize=(12, 3 * rows + 3), layout="constrained")
        grid = figure.add_gridspec(rows + 1, _COLUMNS)
        for number, (seconds, picture) in enumerate(self._pictures):
            axes = figure.add_subplot(grid[number // _COLUMNS, number % _COLUMNS])
            axes.imshow(picture)
            axes.set_title(f"{seconds:.2f} s", fontsize=9)
            axes.axis("off")
        self._timeline(figure.add_subplot(grid[rows, :]))
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            figure.savefig(self._path, dpi=100)
        except OSError as failure:
            raise OutputError(f"{self._path}: could not be written: {failure.strerror or failure}") from None

    def _timeline(self, axes: Any) -> None:
        """Plot the mean number of boxes per class over time."""
        logged = LogIndex(self._log)
        assert logged.first is not None and logged.last is not None
        count = min(_BINS, logged.count)
        edges = np.linspace(logged.first.time, logged.last.time + 1e-6, count + 1)
        frames = np.zeros(count)
        boxes = np.zeros((len(logged.run.classes), count))
        for record in logged.records():
            into = min(max(int(np.searchsorted(edges, record.time, side="right")) - 1, 0), count - 1)
            frames[into] += 1
            np.add.at(boxes[:, into], self._chosen.of(detections_of(record, logged.run.classes)).class_id, 1)
        totals = boxes.sum(axis=1)
        shown = [kind for kind in np.argsort(-totals, kind="stable")[:_MOST_CLASSES] if totals[kind]]
        for kind in shown:
            mean = boxes[kind] / np.maximum(frames, 1)
            axes.step(edges[:-1], mean, where="post", label=logged.run.classes[kind])
        axes.set_xlabel("seconds")
        axes.set_ylabel("boxes per frame")
        axes.set_xlim(edges[0], edges[-1])
        if shown:
            axes.legend(fontsize=8, ncols=4)


def _matplotlib_figure() -> Any:
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise SettingsError("a sheet needs the package matplotlib: pip install matplotlib") from None
    return Figure


def eventful_frames(log: Path, chosen: BoxFilter, *, count: int) -> list[int]:
    """Return the frames, in order and far apart, in which the counts per class change most."""
    run, records = open_log(log)
    chosen.check(run)
    before: Counter[int] = Counter()
    scores, numbers = array("d"), array("q")  # compact: a log may have millions of frames
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
