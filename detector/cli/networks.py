"""The verbs for networks themselves: convert, inspect, adopt, download, classes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from detector.cli.console import note_printer
from detector.cli.options import DEFAULT_MODEL, Quiet


def register(app: typer.Typer) -> None:
    """Add the verbs to the command."""
    app.command("convert")(convert_verb)
    app.command("inspect")(inspect_verb)
    app.command("adopt")(adopt_verb)
    app.command("download")(download_verb)
    app.command("classes")(classes_verb)


def convert_verb(
    cfg: Annotated[Path, typer.Argument(metavar="CFG", help="the network's Darknet .cfg, or a MODEL.h5")],
    weights: Annotated[Path, typer.Argument(metavar="WEIGHTS", help="its Darknet .weights, or the OUT.cfg to write")],
    model: Annotated[Path, typer.Argument(metavar="OUT.h5", help="the Keras model to write, or the OUT.weights")],
    names: Annotated[Path | None, typer.Option(help="class names, one per line")] = None,
    resize: Annotated[
        Literal["letterbox", "stretch"] | None,
        typer.Option(help="how pictures were fitted into the input in training; default: as the .cfg says"),
    ] = None,
    batch_norm: Annotated[
        Literal["alexeyab", "pjreddie"],
        typer.Option(help="batch normalisation of AlexeyAB's Darknet and all GPU code, or of pjreddie's CPU code"),
    ] = "alexeyab",
    verify: Annotated[
        bool | None,
        typer.Option(help="compare each layer with a NumPy implementation; default: small networks only"),
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Convert a Darknet network to Keras, or a model back to Darknet.

    Given CFG WEIGHTS OUT.h5, write a Keras model; given MODEL.h5 OUT.cfg OUT.weights, write Darknet files.
    """
    if cfg.suffix == ".h5":
        from convert.export import export_weights

        print(f"Wrote {export_weights(cfg, weights, model)} floats to {model}")
        return
    from convert import convert

    print(
        convert(
            cfg,
            weights,
            model,
            names=names,
            resize=resize,
            batch_norm=batch_norm,
            verify=verify,
            on_note=note_printer(quiet),
        )
    )


def inspect_verb(
    file: Annotated[Path, typer.Argument(help="a .cfg, .weights or .h5 file")],
    weights: Annotated[Path | None, typer.Argument(help="weights, to check whether they fit the .cfg")] = None,
) -> None:
    """Describe a network file, or say what is wrong with it."""
    from convert.inspection import inspect

    print(inspect(file, weights))


def adopt_verb(
    old: Annotated[
        Path, typer.Argument(metavar="OLD", help="a model of an older Keras port of YOLO, or trained further in Keras")
    ],
    model: Annotated[Path, typer.Argument(metavar="OUT.h5", help="the Keras model to write")],
    anchors: Annotated[
        str | None, typer.Option(help="of a port: a file with the anchors, or the anchors themselves: 10,13, 16,30, …")
    ] = None,
    names: Annotated[Path | None, typer.Option(help="of a port: class names, one per line")] = None,
    cfg: Annotated[Path | None, typer.Option(help="of a port's weights without their network: the cfg")] = None,
    like: Annotated[
        Path | None, typer.Option(metavar="ORIGINAL.h5", help="the model of yolo3 that Keras trained further")
    ] = None,
    repair_epsilon: Annotated[
        bool,
        typer.Option("--repair-epsilon", help="use Darknet's batch-norm epsilon; for weights from Darknet"),
    ] = False,
    resize: Annotated[
        Literal["letterbox", "stretch"], typer.Option(help="how pictures were fitted into the input in training")
    ] = "letterbox",
    quiet: Quiet = False,
) -> None:
    """Convert the .h5 of an older Keras port of YOLO, or take back a model that was trained further in Keras.

    Given --like, read .keras, .h5 or weights that Keras saved; given --cfg, the weights that a port's training saved.
    """
    from convert.adoption import adopt
    from convert.fine_tuned import adopt_like
    from convert.port_weights import adopt_weights
    from detector.errors import SettingsError

    on_note = note_printer(quiet)
    if like is not None:
        if anchors or names or cfg or repair_epsilon:
            raise SettingsError("--like says everything about the model; leave out the other options")
        print(adopt_like(old, model, like=like, on_note=on_note))
        return
    if names is None:
        raise SettingsError(
            "--names is missing: a file of the class names; or name the model that Keras trained further with --like"
        )
    about: dict[str, Any] = {"names": names, "repair_epsilon": repair_epsilon, "resize": resize, "on_note": on_note}
    if cfg is not None:
        print(adopt_weights(old, model, cfg=cfg, anchors=anchors, **about))
        return
    if anchors is None:
        raise SettingsError("--anchors is missing: a file such as yolo_anchors.txt, or the anchors themselves")
    print(adopt(old, model, anchors=anchors, **about))


def download_verb(
    network: Annotated[str, typer.Argument(metavar="NAME", help="a published network, such as yolov3-tiny")],
    to: Annotated[Path, typer.Option(metavar="DIR", help="folder for the files")] = DEFAULT_MODEL.parent,
) -> None:
    """Download the Darknet files of a published network."""
    from convert.download import fetch, next_command
    from convert.published import NETWORKS
    from detector.errors import SettingsError

    if network not in NETWORKS:
        raise SettingsError(
            f"{network!r} is not a network that can be downloaded; expected one of {', '.join(NETWORKS)}"
        )
    paths = [fetch(file, to) for file in NETWORKS[network]]
    for path in paths:
        print(path)
    print(f"next: {next_command(network, paths)}")


def classes_verb(
    model: Annotated[Path, typer.Argument(metavar="MODEL.h5", help="a model, made by yolo3 convert")],
    rename: Annotated[
        str | None,
        typer.Option(metavar="CHANGE", help="new names: a file with all of them, or person=pedestrian,2=vehicle"),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="OUT.h5", help="with --rename: write a copy; default: change MODEL.h5")
    ] = None,
) -> None:
    """List the class ids and names of a model, or rename the classes."""
    from convert.model_file import read_description, rename_classes
    from convert.names import renamed
    from convert.text import printable
    from detector.errors import SettingsError

    if out is not None and rename is None:
        raise SettingsError("--out belongs to --rename")
    before = names = read_description(model).names
    if rename is not None:
        names = rename_classes(model, renamed(before, rename), out=out).names
        changed = sum(old != new for old, new in zip(before, names, strict=True))
        print(f"Renamed {changed} of {len(names)} classes in {out or model}")
        return
    for number, name in enumerate(names):
        print(f"{number:4} {printable(name)}")
