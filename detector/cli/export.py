"""The verb `export`: a model, a frame log or the JSON of pictures in the format of another tool."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal, cast, get_args

import typer

from detector.cli.console import note_printer
from detector.cli.options import Overwrite
from detector.errors import SettingsError

ModelFormat = Literal["litert", "onnx", "openvino", "savedmodel"]
LogFormat = Literal[
    "csv", "coco", "mot", "yolo", "darknet", "labelstudio", "labelstudio-video", "cvat", "cvat-video", "parquet"
]
PictureFormat = Literal["csv", "coco", "yolo", "labelstudio", "cvat"]
Format = Literal[ModelFormat, LogFormat]
Precision = Literal["float32", "float16", "int8"]

LOG_ENDINGS: dict[LogFormat, str] = {
    "csv": ".csv",
    "coco": ".coco.json",
    "mot": ".mot.txt",
    "yolo": "-labels",
    "darknet": ".darknet.json",
    "labelstudio": ".labelstudio.json",
    "labelstudio-video": ".labelstudio-video.json",
    "cvat": ".cvat.xml",
    "cvat-video": ".cvat-video.xml",
    "parquet": ".parquet",
}
"""What a log's name ends with once it is exported."""


MODEL_SUFFIXES: dict[str, ModelFormat] = {".tflite": "litert", ".onnx": "onnx", ".xml": "openvino"}

LOG_SUFFIXES: dict[str, tuple[LogFormat, ...]] = {
    ".csv": ("csv",),
    ".parquet": ("parquet",),
    ".json": ("coco", "darknet", "labelstudio"),
    ".txt": ("mot",),
    ".xml": ("cvat",),
    "": ("yolo",),
}
"""The formats that a file of a name's suffix may have; no suffix is a folder."""


def register(app: typer.Typer) -> None:
    """Add the verb to the command."""
    app.command("export")(export_verb)


def export_verb(
    source: Annotated[
        Path,
        typer.Argument(metavar="MODEL.h5|LOG.jsonl|PICTURES.json", help="a model, a frame log, or image --json's file"),
    ],
    out: Annotated[
        Path | None,
        typer.Argument(metavar="[OUT]", help="file to write, or folder"),
    ] = None,
    to: Annotated[Format | None, typer.Option(help="the format; default: by the name of OUT, csv without one")] = None,
    precision: Annotated[
        Precision,
        typer.Option(help="of a model's weights; lower is smaller. For openvino, int8 is that of sums too"),
    ] = "float32",
    calibrate: Annotated[
        Path | None, typer.Option(help="for int8 of openvino: a folder of pictures or a video to calibrate on")
    ] = None,
    with_confidence: Annotated[
        bool,
        typer.Option("--with-confidence", help="add the confidence to each line of yolo labels"),
    ] = False,
    confidence: Annotated[float, typer.Option(help="leave out boxes with a lower confidence")] = 0.0,
    classes: Annotated[str | None, typer.Option(help="only these classes, names or ids such as person,car")] = None,
    every: Annotated[int, typer.Option(min=1, help="of a frame log: only one of so many frames")] = 1,
    names: Annotated[
        Path | None, typer.Option(help="of PICTURES.json: a model or file of names; default: the model that it names")
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Export a model, a frame log or what was found in pictures to the format of another tool."""
    from detector.logs.box_filter import BoxFilter, class_list
    from detector.logs.picture_exports import is_picture_lines

    if source.suffix == ".h5":
        if classes or confidence or names or every != 1:
            raise SettingsError(f"{source}: is a model; --classes, --confidence, --names and --every are for boxes")
        _export_model(source, out, to, precision, calibrate, overwrite=overwrite)
        return
    if calibrate:
        raise SettingsError(f"{source}: --calibrate is for models")
    boxes = BoxFilter(confidence, class_list(classes))
    pictures = is_picture_lines(source)
    if every != 1 and pictures:
        raise SettingsError(f"{source}: --every is for frame logs; leave out pictures when you detect in them")
    if names and not pictures:
        raise SettingsError(f"{source}: --names is for the JSON of yolo3 image; a frame log names its classes")
    _check_format(source, to, PictureFormat if pictures else LogFormat, "pictures" if pictures else "a frame log")
    log_format = cast(LogFormat | None, to) or _log_format(out, PictureFormat if pictures else LogFormat)
    _check_format(source, log_format, PictureFormat if pictures else LogFormat, "pictures")
    target = sys.stdout if out == Path("-") else out or source.with_name(source.stem + LOG_ENDINGS[log_format])
    if pictures:
        from detector.logs.picture_exports import LabelledPictures, export_pictures

        read = LabelledPictures.read(source, names)
        if read.note:
            note_printer(False)(read.note)
        form = cast(PictureFormat, log_format)
        count = export_pictures(read, form, target, overwrite=overwrite, with_confidence=with_confidence, boxes=boxes)
    else:
        from detector.logs.exports import ExportChoice, export_log

        choice = ExportChoice(boxes, every)
        count = export_log(
            source, log_format, target, overwrite=overwrite, with_confidence=with_confidence, choice=choice
        )
    if isinstance(target, Path):
        print(f"Wrote {count} boxes to {target} ({log_format})")


def _export_model(
    source: Path,
    out: Path | None,
    to: Format | None,
    precision: Precision,
    calibrate: Path | None,
    *,
    overwrite: bool,
) -> None:

    _check_format(source, to, ModelFormat, "a model")
    if out is None:
        raise SettingsError(f"{source}: name the file to write; for savedmodel a folder")
    model_format = cast(ModelFormat | None, to) or _model_format(out)
    if (model_format, precision) == ("openvino", "int8"):
        from detector.pipeline.int8_export import export_int8

        written = export_int8(source, out, calibrate=calibrate, overwrite=overwrite, on_note=note_printer(False))
    elif calibrate:
        raise SettingsError(f"{source}: --calibrate is for --to openvino --precision int8")
    else:
        from detector.engines.compiling import export

        written = export(source, out, to=model_format, precision=precision, overwrite=overwrite)
    print(f"Wrote {' and '.join(map(str, reversed(written)))} ({model_format})")


def _check_format(source: Path, to: str | None, kind: object, what: str) -> None:
    if to is not None and to not in get_args(kind):
        verb = "are" if what.endswith("s") else "is"
        raise SettingsError(
            f"{source}: {what} {verb} not exported to {to}; expected one of {', '.join(get_args(kind))}"
        )


def _log_format(out: Path | None, kind: object = LogFormat) -> LogFormat:
    """The format of `kind` that the output's name stands for; csv where there is none."""
    if out is None or out == Path("-"):
        return "csv"
    for log_format, ending in LOG_ENDINGS.items():
        if out.name.endswith(ending):
            return log_format
    formats = LOG_SUFFIXES.get(out.suffix.lower(), ())
    if len(formats) != 1:
        choices = [one for one in formats or get_args(kind) if one in get_args(kind)]
        raise SettingsError(f"{out}: the name does not say which format; add --to with one of {', '.join(choices)}")
    return formats[0]


def _model_format(out: Path) -> ModelFormat:
    if not out.suffix:
        return "savedmodel"
    found = MODEL_SUFFIXES.get(out.suffix.lower())
    if found is None:
        raise SettingsError(
            f"{out}: the name does not say which format; expected .tflite, .onnx, .xml, or a folder's name; or add --to"
        )
    return found
