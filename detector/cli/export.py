"""The verb `export`: a model or a frame log in the format of another tool."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal, cast, get_args

import typer

from detector.cli.options import Overwrite

ModelFormat = Literal["litert", "onnx", "openvino", "savedmodel"]
LogFormat = Literal["csv", "coco", "mot", "yolo", "darknet", "labelstudio", "parquet"]
Format = Literal[ModelFormat, LogFormat]

LOG_ENDINGS: dict[LogFormat, str] = {
    "csv": ".csv",
    "coco": ".coco.json",
    "mot": ".mot.txt",
    "yolo": "-labels",
    "darknet": ".darknet.json",
    "labelstudio": ".labelstudio.json",
    "parquet": ".parquet",
}
"""What a log's name ends with once it is exported."""


MODEL_SUFFIXES: dict[str, ModelFormat] = {".tflite": "litert", ".onnx": "onnx", ".xml": "openvino"}

LOG_SUFFIXES: dict[str, tuple[LogFormat, ...]] = {
    ".csv": ("csv",),
    ".parquet": ("parquet",),
    ".json": ("coco", "darknet", "labelstudio"),
    ".txt": ("mot",),
    "": ("yolo",),
}
"""The formats that a file of a name's suffix may have; no suffix is a folder."""


def register(app: typer.Typer) -> None:
    """Add the verb to the command."""
    app.command("export")(export_verb)


def export_verb(
    source: Annotated[Path, typer.Argument(metavar="MODEL.h5|LOG.jsonl", help="a model, or a frame log")],
    out: Annotated[
        Path | None,
        typer.Argument(metavar="[OUT]", help="file to write, or folder"),
    ] = None,
    to: Annotated[Format | None, typer.Option(help="the format; default: by the name of OUT, csv without one")] = None,
    precision: Annotated[
        Literal["float32", "float16", "int8"],
        typer.Option(help="of a model's weights; lower is smaller"),
    ] = "float32",
    with_confidence: Annotated[
        bool,
        typer.Option("--with-confidence", help="add the confidence to each line of yolo labels"),
    ] = False,
    overwrite: Overwrite = False,
) -> None:
    """Export a model or a frame log to the format of another tool."""
    from detector.errors import SettingsError

    a_log = source.suffix != ".h5"
    formats = get_args(LogFormat if a_log else ModelFormat)
    if to is not None and to not in formats:
        kind = "a frame log" if a_log else "a model"
        raise SettingsError(f"{source}: {kind} is not exported to {to}; expected one of {', '.join(formats)}")
    if a_log:
        from detector.logs.exports import export_log

        log_format = cast(LogFormat | None, to) or _log_format(out)
        if out == Path("-"):
            export_log(source, log_format, sys.stdout, with_confidence=with_confidence)
            return
        target = out or source.with_name(source.stem + LOG_ENDINGS[log_format])
        boxes = export_log(source, log_format, target, overwrite=overwrite, with_confidence=with_confidence)
        print(f"Wrote {boxes} boxes to {target} ({log_format})")
        return
    from detector.engines.compiling import export

    if out is None:
        raise SettingsError(f"{source}: name the file to write; for savedmodel a folder")
    model_format = cast(ModelFormat | None, to) or _model_format(out)
    written = export(source, out, to=model_format, precision=precision, overwrite=overwrite)
    print(f"Wrote {' and '.join(map(str, reversed(written)))} ({model_format})")


def _log_format(out: Path | None) -> LogFormat:
    """The format that the output's name stands for; csv where there is none."""
    from detector.errors import SettingsError

    if out is None or out == Path("-"):
        return "csv"
    for log_format, ending in LOG_ENDINGS.items():
        if out.name.endswith(ending):
            return log_format
    formats = LOG_SUFFIXES.get(out.suffix.lower(), ())
    if len(formats) != 1:
        choices = formats or get_args(LogFormat)
        raise SettingsError(f"{out}: the name does not say which format; add --to with one of {', '.join(choices)}")
    return formats[0]


def _model_format(out: Path) -> ModelFormat:
    from detector.errors import SettingsError

    if not out.suffix:
        return "savedmodel"
    found = MODEL_SUFFIXES.get(out.suffix.lower())
    if found is None:
        raise SettingsError(
            f"{out}: the name does not say which format; expected .tflite, .onnx, .xml, or a folder's name; or add --to"
        )
    return found
