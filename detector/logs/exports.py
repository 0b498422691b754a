"""Export a frame log to other tools' formats."""

from __future__ import annotations

import csv
import io
import json
import re
from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Literal, TextIO, get_args

from convert.files import check_output, replacing
from convert.folders import replacing_folder
from detector.errors import SettingsError
from detector.logs.box_filter import EVERY_BOX, BoxFilter
from detector.logs.box_formats import (
    CVAT_END,
    ESCAPED,
    category_ids,
    coco_annotation,
    coco_categories,
    cvat_head,
    cvat_image,
    label_studio_result,
    relative,
    size,
    yolo_line,
)
from detector.logs.frame_log import BoxRecord, FrameRecord, RunRecord, open_log
from detector.logs.track_exports import cvat_video, labelstudio_video

ExportFormat = Literal[
    "csv", "coco", "mot", "yolo", "darknet", "labelstudio", "labelstudio-video", "cvat", "cvat-video", "parquet"
]

_CLASSES = "classes.txt"
_ROWS_AT_A_TIME = 50_000
_COLUMNS = ("frame", "time", "class_id", "name", "confidence", "left", "top", "right", "bottom")
_TRACK_COLUMNS = ("track", "interpolated")
"""CSV columns for a log with tracks; the first is empty if a box has none."""

Frames = Iterator[FrameRecord]


@dataclass(frozen=True)
class ExportChoice:
    """What is exported of a log."""

    boxes: BoxFilter = EVERY_BOX
    every: int = 1
    """Only frames whose number is a multiple of this."""


EVERYTHING = ExportChoice()


def export_log(
    log: Path,
    to: ExportFormat,
    out: Path | TextIO,
    *,
    overwrite: bool = False,
    with_confidence: bool = False,
    choice: ExportChoice = EVERYTHING,
) -> int:
    """Write the boxes of a frame log for another tool and return how many there are.

    `csv` and `parquet` contain a row per box; `coco` is an annotation file with `score`; `mot` is MOTChallenge's
    detections; `labelstudio` is a list of tasks with predictions; `cvat` is CVAT's XML for images; `darknet` is the
    JSON that Darknet's `-out` writes; `cvat-video` and `labelstudio-video` contain tracks. `out` is a file or, for text
    formats, an open stream; for `yolo` a folder with a label file per frame and `classes.txt`. A line of a label file
    is `class x y width height`; the confidence is added as a sixth number only `with_confidence`, because readers of
    labels refuse it. `choice` selects what is written; a frame without a chosen box is still listed. Raise `LogError`
    for an invalid log, `OutputError` if `out` must not be written, `WriteError` if it could not be written completely.
    """
    if to not in get_args(ExportFormat):
        raise SettingsError(f"{to!r} is not an export format; expected one of {', '.join(get_args(ExportFormat))}")
    run, frames = open_log(log)
    choice.boxes.check(run)
    counter = _ChosenFrames(frames, choice.boxes.keeper(run.classes), choice.every)
    if not isinstance(out, Path):
        if to not in _TEXTS:
            raise SettingsError(f"{to} is not a text format; name a file or folder to write")
        out.writelines(_TEXTS[to](run, counter))
        return counter.boxes
    if to == "yolo":
        with replacing_folder(out, overwrite=overwrite, is_ours=_is_label_file) as folder:
            _write_labels(run, counter, folder, with_confidence=with_confidence)
        return counter.boxes
    check_output(out, overwrite=overwrite, inputs=[log])
    with replacing(out, inputs=[log]) as private:
        if to == "parquet":
            _parquet(run, counter, private)
        else:
            with private.open("w", encoding="utf-8", errors=ESCAPED, newline="") as file:
                file.writelines(_TEXTS[to](run, counter))
    return counter.boxes


class _ChosenFrames(Iterator[FrameRecord]):
    """Yield frames with their chosen boxes, and count the boxes."""

    def __init__(self, frames: Frames, keeps: Callable[[BoxRecord], bool], every: int) -> None:
        self._frames = (frame for frame in frames if frame.frame % every == 0)
        self._keeps = keeps
        self.boxes = 0

    def __next__(self) -> FrameRecord:
        frame = next(self._frames)
        kept = tuple(filter(self._keeps, frame.detections))
        self.boxes += len(kept)
        return frame if len(kept) == len(frame.detections) else replace(frame, detections=kept)


def _csv(run: RunRecord, frames: Frames) -> Iterator[str]:
    tracked = _has_tracks(run)
    yield ",".join((*_COLUMNS, *_TRACK_COLUMNS) if tracked else _COLUMNS) + "\n"
    for frame in frames:
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(
            (frame.frame, frame.time, box.class_id, _cell(box.name), box.confidence, *box.box)
            + ((box.track, int(box.interpolated)) if tracked else ())
            for box in frame.detections
        )
        yield text.getvalue()


def _coco(run: RunRecord, frames: Frames) -> Iterator[str]:
    ids = category_ids(run.classes)
    number = 0
    numbers, times = array("q"), array("d")  # compact: a log may have millions of frames
    yield '{"annotations":['
    for frame in frames:
        image_id = frame.frame + 1
        numbers.append(frame.frame)
        times.append(frame.time)
        for box in frame.detections:
            number += 1
            annotation = coco_annotation(box, number=number, image_id=image_id, category_id=ids[box.class_id])
            yield ("," if number > 1 else "") + _json(annotation)
    categories = coco_categories(run.classes)
    yield '],"images":['
    shape = {"width": run.width, "height": run.height}
    for index, (frame_number, seconds) in enumerate(zip(numbers, times, strict=True)):
        name = frame_name(frame_number, ".jpg")
        yield ("," if index else "") + _json({"id": frame_number + 1, "file_name": name, **shape, "time": seconds})
    yield f'],"categories":{_json(categories)},"info":{_json({"description": run.source})}}}\n'


def _mot(run: RunRecord, frames: Frames) -> Iterator[str]:
    # MOTChallenge counts frames and pixels from 1; -1 is a box without a track.
    for frame in frames:
        for box in frame.detections:
            width, height = size(box)
            left, top = (round(edge + 1, 2) for edge in box.box[:2])
            track = -1 if box.track is None else box.track
            yield f"{frame.frame + 1},{track},{left},{top},{width},{height},{box.confidence},-1,-1,-1\n"


def _darknet(run: RunRecord, frames: Frames) -> Iterator[str]:
    yield "[\n"
    for number, frame in enumerate(frames):
        objects = [
            {
                "class_id": box.class_id,
                "name": box.name,
                "relative_coordinates": dict(
                    zip(("center_x", "center_y", "width", "height"), relative(box, run.width, run.height), strict=True)
                ),
                "confidence": box.confidence,
            }
            for box in frame.detections
        ]
        record = {"frame_id": frame.frame + 1, "filename": frame_name(frame.frame, ".jpg"), "objects": objects}
        yield (",\n" if number else "") + _json(record)
    yield "\n]\n"


def _labelstudio(run: RunRecord, frames: Frames) -> Iterator[str]:
    yield "[\n"
    for number, frame in enumerate(frames):
        results = [
            label_studio_result(box, identity=f"{frame.frame}-{index}", width=run.width, height=run.height)
            for index, box in enumerate(frame.detections)
        ]
        task = {
            "data": {"image": frame_name(frame.frame, ".jpg"), "frame": frame.frame, "time": frame.time},
            "predictions": [{"model_version": Path(run.model).name, "result": results}],
        }
        yield (",\n" if number else "") + _json(task)
    yield "\n]\n"


def _cvat(run: RunRecord, frames: Frames) -> Iterator[str]:
    yield cvat_head(run.classes)
    for number, frame in enumerate(frames):
        name = frame_name(frame.frame, ".jpg")
        yield cvat_image(name, frame.detections, number=number, width=run.width, height=run.height)
    yield CVAT_END


def _parquet(run: RunRecord, frames: Frames, part: Path) -> None:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise SettingsError("Parquet needs the package pyarrow: pip install -e '.[parquet]'") from None
    kinds = [pyarrow.int64(), pyarrow.float64(), pyarrow.int64(), pyarrow.string(), *[pyarrow.float64()] * 5]
    columns: tuple[str, ...] = _COLUMNS
    tracked = _has_tracks(run)
    if tracked:
        columns, kinds = (*_COLUMNS, *_TRACK_COLUMNS), [*kinds, pyarrow.int64(), pyarrow.bool_()]
    schema = pyarrow.schema(list(zip(columns, kinds, strict=True)))
    rows = (
        (frame.frame, frame.time, box.class_id, _text(box.name), box.confidence, *box.box)
        + ((box.track, box.interpolated) if tracked else ())
        for frame in frames
        for box in frame.detections
    )
    with parquet.ParquetWriter(part, schema) as writer:
        while batch := list(islice(rows, _ROWS_AT_A_TIME)):
            arrays = [pyarrow.array(column, kind) for column, kind in zip(zip(*batch, strict=True), kinds, strict=True)]
            writer.write_table(pyarrow.table(arrays, schema=schema))


def _write_labels(run: RunRecord, frames: Frames, folder: Path, *, with_confidence: bool) -> None:
    """Write label files in the layout of Darknet and Ultralytics, relative to the frame."""
    (folder / _CLASSES).write_text("".join(f"{name}\n" for name in run.classes), "utf-8", ESCAPED)
    for frame in frames:
        lines = [yolo_line(box, run.width, run.height, with_confidence=with_confidence) for box in frame.detections]
        (folder / frame_name(frame.frame, ".txt")).write_text("".join(lines), encoding="utf-8")


def _is_label_file(name: str) -> bool:
    return name == _CLASSES or re.fullmatch(r"frame_\d{6,}\.txt", name) is not None


def _has_tracks(run: RunRecord) -> bool:
    return "track" in run.settings


def _cell(name: str) -> str:
    """Return a name that no spreadsheet interprets as a formula."""
    return f"'{name}" if name.startswith(("=", "+", "-", "@", "\t", "\r")) else name


def _text(name: str) -> str:
    return name.encode("utf-8", ESCAPED).decode()


def frame_name(frame: int, ending: str) -> str:
    """Return a frame's name as an image file."""
    return f"frame_{frame:06d}{ending}"


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


_TEXTS: dict[str, Callable[[RunRecord, Frames], Iterator[str]]] = {
    "csv": _csv,
    "coco": _coco,
    "mot": _mot,
    "darknet": _darknet,
    "labelstudio": _labelstudio,
    "cvat": _cvat,
    "cvat-video": cvat_video,
    "labelstudio-video": labelstudio_video,
}
