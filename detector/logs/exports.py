"""A frame log in the formats of other tools."""

from __future__ import annotations

import csv
import io
import json
from array import array
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Literal, get_args

from convert.files import check_output, create
from detector.errors import OutputError, SettingsError
from detector.logs.frame_log import BoxRecord, FrameRecord, RunRecord, open_log

ExportFormat = Literal["csv", "coco", "mot", "yolo", "darknet", "labelstudio", "parquet"]

COCO_IDS = tuple(number for number in range(1, 91) if number not in {12, 26, 29, 30, 45, 66, 68, 69, 71, 83})
"""COCO's own category ids of the 80 classes, in the order in which networks count them."""

_COCO_ENDS = ("person", "toothbrush")
_ROWS_AT_A_TIME = 50_000
_COLUMNS = ("frame", "time", "class_id", "name", "confidence", "left", "top", "right", "bottom")

_ESCAPED = "backslashreplace"
"""What becomes of half characters in names, as of files that are not named in UTF-8; in JSON that is how they go."""

Frames = Iterator[FrameRecord]


def export_log(log: Path, to: ExportFormat, out: Path, *, overwrite: bool = False) -> int:
    """Write the boxes of a frame log for another tool and return how many there are.

    `csv` and `parquet` hold a row per box; `coco` an annotation file with `score`; `mot` MOTChallenge's detections;
    `labelstudio` a list of tasks with predictions; `darknet` the JSON that Darknet's `-out` writes. `out` is a file,
    for `yolo` a folder with a label file per frame and `classes.txt`.

    Raises `LogError` for a log that is none, `OutputError` if `out` must not be written.
    """
    if to not in get_args(ExportFormat):
        raise SettingsError(f"{to!r} is no format to export to; expected one of {', '.join(get_args(ExportFormat))}")
    if to == "yolo":
        return _yolo(log, out, overwrite=overwrite)
    check_output(out, overwrite=overwrite, inputs=[log])
    boxes = 0

    def counted(frames: Frames) -> Frames:
        nonlocal boxes
        for frame in frames:
            boxes += len(frame.detections)
            yield frame

    run, frames = open_log(log)
    part = out.with_name(f"{out.name}.part")
    create(part)
    try:
        if to == "parquet":
            _parquet(run, counted(frames), part)
        else:
            with part.open("w", encoding="utf-8", errors=_ESCAPED, newline="") as file:
                for text in _TEXTS[to](run, counted(frames)):
                    file.write(text)
        part.replace(out)
    except OSError as error:
        raise OutputError(f"{out}: could not be written: {error.strerror or error}") from None
    finally:
        part.unlink(missing_ok=True)
    return boxes


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
            (frame.frame, frame.time, box.class_id, box.name, box.confidence, *box.box) for box in frame.detections
        )
        yield text.getvalue()


def _coco(run: RunRecord, frames: Frames) -> Iterator[str]:
    ids = category_ids(run.classes)
    number = 0
    numbers, times = array("q"), array("d")  # of a long log's frames, in little room
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


def _yolo(log: Path, out: Path, *, overwrite: bool) -> int:
    """Label files in Ultralytics' and Darknet's layout, each line `class x y w h confidence`, relative to the frame."""
    if out.exists() and not out.is_dir():
        raise OutputError(f"{out}: is a file; labels go into a folder, one file per frame")
    if out.exists() and any(out.iterdir()) and not overwrite:
        raise OutputError(f"{out}: is not empty; name another folder or pass --overwrite")
    run, frames = open_log(log)
    boxes = 0
    try:
        out.mkdir(parents=True, exist_ok=True)
        (out / "classes.txt").write_text("".join(f"{name}\n" for name in run.classes), "utf-8", _ESCAPED)
        for frame in frames:
            lines = [
                f"{box.class_id} {' '.join(f'{part:.6f}' for part in _relative(box, run))} {box.confidence}\n"
                for box in frame.detections
            ]
            (out / frame_name(frame.frame, ".txt")).write_text("".join(lines), encoding="utf-8")
            boxes += len(lines)
    except OSError as error:
        raise OutputError(f"{out}: could not be written: {error.strerror or error}") from None
    return boxes


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
