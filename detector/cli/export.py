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


def register(app: typer.Typer) -> None:
    """Add the verb to the command."""
    app.command("export")(export_verb)


def export_verb(
    source: Annotated[Path, typer.Argument(metavar="MODEL.h5|LOG.jsonl", help="a model, or a frame log")],
    out: Annotated[Path | None, typer.Argument(metavar="[OUT]", help="needed for a model; a folder for some")] = None,
    to: Annotated[Format | None, typer.Option(help="the format; for a model litert, for a log csv by default")] = None,
    precision: Annotated[
        Literal["float32", "float16", "int8"], typer.Option(help="of a model's weights; less is smaller, less exact")
    ] = "float32",
    with_confidence: Annotated[
        bool, typer.Option("--with-confidence", help="of yolo labels: a sixth number, which most readers refuse")
    ] = False,
    overwrite: Overwrite = False,
) -> None:
    """Write a model in another runtime's format, or a frame log in another tool's."""
    from detector.errors import SettingsError

    a_log = source.suffix != ".h5"
    formats = get_args(LogFormat if a_log else ModelFormat)
    if to is not None and to not in formats:
        kind = "a frame log" if a_log else "a model"
        raise SettingsError(f"{source}: {kind} is not exported to {to}; expected one of {', '.join(formats)}")
    if a_log:
        from detector.logs.exports import export_log

        log_format = cast(LogFormat, to or "csv")
        if out == Path("-"):
            export_log(source, log_format, sys.stdout, with_confidence=with_confidence)
            return
        target = out or source.with_name(source.stem + LOG_ENDINGS[log_format])
        boxes = export_log(source, log_format, target, overwrite=overwrite, with_confidence=with_confidence)
        print(f"Wrote {boxes} boxes to {target}")
        return
    from detector.engines.compiling import export

    if out is None:
        raise SettingsError(f"{source}: name the file to write; for savedmodel a folder")
    written = export(source, out, to=cast(ModelFormat, to or "litert"), precision=precision, overwrite=overwrite)
    print(f"Wrote {' and '.join(map(str, reversed(written)))}")
