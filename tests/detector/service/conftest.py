"""A service on a free port of this machine, asked over real connections."""

import asyncio
import io
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import uvicorn
from PIL import Image

from detector.service.server import configuration, listen
from detector.service.service import Service
from detector.service.settings import ServiceSettings


class Running:
    """A service that answers, and what it wrote."""

    def __init__(self, service: Service, url: str, access: list[str], notes: list[str]) -> None:
        self.service, self.url, self.access, self.notes = service, url, access, notes
        self.client = httpx.Client(base_url=url, timeout=60, trust_env=False)

    def post(self, path: str, picture: bytes | None = None, **fields: Any) -> httpx.Response:
        """A form with a picture."""
        files = {} if picture is None else {"picture": ("../../etc/passwd", picture)}
        return self.client.post(path, data=fields, files=files)


@contextmanager
def running(settings: ServiceSettings) -> Iterator[Running]:
    access: list[str] = []
    notes: list[str] = []
    service = Service.of(settings, on_note=notes.append)
    socket = listen(settings.host, 0)
    server = uvicorn.Server(configuration(service, on_access=access.append, grace_seconds=5))
    thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[socket])), name="server")
    thread.start()
    try:
        while not server.started and thread.is_alive():
            thread.join(0.01)
        running = Running(service, f"http://127.0.0.1:{socket.getsockname()[1]}", access, notes)
        yield running
        running.client.close()
    finally:
        service.stopping.set()
        server.should_exit = True
        thread.join()
        socket.close()


@pytest.fixture(scope="session")
def models(tmp_path_factory, colour_model, colour_classifier) -> Path:
    """A folder with a detector `colours` and a classifier `hues`."""
    folder = tmp_path_factory.mktemp("models ünd ∞")
    shutil.copy(colour_model, folder / "colours.h5")
    shutil.copy(colour_classifier, folder / "hues.h5")
    return folder


@pytest.fixture
def serve(models, tmp_path) -> Iterator[Callable[..., Running]]:
    """Start a service; the arguments are fields of its settings."""
    opened = []

    def start(**fields: Any) -> Running:
        context = running(ServiceSettings(**{"models": models, "data": tmp_path / "data", **fields}))
        opened.append(context)
        return context.__enter__()

    yield start
    for context in reversed(opened):
        context.__exit__(None, None, None)


@pytest.fixture(scope="module")
def service(models, tmp_path_factory) -> Iterator[Running]:
    """A service with its defaults, shared by the tests of a module."""
    with running(ServiceSettings(models=models, data=tmp_path_factory.mktemp("data"))) as started:
        yield started


@pytest.fixture
def encoded() -> Callable[..., bytes]:
    """A picture as a file."""

    def encode(picture: np.ndarray, kind: str = "PNG") -> bytes:
        file = io.BytesIO()
        Image.fromarray(picture).save(file, kind)
        return file.getvalue()

    return encode
