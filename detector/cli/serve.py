"""The verb serve: a page for a person, an API for a program."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Annotated

import typer

_NEEDED = {"fastapi": "fastapi", "uvicorn": "uvicorn", "python_multipart": "python-multipart"}


def register(app: typer.Typer) -> None:
    """Add the verb to the command."""
    app.command("serve")(serve_verb)


def serve_verb(
    models: Annotated[Path, typer.Option(help="folder of the models to serve, .h5 files")] = Path("model_data"),
    host: Annotated[str, typer.Option(help="address to listen at; others than this machine need YOLO3_TOKEN")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(help="port to listen at; 0 takes a free one")] = 8000,
    allow_urls: Annotated[
        bool, typer.Option("--allow-urls", help="fetch pictures that clients give the address of")
    ] = False,
    cameras: Annotated[
        Path | None, typer.Option(metavar="CAMERAS.toml", help="cameras to show; see docs/service.md")
    ] = None,
    data: Annotated[Path, typer.Option(help="folder for video jobs and their results")] = Path("runs/serve"),
    keep_hours: Annotated[float, typer.Option(help="delete results of video jobs after so long")] = 24.0,
    root_path: Annotated[str, typer.Option(metavar="/PATH", help="where a proxy shows the service")] = "",
    allow_host: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="without a token: also answer under this host name")
    ] = None,
    insecure: Annotated[
        bool, typer.Option("--insecure", help="serve everyone who can reach the host, without a token")
    ] = False,
) -> None:
    """Serve a page and an API: objects in pictures, videos and cameras.

    YOLO3_TOKEN in the environment is a secret that clients must send. The access log goes to standard output.
    """
    from detector.errors import SettingsError

    missing = [package for module, package in _NEEDED.items() if importlib.util.find_spec(module) is None]
    if missing:
        raise SettingsError(f"{', '.join(missing)} is not installed; type: pip install -e '.[serve]'")
    from detector.service.server import serve
    from detector.service.settings import ServiceSettings

    serve(
        ServiceSettings(
            models=models,
            host=host,
            port=port,
            allow_urls=allow_urls,
            cameras=cameras,
            data=data,
            keep_hours=keep_hours,
            root_path=root_path,
            token=ServiceSettings.token_of(),
            insecure=insecure,
            allowed_hosts=tuple(allow_host or ()),
        )
    )
