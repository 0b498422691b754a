"""The command `yolo3`: one thin function per verb, registered here.

Nothing heavy is imported by these modules; each verb imports what it needs, so that `yolo3 --help` answers at once.
"""

from __future__ import annotations

from typing import Annotated

import typer

from detector.cli import (
    archive,
    datasets,
    export,
    images,
    logs,
    networks,
    recognition,
    serve,
    tracking,
    training,
    video,
)

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if not wanted:
        return
    import platform
    from importlib.metadata import version

    from convert.version import project_version

    own, python, keras = project_version(), platform.python_version(), version("keras")
    print(f"yolo3 {own}, Python {python}, Keras {keras}, {platform.platform(terse=True)}")
    raise typer.Exit


@app.callback()
def yolo3(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Convert Darknet networks to Keras, and detect objects in pictures, videos and live cameras."""


for verbs in (networks, images, video, recognition, export, logs, tracking, training, datasets, serve, archive):
    verbs.register(app)
