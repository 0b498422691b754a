"""The server: uvicorn, its signals, and what it prints."""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import Callable
from contextlib import ExitStack, suppress
from types import FrameType

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

from convert.files import lock_outputs, make_folder
from detector.errors import OutputError
from detector.service.app import create_app
from detector.service.service import Service
from detector.service.settings import ServiceSettings

_GRACE_SECONDS = 30


class _Server(uvicorn.Server):
    """Tells the service at once that it is to stop, so that streams end and requests can be finished."""

    def __init__(self, config: uvicorn.Config, service: Service) -> None:
        super().__init__(config)
        self._service = service

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._service.stopping.set()
        super().handle_exit(sig, frame)


def serve(settings: ServiceSettings) -> None:
    """Serve until Ctrl-C or SIGTERM; requests are finished and video jobs are left to be resumed."""
    make_folder(settings.data)
    with ExitStack() as held:
        try:
            held.enter_context(lock_outputs(settings.data / "jobs"))
        except OutputError:
            raise OutputError(f"{settings.data}: another server keeps its jobs there; pass another --data") from None
        _serve(settings)


def _serve(settings: ServiceSettings) -> None:
    service = Service.of(settings, on_note=_note)
    _ = service.cameras  # what is wrong with the file of cameras is said before anything is served
    listening = listen(settings.host, settings.port)
    host, port = listening.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    server = _Server(configuration(service, on_access=_access), service)
    with suppress(KeyboardInterrupt):  # which uvicorn raises again once everything is closed
        _note(f"yolo3 serves {len(list(service.models))} models at http://{shown}:{port}{settings.root_path}/")
        if settings.token is not None:
            _note("clients must send the token of YOLO3_TOKEN")
        server.run(sockets=[listening])
    _note("stopped")


def configuration(
    service: Service, *, on_access: Callable[[str], object], grace_seconds: int = _GRACE_SECONDS
) -> uvicorn.Config:
    """How uvicorn runs a service; `on_access` gets the lines of the access log."""
    limits = service.settings.limits
    return uvicorn.Config(
        create_app(service, on_access=on_access),
        http=_protocol(limits.header_seconds),
        log_config=None,
        access_log=False,
        server_header=False,
        limit_concurrency=limits.connections,
        timeout_graceful_shutdown=grace_seconds,
        lifespan="on",
    )


def _protocol(header_seconds: float) -> type[H11Protocol]:
    """HTTP/1.1 over connections that are closed when the head of a request takes too long, which uvicorn allows."""

    class Protocol(H11Protocol):
        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self._watch = self.loop.call_later(header_seconds, self._expire, None)

        def on_response_complete(self) -> None:
            answered = self.cycle
            super().on_response_complete()
            self._watch.cancel()
            self._watch = self.loop.call_later(header_seconds, self._expire, answered)

        def _expire(self, before: RequestResponseCycle | None) -> None:
            if self.cycle is before and not self.transport.is_closing():
                self.transport.close()

    return Protocol


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens; raises `OutputError` where another program has the port."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listening = socket.create_server(address[:2], family=family, backlog=2048)
        # asyncio sets this only for sockets that name their protocol; without it, each answer on a kept connection
        # waits 40 ms for the client to acknowledge its head. Accepted connections inherit it.
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return listening
    except OSError as error:
        raise OutputError(
            f"{host}:{port}: cannot be served ({error.strerror or error}); choose another --port or --host"
        ) from None


def _access(line: str) -> None:
    print(line, flush=True)


def _note(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
