"""The verb dataset: check labelled pictures, and write them in another form."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from detector.cli.console import note_printer, say
from detector.cli.console import progress as progress_bar
from detector.cli.options import Overwrite, Quiet
from detector.datasets.forms import Form, Group
from detector.errors import SettingsError

if TYPE_CHECKING:
    from detector.datasets.dataset import ReadOptions


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
    review: Annotated[
        Path | None,
        typer.Option(
            metavar="FOUND",
            help="order the pictures by how much a model's boxes disagree with their labels, or how unsure it is where "
            "there are none: the file of yolo3 image --json, or the log of yolo3 video",
        ),
    ] = None,
    table: Annotated[
        Path | None, typer.Option(help="with --review: write the order as .csv, or with all boxes as .json")
    ] = None,
    confidence: Annotated[
        float, typer.Option(help="with --review: boxes with a lower confidence do not count as detected")
    ] = 0.25,
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
    if review is not None and out is not None:
        raise SettingsError("--review only looks; leave out --to and --out")
    if review is None and table is not None:
        raise SettingsError("--table belongs to --review, which makes the order that it holds")
    if out is not None:
        check_new_folder(out)
    if sheet is not None:
        check_output(sheet, overwrite=overwrite, inputs=[data])
    on_note = note_printer(quiet)
    bar = functools.partial(progress_bar, quiet=quiet, unit="picture")
    options = ReadOptions(valid, pictures, clip=clip, skip=skip)
    if review is not None:
        _review(data, options, ReviewOptions(review, confidence, sheet, table, overwrite), on_note, bar)
        return
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


@dataclass(frozen=True)
class ReviewOptions:
    """What is compared, and what is written."""

    found: Path
    confidence: float
    sheet: Path | None
    table: Path | None
    overwrite: bool


def _review(
    data: Path, read: ReadOptions, options: ReviewOptions, on_note: Callable[[str], None], bar: Callable[..., Any]
) -> None:
    from convert.files import check_output
    from detector.datasets.dataset import has_labels, read_unlabelled, read_with
    from detector.evaluation.predictions import Predictions
    from detector.evaluation.review import check_review_name, review, review_sheet, write_review
    from detector.images.reading import write_picture

    if not 0 <= options.confidence <= 1:
        raise SettingsError(f"confidence {options.confidence} is out of range; expected 0 to 1")
    if options.table is not None:
        check_review_name(options.table)
        check_output(options.table, overwrite=options.overwrite, inputs=[data, options.found])
    found = Predictions(options.found)
    checking = functools.partial(bar, desc="checking")
    labelled = has_labels(data)
    dataset = read_with(data, read, progress=checking) if labelled else read_unlabelled(data, (), progress=checking)
    if not labelled:
        on_note(f"{data}: no labels; the pictures are ordered by how unsure the model is")
    for note in dataset.notes:
        on_note(note)
    reviewed = review(dataset, found, confidence=options.confidence)
    if reviewed.without_boxes:
        on_note(f"{reviewed.without_boxes} pictures are not in {options.found} and are left out")
    for line in reviewed.lines():
        say(line)
    if options.sheet is not None:
        write_picture(options.sheet, review_sheet(reviewed))
        say(f"Wrote {options.sheet}")
    if options.table is not None:
        write_review(options.table, reviewed)
        say(f"Wrote {options.table}")
