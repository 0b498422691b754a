"""The verb dataset: check labelled pictures, and write them in another form."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Annotated

import typer

from detector.cli.console import note_printer, say
from detector.cli.console import progress as progress_bar
from detector.cli.options import Overwrite, Quiet
from detector.datasets.forms import Form, Group
from detector.errors import SettingsError


def register(app: typer.Typer) -> None:
    """Add the verb to the command."""
    app.command("dataset")(dataset_verb)


def dataset_verb(
    data: Annotated[
        Path,
        typer.Argument(
            metavar="DATA",
            help="Darknet's .data, Ultralytics' data.yaml, COCO's or Label Studio's .json, CVAT's .xml, a .csv, or a "
            "folder that holds one of them, or images/, labels/ and classes.txt, or is of Pascal VOC's form",
        ),
    ],
    sheet: Annotated[Path | None, typer.Option(help="write a contact sheet of pictures with their boxes")] = None,
    to: Annotated[Form | None, typer.Option(help="write the dataset in this form to --out")] = None,
    out: Annotated[Path | None, typer.Option(help="new folder for the dataset, with copies of its pictures")] = None,
    split: Annotated[
        float | None, typer.Option(help="draw this fraction of the pictures for training, the rest for validation")
    ] = None,
    group: Annotated[
        Group, typer.Option(help="pictures that --split keeps together: of one name up to its number, or of one folder")
    ] = "none",
    seed: Annotated[int, typer.Option(help="of --split and of the choice for --sheet")] = 0,
    clip: Annotated[bool, typer.Option("--clip", help="clip boxes that leave their picture")] = False,
    skip: Annotated[bool, typer.Option("--skip", help="leave out labels and pictures with errors")] = False,
    valid: Annotated[Path | None, typer.Option(help="with COCO's form: the .json of the validation pictures")] = None,
    pictures: Annotated[Path | None, typer.Option(help="the folder of the pictures, where the form names none")] = None,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> None:
    """Check labelled pictures and say what they hold; split, repair or convert them into a new folder."""
    from convert.files import check_output
    from detector.datasets.copying import check_new_folder
    from detector.datasets.dataset import ReadOptions, read_with
    from detector.datasets.splitting import split_dataset
    from detector.datasets.summary import summarise
    from detector.datasets.writing import write_dataset
    from detector.evaluation.label_sheet import write_label_sheet

    if (out is None) != (to is None):
        raise SettingsError("--to and --out belong together: a form, and a new folder for the dataset")
    if out is None and split is not None:
        raise SettingsError("--split writes a new dataset; name its form with --to and its folder with --out")
    if out is not None:
        check_new_folder(out)
    if sheet is not None:
        check_output(sheet, overwrite=overwrite, inputs=[data])
    on_note = note_printer(quiet)
    bar = functools.partial(progress_bar, quiet=quiet, unit="picture")
    options = ReadOptions(valid, pictures, clip=clip, skip=skip)
    dataset = read_with(data, options, progress=functools.partial(bar, desc="checking"))
    for note in dataset.notes:
        on_note(note)
    if split is not None:
        dataset = split_dataset(dataset, split, group=group, seed=seed)
    for line in summarise(dataset, progress=functools.partial(bar, desc="comparing")).lines():
        say(line)
    if sheet is not None:
        write_label_sheet(sheet, dataset, seed=seed)
        say(f"Wrote {sheet}")
    if out is not None and to is not None:
        say(f"Wrote {write_dataset(dataset, out, to, progress=functools.partial(bar, desc='copying'))}")
