"""Serve metrics to Prometheus at /metrics, in a thread."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

from detector.errors import SettingsError

_ADDRESS = re.compile(r"(?:(.+):)?(\d{1,5})", re.ASCII)
_TIMEOUT_SECONDS = 10


def parse_address(text: str) -> tuple[str, int]:
    """Parse `9100` or `0.0.0.0:9100`; this machine only, unless a host is named. Raise `SettingsError`."""
    match = _ADDRESS.fullmatch(text.strip())
    if match is None or int(match[2]) > 65535:
        raise SettingsError(f"metrics {text!r} is not an address; expected a port such as 9100, or HOST:PORT")
    return match[1] or "127.0.0.1", int(match[2])


@contextmanager
def metrics_server(host: str, port: int, text: Callable[[], str]) -> Iterator[int]:
    """Answer with `text` while the block runs; yield the port, which is a free one for 0. Raise `SettingsError`."""

    class Handler(BaseHTTPRequestHandler):
        timeout = _TIMEOUT_SECONDS

        def do_GET(self) -> None:
            found = self.path.partition("?")[0] == "/metrics"
            body = text().encode() if found else b"metrics are at /metrics\n"
            self.send_response(200 if found else 404)
            self.send_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name of the overridden argument
            """Keep standard error for errors."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: object, client_address: object) -> None:
            """Ignore clients that disconnect."""

    try:
        server = Server((host, port), Handler)
    except OSError as error:
        raise SettingsError(
            f"metrics {host}:{port}: the port cannot be opened: {error.strerror or error}; choose another one"
        ) from None
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, name="metrics", daemon=True)
    thread.start()
    try:
        yield int(server.server_address[1])
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
