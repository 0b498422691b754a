"""A frame log in the formats of other tools."""

from __future__ import annotations

import csv
import io
import json
import re
from array import array
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Literal, TextIO, get_args

from convert.files import check_output, replacing
from convert.folders import replacing_folder
from detector.errors import SettingsError
from detector.logs.frame_log import BoxRecord, FrameRecord, RunRecord, open_log

ExportFormat = Literal["csv", "coco", "mot", "yolo", "darknet", "labelstudio", "parquet"]

COCO_IDS = tuple(number for number in range(1, 91) if number not in {12, 26, 29, 30, 45, 66, 68, 69, 71, 83})
"""COCO's own category ids of the 80 classes, in the order in which networks count them."""

_CLASSES = "classes.txt"
_COCO_ENDS = ("person", "toothbrush")
_ROWS_AT_A_TIME = 50_000
_COLUMNS = ("frame", "time", "class_id", "name", "confidence", "left", "top", "right", "bottom")

_ESCAPED = "backslashreplace"
"""How lone surrogates in names are written, as of files whose names are not UTF-8."""

Frames = Iterator[FrameRecord]


def export_log(
    log: Path, to: ExportFormat, out: Path | TextIO, *, overwrite: bool = False, with_confidence: bool = False
) -> int:
    """Write the boxes of a frame log for another tool and return how many there are.

    `csv` and `parquet` hold a row per box; `coco` an annotation file with `score`; `mot` MOTChallenge's detections;
    `labelstudio` a list of tasks with predictions; `darknet` the JSON that Darknet's `-out` writes. `out` is a file or,
    for texts, an open stream; for `yolo` a folder with a label file per frame and `classes.txt`. A line of a label file
    is `class x y width height`, with the confidence as a sixth number only if `with_confidence` says so: readers of
    labels refuse it.

    Raises `LogError` for a log that is none, `OutputError` if `out` must not be written, `WriteError` if it could not
    be written to its end.
    """
    if to not in get_args(ExportFormat):
        raise SettingsError(f"{to!r} is no format to export to; expected one of {', '.join(get_args(ExportFormat))}")
    run, frames = open_log(log)
    counter = _BoxCounter(frames)
    if not isinstance(out, Path):
        if to not in _TEXTS:
            raise SettingsError(f"{to} is no text; name a file or folder to write")
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
            with private.open("w", encoding="utf-8", errors=_ESCAPED, newline="") as file:
                file.writelines(_TEXTS[to](run, counter))
    return counter.boxes


class _BoxCounter(Iterator[FrameRecord]):
    """Frames on their way through, and how many boxes they held."""

    def __init__(self, frames: Frames) -> None:
        self._frames = frames
        self.boxes = 0

    def __next__(self) -> FrameRecord:
        frame = next(self._frames)
        self.boxes += len(frame.detections)
        return frame


def category_ids(classes: tuple[str, ...]) -> tuple[int, ...]:
    """The category id of each class: COCO's own, 1 to 90 with gaps, when the classes are COCO's; else from 1."""
    if len(classes) == len(COCO_IDS) and (classes[0], classes[-1]) == _COCO_ENDS:
        return COCO_IDS
    return tuple(range(1, len(classes) + 1))


def _csv(run: RunRecord, frames: Frames) -> Iterator[str]:
    yield ",".join(_COLUMNS) + "\n"
    for frame in frames:
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(
            (frame.frame, frame.time, box.class_id, _cell(box.name), box.confidence, *box.box)
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
            width, height = _size(box)
            annotation = {
                "id": number,
                "image_id": image_id,
                "category_id": ids[box.class_id],
                "bbox": [box.box[0], box.box[1], width, height],
                "area": round(width * height, 2),
                "iscrowd": 0,
                "score": box.confidence,
            }
            yield ("," if number > 1 else "") + _json(annotation)
    categories = [{"id": identity, "name": name} for identity, name in zip(ids, run.classes, strict=True)]
    yield '],"images":['
    size = {"width": run.width, "height": run.height}
    for index, (frame_number, seconds) in enumerate(zip(numbers, times, strict=True)):
        name = frame_name(frame_number, ".jpg")
        yield ("," if index else "") + _json({"id": frame_number + 1, "file_name": name, **size, "time": seconds})
    yield f'],"categories":{_json(categories)},"info":{_json({"description": run.source})}}}\n'


def _mot(run: RunRecord, frames: Frames) -> Iterator[str]:
    # MOTChallenge counts frames and pixels from 1; -1 is a box that no track holds.
    for frame in frames:
        for box in frame.detections:
            width, height = _size(box)
            left, top = (round(edge + 1, 2) for edge in box.box[:2])
            yield f"{frame.frame + 1},-1,{left},{top},{width},{height},{box.confidence},-1,-1,-1\n"


def _darknet(run: RunRecord, frames: Frames) -> Iterator[str]:
    yield "[\n"
    for number, frame in enumerate(frames):
        objects = [
            {
                "class_id": box.class_id,
                "name": box.name,
                "relative_coordinates": dict(
                    zip(("center_x", "center_y", "width", "height"), _relative(box, run), strict=True)
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
        results = []
        for index, box in enumerate(frame.detections):
            width, height = _size(box)
            value = {
                "x": 100 * box.box[0] / run.width,
                "y": 100 * box.box[1] / run.height,
                "width": 100 * width / run.width,
                "height": 100 * height / run.height,
                "rotation": 0,
                "rectanglelabels": [box.name],
            }
            results.append(
                {
                    "id": f"{frame.frame}-{index}",
                    "type": "rectanglelabels",
                    "from_name": "label",
                    "to_name": "image",
                    "original_width": run.width,
                    "original_height": run.height,
                    "image_rotation": 0,
                    "value": value,
                    "score": box.confidence,
                }
            )
        task = {
            "data": {"image": frame_name(frame.frame, ".jpg"), "frame": frame.frame, "time": frame.time},
            "predictions": [{"model_version": Path(run.model).name, "result": results}],
        }
        yield (",\n" if number else "") + _json(task)
    yield "\n]\n"


def _parquet(run: RunRecord, frames: Frames, part: Path) -> None:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise SettingsError("Parquet needs the package pyarrow: pip install -e '.[parquet]'") from None
    kinds = [pyarrow.int64(), pyarrow.float64(), pyarrow.int64(), pyarrow.string(), *[pyarrow.float64()] * 5]
    schema = pyarrow.schema(list(zip(_COLUMNS, kinds, strict=True)))
    rows = (
        (frame.frame, frame.time, box.class_id, _text(box.name), box.confidence, *box.box)
        for frame in frames
        for box in frame.detections
    )
    with parquet.ParquetWriter(part, schema) as writer:
        while batch := list(islice(rows, _ROWS_AT_A_TIME)):
            arrays = [pyarrow.array(column, kind) for column, kind in zip(zip(*batch, strict=True), kinds, strict=True)]
            writer.write_table(pyarrow.table(arrays, schema=schema))


def _write_labels(run: RunRecord, frames: Frames, folder: Path, *, with_confidence: bool) -> None:
    """Label files in the layout of Darknet and Ultralytics, relative to the frame."""
    (folder / _CLASSES).write_text("".join(f"{name}\n" for name in run.classes), "utf-8", _ESCAPED)
    for frame in frames:
        lines = [
            f"{box.class_id} {' '.join(f'{part:.6f}' for part in _relative(box, run))}"
            f"{f' {box.confidence}' if with_confidence else ''}\n"
            for box in frame.detections
        ]
        (folder / frame_name(frame.frame, ".txt")).write_text("".join(lines), encoding="utf-8")


def _is_label_file(name: str) -> bool:
    return name == _CLASSES or re.fullmatch(r"frame_\d{6,}\.txt", name) is not None


def _cell(name: str) -> str:
    """A name that no spreadsheet takes for a formula."""
    return f"'{name}" if name.startswith(("=", "+", "-", "@", "\t", "\r")) else name


def _text(name: str) -> str:
    return name.encode("utf-8", _ESCAPED).decode()


def frame_name(frame: int, ending: str) -> str:
    """What a frame is called where it is a file."""
    return f"frame_{frame:06d}{ending}"


def _size(box: BoxRecord) -> tuple[float, float]:
    left, top, right, bottom = box.box
    return round(right - left, 2), round(bottom - top, 2)


def _relative(box: BoxRecord, run: RunRecord) -> tuple[float, float, float, float]:
    left, top, right, bottom = box.box
    return (
        (left + right) / 2 / run.width,
        (top + bottom) / 2 / run.height,
        (right - left) / run.width,
        (bottom - top) / run.height,
    )


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


_TEXTS: dict[str, Callable[[RunRecord, Frames], Iterator[str]]] = {
    "csv": _csv,
    "coco": _coco,
    "mot": _mot,
    "darknet": _darknet,
    "labelstudio": _labelstudio,
}
