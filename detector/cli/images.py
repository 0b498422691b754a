"""The verb `image`."""

from __future__ import annotations

import contextlib
import functools
import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated, TextIO

import typer

from detector.cli import console
from detector.cli.exit_codes import INPUT_WRONG, WORK_FAILED
from detector.cli.options import DEFAULT_MODEL, Model, Overwrite, Quiet, with_options
from detector.settings import Settings


def register(app: typer.Typer) -> None:
    """Add the verb to the command."""
    app.command("image")(with_options(Settings)(image_verb))


def image_verb(
    pictures: Annotated[list[str], typer.Argument(metavar="PICTURE...", help="files, folders, globs or URLs")],
    settings: Settings,
    model: Model = DEFAULT_MODEL,
    out: Annotated[Path | None, typer.Option(help="folder for annotated copies")] = None,
    json: Annotated[
        str | None, typer.Option(help="file for one JSON object per picture; - for standard output")
    ] = None,
    save_txt: Annotated[Path | None, typer.Option(help="folder for YOLO label files")] = None,
    crops: Annotated[Path | None, typer.Option(help="folder for a picture of each object")] = None,
    blur: Annotated[
        str | None, typer.Option(help="make these classes unrecognisable in copies and crops, such as person,car")
    ] = None,
    hide_labels: Annotated[bool, typer.Option("--hide-labels", help="draw boxes without labels")] = False,
    hide_confidence: Annotated[bool, typer.Option("--hide-confidence", help="draw labels without numbers")] = False,
    line_width: Annotated[
        int | None, typer.Option(min=1, max=100, help="of boxes, in pixels; default: by the picture's size")
    ] = None,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> None:
    """Detect objects in pictures."""
    from convert.opened_model import OpenedModel
    from detector.detector import Detector
    from detector.errors import SettingsError
    from detector.images.finding import find_pictures
    from detector.images.reading import read_picture
    from detector.pipeline.annotate_images import json_file, run_batch
    from detector.pipeline.picture_outputs import (
        Copies,
        Hidden,
        JsonLines,
        ObjectCrops,
        PictureOutput,
        Style,
        YoloLabels,
    )

    if (blur or hide_labels or hide_confidence or line_width) and not (out or crops):
        raise SettingsError("nothing to draw on: name a folder for copies with --out")
    sources = find_pictures(pictures)
    on_note = console.note_printer(quiet)
    style = Style(not hide_labels, not hide_confidence, line_width)
    copies = Copies.plan(sources, out, overwrite=overwrite, style=style) if out else None
    drawn: list[PictureOutput] = [copies] if copies else []
    if crops:
        drawn.append(ObjectCrops(sources, crops, overwrite=overwrite))
    if blur:
        hidden = replace(settings, classes=blur).class_ids(OpenedModel.read(model).description)
        drawn = [Hidden(frozenset([] if hidden is None else hidden.tolist()), drawn)]
    outputs = [*drawn, YoloLabels.plan(sources, save_txt, overwrite=overwrite)] if save_txt else drawn
    lines: contextlib.AbstractContextManager[TextIO | None] = contextlib.nullcontext()
    if json == "-":
        lines = contextlib.nullcontext(sys.stdout)
    elif json:
        written = copies.paths.values() if copies else ()
        lines = json_file(Path(json), overwrite=overwrite, inputs=[*sources, model, *written])
    with lines as json_lines:
        opened = functools.cache(lambda: Detector.open(model, settings.calibrated_on(sources), on_note=on_note))
        if len(sources) > 1:  # a single picture is read before the network
            opened()
        failed = run_batch(
            sources,
            lambda picture: opened().detect(picture),
            [JsonLines(json_lines, copies, str(model)), *outputs] if json_lines else outputs,
            read=functools.partial(read_picture, as_darknet=settings.interpolation == "darknet", on_note=on_note),
            say=console.ignore if json == "-" else console.say,
            complain=console.complain,
            progress=functools.partial(console.progress, quiet=quiet or len(sources) == 1, unit="picture"),
        )
    if failed:
        # A single bad picture is a wrong command; among several it is work done in part.
        raise typer.Exit(INPUT_WRONG if len(sources) == 1 else WORK_FAILED)
