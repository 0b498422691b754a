"""The verb `image`."""

from __future__ import annotations

import contextlib
import functools
import sys
from pathlib import Path
from typing import IO, Annotated

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
    json: Annotated[str | None, typer.Option(help="file for one JSON object per picture; - for stdout")] = None,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> None:
    """Find objects in pictures."""
    from detector.detector import Detector
    from detector.images.finding import find_pictures
    from detector.images.reading import read_picture
    from detector.pipeline.annotate_images import Copies, json_file, run_batch

    sources = find_pictures(pictures)
    copies = Copies.plan(sources, out, overwrite=overwrite) if out else None
    lines: contextlib.AbstractContextManager[IO[str] | None] = contextlib.nullcontext()
    if json == "-":
        lines = contextlib.nullcontext(sys.stdout)
    elif json:
        written = copies.paths.values() if copies else ()
        lines = json_file(Path(json), overwrite=overwrite, inputs=[*sources, model, *written])
    with lines as json_lines:
        opened = functools.cache(lambda: Detector.open(model, settings, on_note=console.note_printer(quiet)))
        if len(sources) > 1:  # a single picture is looked at before the network
            opened()
        failed = run_batch(
            sources,
            lambda picture: opened().detect(picture),
            read=functools.partial(read_picture, as_darknet=settings.interpolation == "darknet"),
            say=console.ignore if json == "-" else console.say,
            complain=console.complain,
            copies=copies,
            json_lines=json_lines,
            progress=functools.partial(console.progress, quiet=quiet or len(sources) == 1, unit="picture"),
        )
    if failed:
        # One picture that is no picture is a wrong command; among several it is work partly done.
        raise typer.Exit(INPUT_WRONG if len(sources) == 1 else WORK_FAILED)
