"""Fetch images over http and https, within limits of time and size."""

from __future__ import annotations

import base64
import http.client
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from detector.errors import PictureError
from detector.images.addresses import is_url, without_credentials
from detector.images.signatures import PICTURE_SIGNATURE

TIMEOUT_SECONDS = 30.0
MAX_BYTES = 64 << 20

Connect = Callable[..., socket.socket]
"""Opens a connection to (host, port), with the further arguments of `socket.create_connection`."""

_CHUNK_BYTES = 1 << 16
_SIGNATURE_BYTES = 16


def fetch_picture(
    url: str,
    *,
    timeout_seconds: float = TIMEOUT_SECONDS,
    max_bytes: int = MAX_BYTES,
    max_redirects: int = 10,
    connect: Connect | None = None,
) -> bytes:
    """Fetch an image's bytes; `timeout_seconds` limits the whole fetch, from name lookup and redirects to the end.

    A user name and password in the address are sent as Basic authentication, to that host only, and never shown.
    `connect` opens every connection, those of redirects too, in place of `socket.create_connection`; no proxy is used
    then. Raises `PictureError` for every failure: no connection, no such page, not an image, too large, too slow.
    """
    name = without_credentials(url)
    connections = _Connections(connect, max_redirects)
    deadline = time.monotonic() + timeout_seconds
    results: SimpleQueue[bytes | BaseException] = SimpleQueue()

    def work() -> None:
        try:
            results.put(_fetch(url, name, connections, deadline, max_bytes))
        except BaseException as error:  # noqa: BLE001 - raised again by the caller
            results.put(error)

    # A socket's timeout applies to each packet, and name lookup has none, so the deadline is enforced here.
    threading.Thread(target=work, name="fetch", daemon=True).start()
    try:
        result = results.get(timeout=timeout_seconds)
    except Empty:
        raise _too_slow(name) from None
    finally:
        connections.close()
    if isinstance(result, BaseException):
        raise result
    return result


def _fetch(url: str, name: str, connections: _Connections, deadline: float, max_bytes: int) -> bytes:
    try:
        with connections.opener().open(_request(url), timeout=deadline - time.monotonic()) as response:
            return _read(response, name, deadline=deadline, max_bytes=max_bytes)
    except urllib.error.HTTPError as error:
        with error:
            advice = "check the address" if error.code in (404, 410) else "open it in a browser to see why"
            words = " ".join(f"{error.code} {error.reason}".split())
            raise PictureError(f"{name}: the server answered {words}; {advice}") from None
    except (OSError, http.client.HTTPException, ValueError) as error:
        # urllib wraps errors while connecting in URLError, but not those that come later.
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        if isinstance(reason, TimeoutError):
            raise _too_slow(name) from error
        reason = without_credentials(" ".join(str(reason).split())) or type(reason).__name__
        raise PictureError(f"{name}: cannot be fetched ({reason}); check the address and the network") from error


class _Connections:
    """The connections of one fetch, which can be closed from another thread."""

    def __init__(self, connect: Connect | None, max_redirects: int) -> None:
        self._connect = connect
        self._max_redirects = max_redirects
        self._lock = threading.Lock()
        self._open: list[socket.socket] = []
        self._closed = False

    def opener(self) -> urllib.request.OpenerDirector:
        """Return an opener that uses these connections."""
        # Not build_opener: that adds file:, ftp: and data:, and a server may redirect to any of them.
        opener = urllib.request.OpenerDirector()
        most = self._max_redirects

        class Redirects(urllib.request.HTTPRedirectHandler):
            max_redirections = most

        for handler in (
            urllib.request.ProxyHandler(None if self._connect is None else {}),
            _HTTPHandler(self.add, self._connect),
            _HTTPSHandler(self.add, self._connect),
            Redirects(),
            urllib.request.HTTPDefaultErrorHandler(),
            urllib.request.HTTPErrorProcessor(),
            urllib.request.UnknownHandler(),
        ):
            opener.add_handler(handler)
        return opener

    def add(self, connected: socket.socket) -> None:
        """Remember a socket; close it at once if the fetch has already ended."""
        with self._lock:
            self._open.append(connected)
            if self._closed:
                _shut(connected)

    def close(self) -> None:
        """End any transfer that is still running."""
        with self._lock:
            self._closed = True
            for connected in self._open:
                _shut(connected)


def _shut(connected: socket.socket) -> None:
    with suppress(OSError):
        connected.shutdown(socket.SHUT_RDWR)


class _HTTPHandler(urllib.request.HTTPHandler):
    def __init__(self, on_connect: Callable[[socket.socket], None], opening: Connect | None) -> None:
        super().__init__()
        self._on_connect = on_connect
        self._opening = opening

    def http_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        on_connect, opening = self._on_connect, self._opening

        class Connection(http.client.HTTPConnection):
            def connect(self) -> None:
                if opening is not None:
                    self._create_connection = opening  # http.client's own seam
                super().connect()
                on_connect(self.sock)

        return self.do_open(Connection, req)


class _HTTPSHandler(urllib.request.HTTPSHandler):
    def __init__(self, on_connect: Callable[[socket.socket], None], opening: Connect | None) -> None:
        super().__init__()
        self._on_connect = on_connect
        self._opening = opening

    def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        on_connect, opening = self._on_connect, self._opening

        class Connection(http.client.HTTPSConnection):
            def connect(self) -> None:
                if opening is not None:
                    self._create_connection = opening  # http.client's own seam
                super().connect()
                on_connect(self.sock)

        return self.do_open(Connection, req)


def _request(url: str) -> urllib.request.Request:
    if not is_url(url):
        raise ValueError("only http:// and https:// addresses are fetched")
    parts = urlsplit(url)
    if not parts.hostname:
        raise ValueError("the address names no host")
    host = parts.netloc.rpartition("@")[2]
    if not host.isascii():
        host = host.encode("idna").decode()
    path = quote(parts.path, safe="/%:@!$&'()*+,;=~")
    query = quote(parts.query, safe="/%:@!$&'()*+,;=~?")
    request = urllib.request.Request(
        urlunsplit((parts.scheme, host, path, query, "")),
        headers={"User-Agent": "yolo3", "Accept": "image/*,*/*;q=0.5"},
    )
    if parts.username is not None:
        login = f"{unquote(parts.username)}:{unquote(parts.password or '')}".encode()
        # "Unredirected": a redirect to another host must not carry the password there.
        request.add_unredirected_header("Authorization", "Basic " + base64.b64encode(login).decode())
    return request


def _read(response: Any, name: str, *, deadline: float, max_bytes: int) -> bytes:
    """Read an `http.client.HTTPResponse` to its end, within the limits of size and time."""
    announced = response.length
    data = bytearray()
    recognised = False
    while chunk := response.read1(_CHUNK_BYTES):
        data += chunk
        if not recognised and len(data) >= _SIGNATURE_BYTES:
            # Checked by content: some servers send images as text/plain.
            if not PICTURE_SIGNATURE.match(data):
                raise PictureError(
                    f"{name}: the server sent {response.headers.get_content_type()}, not a picture; "
                    f"give the address of the picture itself, not of a page that shows it"
                )
            recognised = True
        if len(data) > max_bytes or (announced or 0) > max_bytes:
            raise PictureError(f"{name}: larger than the limit of {max_bytes:,} bytes; download it and give the file")
        if time.monotonic() > deadline:
            raise _too_slow(name)
    if announced is not None and len(data) < announced:
        raise PictureError(f"{name}: the connection broke off after {len(data):,} of {announced:,} bytes; try again")
    return bytes(data)


def _too_slow(name: str) -> PictureError:
    return PictureError(f"{name}: the server took too long to send it; try again or download the file")
