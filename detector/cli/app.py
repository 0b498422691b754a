"""The command `yolo3`: one thin function per verb, registered here.

Nothing heavy is imported by these modules; each verb imports what it needs, so that `yolo3 --help` answers at once.
"""

from __future__ import annotations

from typing import Annotated

import typer

from detector.cli import datasets, export, images, logs, networks, recognition, serve, tracking, training, video

DISTRIBUTION = "yolo3-keras"

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
    from importlib.metadata import PackageNotFoundError, version

    try:
        own = version(DISTRIBUTION)
    except PackageNotFoundError:  # run from a checkout that was not installed
        own = "(not installed)"
    print(f"yolo3 {own}, Python {platform.python_version()}, Keras {version('keras')}, {platform.platform(terse=True)}")
    raise typer.Exit


@app.callback()
def yolo3(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Convert Darknet networks to Keras, and detect objects in pictures, videos and live cameras."""


for verbs in (networks, images, video, recognition, export, logs, tracking, training, datasets, serve):
    verbs.register(app)
