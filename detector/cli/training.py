"""The verbs train, anchors and evaluate."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from detector.cli.console import note_printer
from detector.cli.console import progress as progress_bar
from detector.cli.options import Quiet, with_options
from detector.errors import SettingsError
from detector.evaluation.settings import EvaluationSettings
from detector.images.modes import Resize
from detector.training.reporting import SilentBar
from detector.training.settings import TrainSettings

if TYPE_CHECKING:
    from convert.cfg import Cfg
    from detector.training.checkpoints import RunSource

Data = Annotated[Path, typer.Argument(metavar="DATA", help="labelled pictures: see yolo3 dataset --help for the forms")]
Valid = Annotated[Path | None, typer.Option(help="with COCO's form: the .json of the validation pictures")]
Pictures = Annotated[Path | None, typer.Option(help="the folder of the pictures, where the form names none")]


class TrainingBar(SilentBar):
    """The command's progress, with the figures of a training where it is a bar of tqdm's."""

    def __init__(self, things: Iterable[Any], *, quiet: bool, **options: Any) -> None:
        super().__init__(progress_bar(things, quiet=quiet, **options))

    def set_postfix(self, *, refresh: bool | None = True, **figures: Any) -> None:
        """Show figures beside the bar."""
        from tqdm import tqdm

        if isinstance(self.things, tqdm):
            self.things.set_postfix(refresh=refresh, **figures)


def register(app: typer.Typer) -> None:
    """Add the verbs to the command."""
    app.command("train")(with_options(TrainSettings)(train_verb))
    app.command("anchors")(anchors_verb)
    app.command("evaluate")(with_options(EvaluationSettings)(evaluate_verb))


def train_verb(
    context: typer.Context,
    settings: TrainSettings,
    data: Annotated[
        Path | None,
        typer.Argument(
            metavar="[DATA]", help="labelled pictures: see yolo3 dataset --help for the forms; not needed with --resume"
        ),
    ] = None,
    cfg: Annotated[Path | None, typer.Option(help="the network's Darknet .cfg; default: that of --start")] = None,
    out: Annotated[Path, typer.Option(help="folder for models, history and the state to resume from")] = Path(
        "runs/train"
    ),
    start: Annotated[
        Path | None,
        typer.Option(help="initial weights: an .h5, or Darknet weights of the whole network or its first layers"),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="continue the training in --out; its options are remembered")
    ] = False,
    valid: Valid = None,
    pictures: Pictures = None,
    tensorboard: Annotated[
        Path | None, typer.Option(metavar="DIR", help="folder for the figures of each epoch, for TensorBoard")
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Train a network on labelled pictures."""
    from detector.datasets.dataset import read_dataset
    from detector.evaluation.plots import check_matplotlib
    from detector.training.checkpoints import RunSource
    from detector.training.initial_weights import read_cfg_for
    from detector.training.reporting import Reporting
    from detector.training.tensorboard import EventWriter
    from detector.training.trainer import train

    check_matplotlib()
    on_note = note_printer(quiet)
    bar = functools.partial(TrainingBar, quiet=quiet)
    names: tuple[str, ...] = ()
    settings = _absolute(settings)
    paths = _named(data=data, valid=valid, pictures=pictures, tensorboard=tensorboard)
    if resume:
        chosen, source, settings = _resumed(context, out, settings, cfg)
        source = replace(source, **paths)
    else:
        if data is None:
            raise SettingsError("no DATA to train on; name a .data file or COCO's .json")
        chosen, names = read_cfg_for(cfg, start)
        source = RunSource(cfg_path=chosen.path, **paths)
    dataset = read_dataset(
        source.data,
        valid=source.valid or None,
        pictures=source.pictures or None,
        names=names or source.names,
        progress=functools.partial(bar, desc="checking", unit="picture"),
    )
    source = replace(source, names=dataset.names)
    for note in (str(dataset), *dataset.notes):
        on_note(note)
    if cfg is None and not resume:
        chosen = _with_classes(chosen, dataset.names, on_note)
    reporting = Reporting(on_note, bar)
    if source.tensorboard:
        reporting = replace(reporting, on_epoch=EventWriter(Path(source.tensorboard), on_note).write)
    outcome = train(chosen, dataset, out, settings, start=start, resume=resume, source=source, reporting=reporting)
    print(f"Best AP {outcome.best_ap:.3f} on {len(dataset.valid)} pictures\nWrote {outcome.model}")


def anchors_verb(
    context: typer.Context,
    data: Data,
    cfg: Annotated[
        Path | None, typer.Option(help="the network they are for: gives --count, --size and --resize, unless named")
    ] = None,
    count: Annotated[int, typer.Option(min=1, max=100, help="number of anchors")] = 9,
    size: Annotated[str, typer.Option(help="network input in pixels, 416 or 608x352")] = "416",
    resize: Annotated[Resize, typer.Option(help="how pictures are fitted into the network's input")] = "letterbox",
    pictures: Pictures = None,
    seed: Annotated[int, typer.Option(help="of the random start of k-means")] = 0,
    quiet: Quiet = False,
) -> None:
    """Find anchors that fit the boxes of labelled pictures."""
    from convert.cfg import read_cfg
    from detector.datasets.dataset import read_dataset
    from detector.images.size import parse_size
    from detector.training.anchors import AnchorRequest, box_sizes, find_anchors

    width, height = parse_size(size)
    request = AnchorRequest(count, width, height, resize)
    if cfg is not None:
        own = AnchorRequest.of(read_cfg(cfg))
        named = {"count": {"count"}, "size": {"width", "height"}, "resize": {"resize"}}
        kept = set().union(*(parts for option, parts in named.items() if _is_given(context, option)))
        request = replace(own, **{part: getattr(request, part) for part in kept})
    progress = functools.partial(progress_bar, quiet=quiet, desc="checking", unit="picture")
    dataset = read_dataset(data, pictures=pictures, progress=progress)
    sizes = box_sizes(dataset.train, width=request.width, height=request.height, resize=request.resize)
    found = find_anchors(sizes, request.count, seed=seed)
    print(f"num={request.count}\n{found.as_cfg()}")
    note_printer(quiet)(
        f"mean IoU of {len(sizes)} boxes with the nearest anchor: {found.mean_iou:.3f}, for an input of "
        f"{request.width}x{request.height}, {request.resize}"
    )


def evaluate_verb(
    data: Data,
    settings: EvaluationSettings,
    model: Annotated[list[Path], typer.Option(help="a model made by yolo3; give several to compare them")],
    out: Annotated[Path | None, typer.Option(help="folder for plots and the worst pictures beside their truth")] = None,
    json: Annotated[str | None, typer.Option(help="file for the figures; - for standard output")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="replace an existing --json file")] = False,
    pictures: Pictures = None,
    quiet: Quiet = False,
) -> None:
    """Measure models on labelled pictures: COCO's average precision, precision and recall."""
    import json as json_text

    from convert.files import check_output, write_whole
    from convert.model_file import read_description
    from detector.datasets.dataset import read_dataset
    from detector.evaluation.report import evaluate_models, table

    inputs = [data, *model]
    if json and json != "-":
        check_output(Path(json), overwrite=overwrite, inputs=inputs)
    names = read_description(model[0]).names
    bar = functools.partial(progress_bar, quiet=quiet, unit="picture")
    on_note = note_printer(quiet)
    dataset = read_dataset(data, pictures=pictures, names=names, progress=functools.partial(bar, desc="checking"))
    for note in dataset.notes:
        on_note(note)
    report = evaluate_models(dataset, model, settings, out=out, progress=functools.partial(bar, desc="evaluating"))
    content = json_text.dumps(report.as_json(), ensure_ascii=False, indent=1)
    if json == "-":
        print(content)
        return
    if json:
        write_whole(Path(json), (content + "\n").encode("utf-8", "surrogateescape"), inputs=inputs)
    print(f"{len(dataset.valid)} pictures\n{table(report)}")
    for path in report.files:
        on_note(f"wrote {path}")


def _resumed(
    context: typer.Context, out: Path, settings: TrainSettings, cfg: Path | None
) -> tuple[Cfg, RunSource, TrainSettings]:
    """What the training in `out` was started with; options that are given again replace its own."""
    from convert.cfg import parse_cfg, read_cfg
    from detector.training.checkpoints import read_identity

    identity = read_identity(out)
    given = {item.name: getattr(settings, item.name) for item in fields(settings) if _is_given(context, item.name)}
    chosen = read_cfg(cfg) if cfg else parse_cfg(identity.cfg_text, identity.source.cfg_path)
    return chosen, identity.source, replace(identity.settings, **given)


def _is_given(context: typer.Context, name: str) -> bool:
    """Whether an option stands on the command line."""
    source = context.get_parameter_source(name)
    return source is not None and source.name != "DEFAULT"


def _named(**paths: Path | None) -> dict[str, Any]:
    """Those of the paths that are given, as absolute ones: a training may be resumed from another folder."""
    return {name: str(path.absolute()) for name, path in paths.items() if path is not None}


def _absolute(settings: TrainSettings) -> TrainSettings:
    """The settings with the absolute path of a file of class weights: a training may be resumed from another folder."""
    choice = settings.class_weights
    return settings if choice in ("auto", "none", "") else replace(settings, class_weights=str(Path(choice).absolute()))


def _with_classes(cfg: Cfg, names: tuple[str, ...], on_note: Callable[[str], None]) -> Cfg:
    from detector.training.initial_weights import with_classes

    changed = with_classes(cfg, len(names))
    if changed.text != cfg.text:
        on_note(f"the heads are changed to {len(names)} classes")
    return changed
