"""The verbs that make and judge networks: train, anchors, evaluate."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from detector.cli.console import note_printer
from detector.cli.console import progress as progress_bar
from detector.cli.options import Quiet, with_options
from detector.images.modes import Resize
from detector.settings import Settings
from detector.training.settings import TrainSettings

Data = Annotated[Path, typer.Argument(metavar="DATA", help="Darknet's .data file, or COCO's instances .json")]
Valid = Annotated[Path | None, typer.Option(help="with a .json: another one, of the pictures to judge by")]
Pictures = Annotated[Path | None, typer.Option(help="with a .json: the folder of its pictures")]


def register(app: typer.Typer) -> None:
    """Add the verbs to the command."""
    app.command("train")(with_options(TrainSettings)(train_verb))
    app.command("anchors")(anchors_verb)
    app.command("evaluate")(with_options(Settings)(evaluate_verb))


def train_verb(
    data: Data,
    settings: TrainSettings,
    cfg: Annotated[Path | None, typer.Option(help="the network's Darknet .cfg; default is that of --start")] = None,
    out: Annotated[Path, typer.Option(help="folder for models, log and the state to resume from")] = Path("runs/train"),
    start: Annotated[
        Path | None, typer.Option(help="begin with this .h5 or these Darknet weights, whole or their first layers")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="go on with the training in --out")] = False,
    valid: Valid = None,
    pictures: Pictures = None,
    quiet: Quiet = False,
) -> None:
    """Train a network on labelled pictures."""
    from detector.datasets.dataset import read_dataset
    from detector.evaluation.plots import check_matplotlib, plot_history
    from detector.training.begin import read_cfg_for
    from detector.training.history import read_history
    from detector.training.trainer import HISTORY, train

    check_matplotlib()
    on_note = note_printer(quiet)
    bar = functools.partial(progress_bar, quiet=quiet)
    chosen, names = read_cfg_for(cfg, start)
    dataset = read_dataset(
        data,
        valid=valid,
        pictures=pictures,
        names=names,
        progress=functools.partial(bar, desc="checking", unit="picture"),
    )
    for note in (str(dataset), *dataset.notes):
        on_note(note)
    if cfg is None:
        chosen = _recast(chosen, dataset.names, on_note)
    outcome = train(chosen, dataset, out, settings, start=start, resume=resume, on_note=on_note, bar=bar)
    plot_history(out / "log.png", read_history(out / HISTORY, epochs=settings.epochs))
    print(f"Best AP {outcome.best_ap:.3f} on {len(dataset.valid)} pictures\nWrote {outcome.model}")


def anchors_verb(
    data: Data,
    count: Annotated[int, typer.Option(min=1, max=100, help="how many")] = 9,
    size: Annotated[str, typer.Option(help="network input in pixels, 416 or 608x352")] = "416",
    resize: Annotated[Resize, typer.Option(help="how pictures are fitted into the network's input")] = "letterbox",
    pictures: Pictures = None,
    seed: Annotated[int, typer.Option(help="of the search's first guesses")] = 0,
    quiet: Quiet = False,
) -> None:
    """Find anchors that fit the boxes of labelled pictures."""
    from detector.datasets.dataset import read_dataset
    from detector.images.size import parse_size
    from detector.training.anchors import box_sizes, find_anchors

    width, height = parse_size(size)
    progress = functools.partial(progress_bar, quiet=quiet, desc="checking", unit="picture")
    dataset = read_dataset(data, pictures=pictures, progress=progress)
    sizes = box_sizes(dataset.train, width=width, height=height, resize=resize)
    found = find_anchors(sizes, count, seed=seed)
    print(f"num={count}\n{found.as_cfg()}")
    note_printer(quiet)(f"mean IoU of {len(sizes)} boxes with the nearest anchor: {found.mean_iou:.3f}")


def evaluate_verb(
    data: Data,
    settings: Any,
    model: Annotated[list[Path], typer.Option(help="a model made by yolo3; give several to compare them")],
    out: Annotated[Path | None, typer.Option(help="folder for plots and the worst pictures beside their truth")] = None,
    json: Annotated[str | None, typer.Option(help="file for the figures; - for stdout")] = None,
    pictures: Pictures = None,
    quiet: Quiet = False,
) -> None:
    """Measure how well models find what labelled pictures hold: COCO's average precision."""
    import dataclasses
    import json as json_text

    from convert.model_file import read_description
    from detector.datasets.dataset import read_dataset
    from detector.evaluation.average_precision import LOWEST_CONFIDENCE
    from detector.evaluation.report import evaluate_models, table

    if settings.confidence == Settings.confidence:
        # What is right for showing boxes would cut the precision-recall curve short.
        settings = dataclasses.replace(settings, confidence=LOWEST_CONFIDENCE)
    names = read_description(model[0]).names
    dataset = read_dataset(
        data,
        pictures=pictures,
        names=names,
        progress=functools.partial(progress_bar, quiet=quiet, desc="checking", unit="picture"),
    )
    progress = functools.partial(progress_bar, quiet=quiet, desc="judging", unit="picture")
    verdict = evaluate_models(dataset, model, settings, out=out, progress=progress)
    content = json_text.dumps(verdict.as_json(), ensure_ascii=False, indent=1)
    if json == "-":
        print(content)
        return
    if json:
        Path(json).write_text(content + "\n", encoding="utf-8")
    print(f"{len(dataset.valid)} pictures\n{table(verdict.scores)}")
    for path in verdict.files:
        note_printer(quiet)(f"wrote {path}")


def _recast(cfg: Any, names: tuple[str, ...], on_note: Callable[[str], None]) -> Any:
    from detector.training.initial_weights import recast

    changed = recast(cfg, len(names))
    if changed.text != cfg.text:
        on_note(f"the heads are made anew for {len(names)} classes")
    return changed
