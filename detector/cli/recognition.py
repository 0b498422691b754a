"""The verbs `classify` and `explain`."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from detector.cli import console
from detector.cli.exit_codes import WORK_FAILED
from detector.cli.options import DEFAULT_MODEL, Overwrite, Quiet, find_model
from detector.settings import EngineName

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from detector.recognition.classification import Classification
    from detector.recognition.classifier import Classifier


def register(app: typer.Typer) -> None:
    """Add the verbs to the command."""
    app.command("classify")(classify_verb)
    app.command("explain")(explain_verb)


def classify_verb(
    pictures: Annotated[list[str], typer.Argument(metavar="PICTURE...", help="files, folders, globs or URLs")],
    model: Annotated[
        str,
        typer.Option(
            metavar="NAME|M.h5[,…]",
            help="resnet50, vgg16, vgg19, inceptionv3, xception, densenet121, or a Darknet classifier made by yolo3 "
            "convert; several, with commas between, are compared",
        ),
    ] = "resnet50",
    weights: Annotated[
        list[Path] | None,
        typer.Option(help="weights of a named network; default: fetched from Keras on first use. Once for each name"),
    ] = None,
    top: Annotated[int, typer.Option(min=1, help="how many classes to show")] = 5,
    json: Annotated[bool, typer.Option("--json", help="one JSON object per picture on standard output")] = False,
    plot: Annotated[Path | None, typer.Option(help="write a bar graph (.png)")] = None,
    tiles: Annotated[str | None, typer.Option(help="name each tile: columns x rows, such as 2x2")] = None,
    tile_overlap: Annotated[float, typer.Option(help="part of a tile that it shares with its neighbour")] = 0.0,
    engine: Annotated[EngineName, typer.Option(help="the runtime for a Darknet classifier")] = "auto",
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> None:
    """Name whole pictures: the most probable classes, as a bar graph."""
    from convert.files import check_output
    from detector.errors import PictureError
    from detector.images.addresses import without_credentials
    from detector.images.finding import find_pictures
    from detector.images.reading import read_picture
    from detector.recognition.classification import with_average
    from detector.recognition.report import check_plot, table
    from detector.recognition.report import plot as write_plot

    sources = find_pictures(pictures)
    cut = _tile_cutter(tiles, tile_overlap)
    if plot:
        check_plot(plot, len(sources))
        check_output(plot, overwrite=overwrite, inputs=sources)
    # A single picture is read before the networks are opened: opening takes seconds.
    first = read_picture(sources[0]) if len(sources) == 1 else None
    classifiers = _open_classifiers(model, weights or [], engine, console.note_printer(quiet))
    shown: list[tuple[str, dict[str, Classification]]] = []
    failed = 0
    for source in console.progress(sources, quiet=quiet or len(sources) == 1, unit="picture"):
        name = without_credentials(source)
        try:
            picture = read_picture(source) if first is None else first
        except PictureError as error:
            failed += 1
            console.complain(str(error))
            continue
        for part, box in cut(picture):
            by_model = with_average({label: one.classify(part) for label, one in classifiers})
            title = name if box is None else f"{name} ({box[0]}, {box[1]}) ({box[2]}, {box[3]})"
            if json:
                console.say(_json_line(name, picture, box, by_model, top))
            else:
                console.say(f"{title}:")
                for line in table(by_model, top, encoding=sys.stdout.encoding or "ascii"):
                    console.say(f"  {line}")
            if plot:
                shown.append((title, by_model))
    if plot and shown:
        check_plot(plot, len(shown))
        write_plot(plot, shown, top)
        if not json:
            console.say(f"Wrote {plot}")
    if failed:
        raise typer.Exit(WORK_FAILED)


def explain_verb(
    picture: Annotated[str, typer.Argument(metavar="PICTURE", help="a file or URL; with --at, a video")],
    model: Annotated[
        str, typer.Option(metavar="M.h5|NAME", help="a detector or classifier made by yolo3 convert, or resnet50, …")
    ] = str(DEFAULT_MODEL),
    out: Annotated[
        Path | None, typer.Option(help="picture to write; default: NAME-explained.png in this folder")
    ] = None,
    class_: Annotated[str | None, typer.Option("--class", help="explain this class only")] = None,
    top: Annotated[int, typer.Option(min=1, help="how many detections or classes, the best first")] = 3,
    method: Annotated[
        Literal["grad-cam", "d-rise"], typer.Option(help="by gradients, or much slower by hiding parts of the picture")
    ] = "grad-cam",
    masks: Annotated[int, typer.Option(min=1, help="with d-rise: how many times parts are hidden")] = 1000,
    at: Annotated[str | None, typer.Option(metavar="TIME", help="the frame of a video at this time")] = None,
    confidence: Annotated[float, typer.Option(help="leave out boxes with a lower confidence")] = 0.25,
    weights: Annotated[Path | None, typer.Option(help="weights of a named network")] = None,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> None:
    """Show where a network looks: a heat map over the picture for each detection, or for the best classes."""
    from convert.files import check_output
    from detector.detector import Detector
    from detector.images.addresses import without_credentials
    from detector.images.finding import output_name
    from detector.images.reading import write_picture
    from detector.recognition.explanation import explain_classes, explain_detections, stacked
    from detector.settings import Settings

    model = _found(model)
    out = out or Path(f"{Path(output_name(picture)).stem}-explained.png")
    check_output(out, overwrite=overwrite, inputs=[picture, model])
    pixels = _picture_or_frame(picture, at)
    on_note = console.note_printer(quiet)
    bar = functools.partial(console.progress, quiet=quiet or method == "grad-cam", unit="mask")
    if _is_detector(model):
        detector = Detector.open(model, Settings(confidence=confidence, classes=class_), on_note=on_note)
        rows = explain_detections(detector, pixels, top, method=method, masks=masks, progress=bar)
        if not rows:
            console.say(f"Found no boxes in {without_credentials(picture)} to explain; try a lower --confidence")
            return
    else:
        ((_, classifier),) = _open_classifiers(model, [weights] if weights else [], "auto", on_note)
        rows = explain_classes(classifier, pixels, class_, top, method=method, masks=masks, progress=bar)
    for row in rows:
        console.say(row.line)
    write_picture(out, stacked(rows))
    console.say(f"Wrote {out}")


def _picture_or_frame(source: str, at: str | None) -> NDArray[np.uint8]:
    from detector.errors import PictureError, SettingsError
    from detector.images.reading import read_picture
    from detector.video.reading.opening import open_video
    from detector.video.section import Section

    if at is None:
        try:
            return read_picture(source)
        except PictureError as error:
            if "a video, not a picture" in str(error):
                raise SettingsError(f"{source}: a video; pass --at TIME to explain one of its frames") from None
            raise
    with open_video(source, section=Section.of(at, None)) as video:
        for frame in video:
            return frame.picture
    raise SettingsError(f"{source}: has no frame at {at}; choose an earlier time")


def _found(model: str) -> str:
    """The name of a network of `keras.applications`, or the model file that a name means (`find_model`)."""
    from detector.recognition.keras_applications import APPLICATIONS

    return model if model.lower() in APPLICATIONS else str(find_model(Path(model)))


def _is_detector(model: str) -> bool:
    """Whether a model finds objects, as against naming pictures."""
    from convert.model_file import read_description
    from detector.recognition.keras_applications import APPLICATIONS

    if model.lower() in APPLICATIONS or "," in model:
        return False
    return bool(read_description(model).heads)


def _open_classifiers(
    models: str, weights: Sequence[Path], engine: EngineName, on_note: Callable[[str], None]
) -> list[tuple[str, Classifier]]:
    """Each model by the name to show it under, in the order given."""
    from detector.errors import SettingsError
    from detector.recognition.classifier import Classifier
    from detector.recognition.keras_applications import APPLICATIONS

    names = [_found(name.strip()) for name in models.split(",") if name.strip()]
    if not names:
        raise SettingsError("no model is named; expected a network's name or a model file, or several with commas")
    if len(set(names)) < len(names):
        raise SettingsError(f"a model is named twice in {models}; name each once")
    named = [name for name in names if name.lower() in APPLICATIONS]
    if weights and len(weights) != len(named):
        raise SettingsError(
            f"{len(weights)} files of weights for {len(named)} networks of Keras; give --weights once for each, in the "
            "order of --model"
        )
    files = dict(zip(named, weights, strict=False))
    stems = [Path(name).stem for name in names]
    labels = stems if len(set(stems)) == len(stems) else names
    return [
        (label, Classifier.open(name, weights=files.get(name), engine=engine, on_note=on_note))
        for label, name in zip(labels, names, strict=True)
    ]


def _tile_cutter(tiles: str | None, overlap: float) -> Callable[[Any], Iterator[tuple[Any, Sequence[int] | None]]]:
    """A function that gives the parts of a picture to name, each with its place, None for the whole picture."""
    from detector.images.tiles import Tiles

    chosen = None if tiles is None else Tiles.parse(tiles, overlap)

    def cut(picture: Any) -> Iterator[tuple[Any, Sequence[int] | None]]:
        if chosen is None:
            yield picture, None
            return
        height, width = picture.shape[:2]
        for left, top, right, bottom in chosen.views(width, height, input_width=224, input_height=224):
            yield picture[top:bottom, left:right], (left, top, right, bottom)

    return cut


def _json_line(
    source: str, picture: Any, box: Sequence[int] | None, by_model: dict[str, Classification], top: int
) -> str:
    import json

    height, width = picture.shape[:2]
    record: dict[str, Any] = {"source": source, "width": width, "height": height}
    if box is not None:
        record["box"] = list(box)
    record["models"] = {name: one.as_records(top) for name, one in by_model.items()}
    return json.dumps(record, ensure_ascii=not (sys.stdout.encoding or "").lower().startswith("utf"))
