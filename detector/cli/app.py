"""The command `yolo3`: one thin function per verb, registered here.

Nothing heavy is imported by these modules; each verb imports what it needs, so that `yolo3 --help` answers at once.
"""

from __future__ import annotations

from importlib import import_module
from typing import Annotated

import typer

VERBS = {
    "networks": ("convert", "inspect", "adopt", "download", "classes"),
    "images": ("image",),
    "video": ("video", "webcam", "recover"),
    "recognition": ("classify", "explain"),
    "export": ("export",),
    "logs": ("redraw", "frames", "summary"),
    "tracking": ("track", "zones", "events", "clips"),
    "training": ("train", "anchors", "evaluate"),
    "datasets": ("dataset",),
    "serve": ("serve",),
    "archive": ("archive",),
}
"""The verbs of each module of this package, in the order of `yolo3 --help`."""


def build_app(verb: str = "") -> typer.Typer:
    """Return the command. For a `verb`, only the verbs of its module are registered: the others take 50 ms."""
    app = typer.Typer(
        no_args_is_help=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_yolo3)
    for module in [name for name, verbs in VERBS.items() if verb in verbs] or VERBS:
        import_module(f"detector.cli.{module}").register(app)
    return app


def _print_version(wanted: bool) -> None:
    if not wanted:
        return
    import platform
    from importlib.metadata import version

    from convert.version import project_version

    own, python, keras = project_version(), platform.python_version(), version("keras")
    print(f"yolo3 {own}, Python {python}, Keras {keras}, {platform.platform(terse=True)}")
    raise typer.Exit


def _yolo3(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Convert Darknet networks to Keras, and detect objects in pictures, videos and live cameras."""
