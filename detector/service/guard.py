"""Around every request: who may ask, which headers an answer has, a line of the access log, what is counted."""

from __future__ import annotations

import asyncio
import json
import secrets
import traceback
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from hmac import compare_digest
from http.cookies import CookieError, SimpleCookie
from time import monotonic
from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from detector.pipeline.metrics import Metrics
from detector.service.request_errors import RequestError
from detector.service.settings import ServiceSettings

COOKIE = "yolo3_session"
"""Holds a random word that stands for the token, for what a browser fetches without headers: videos, cameras."""

OPEN_TO_ALL = ("/healthz", "/readyz", "/v2/health/live", "/v2/health/ready", "/v1/session")
"""What is answered without a token, beside the page's own files."""

_MOST_SESSIONS = 1000
_DRAINED_BYTES = 64 << 20
_DRAIN_SECONDS = 2.0

_SECURITY = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
        "media-src 'self' blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}


class Guard:
    """ASGI middleware: checks before a request is read, headers and a line of the log after it."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        settings: ServiceSettings,
        metrics: Metrics,
        on_access: Callable[[str], object],
        on_note: Callable[[str], object],
    ) -> None:
        self._app = app
        self._settings = settings
        self._hosts = settings.hosts
        self._metrics = metrics
        self._on_access = on_access
        self._on_note = on_note
        self._sessions: dict[str, None] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun = monotonic()
        number = secrets.token_hex(8)
        answer = {"status": 0, "bytes": 0}
        _under(scope, self._settings.root_path)
        scope["request_id"] = number
        scope["guard"] = self

        body = _Body(scope, receive)

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                if message["status"] >= 400:
                    await body.drain()
                answer["status"] = message["status"]
                headers = MutableHeaders(scope=message)
                for name, value in _SECURITY.items():
                    headers[name] = value
                headers["X-Request-ID"] = number
                headers.setdefault("Cache-Control", "no-store")
            elif message["type"] == "http.response.body":
                answer["bytes"] += len(message.get("body", b""))
            await send(message)

        try:
            await self._answer(scope, body.receive, send_guarded)
        except Exception as error:  # noqa: BLE001 - a mistake of the server must not show its inside
            self._on_note(f"request {number}: " + "".join(traceback.format_exception(error)))
            if not answer["status"]:
                words = f"an error of the server; its log has it as request {number}"
                await _refuse(RequestError(500, words, kind="internal"), scope, receive, send_guarded)
        finally:
            self._note(scope, number, answer, monotonic() - begun)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            self._check(scope)
        except RequestError as refusal:
            await _refuse(refusal, scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def begin_session(self, token: str) -> str:
        """A word for the cookie of a browser whose user knows the token. Raises `RequestError`."""
        self._check_token(token)
        session = secrets.token_urlsafe(32)
        while len(self._sessions) >= _MOST_SESSIONS:
            del self._sessions[next(iter(self._sessions))]
        self._sessions[session] = None
        return session

    def _check(self, scope: Scope) -> None:
        """Raise `RequestError` for a request that is not to be answered."""
        headers = Headers(scope=scope)
        if self._hosts is not None and _name_of(headers.get("host", "")) not in self._hosts:
            raise RequestError(
                421, "this server does not answer under that name; start it with --allow-host NAME", kind="wrong_host"
            )
        if scope["method"] not in ("GET", "HEAD", "OPTIONS") and _is_cross_site(headers):
            raise RequestError(403, "requests from pages of other sites are refused", kind="cross_site")
        if self._settings.token is None or _is_open(_path(scope)):
            return
        given = headers.get("authorization", "")
        scheme, _, token = given.partition(" ")
        if scheme.lower() == "bearer":
            self._check_token(token.strip())
        elif self._session_of(headers) not in self._sessions:
            raise _unauthorised()

    def _check_token(self, token: str) -> None:
        expected = self._settings.token or ""
        if not compare_digest(token.encode("utf-8", "surrogateescape"), expected.encode()):
            raise _unauthorised()

    @staticmethod
    def _session_of(headers: Headers) -> str | None:
        try:
            found = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
        except CookieError:
            return None
        return found.value if found is not None else None

    def _note(self, scope: Scope, number: str, answer: dict[str, int], seconds: float) -> None:
        route: Any = scope.get("route")
        pattern = getattr(route, "path", None) or ("static" if answer["status"] < 400 else "none")
        method = scope["method"] if scope["method"] in ("GET", "HEAD", "POST", "PUT", "DELETE") else "other"
        self._metrics.count("yolo3_requests_total", route=pattern, method=method, status=str(answer["status"]))
        self._metrics.observe("yolo3_request_seconds", seconds, route=pattern)
        client = scope.get("client")
        line = {
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "client": client[0] if client else None,
            "method": scope["method"],
            # The pattern, not the path: a job's id is the key to its results.
            "route": pattern,
            "status": answer["status"],
            "bytes": answer["bytes"],
            "milliseconds": round(1000 * seconds, 2),
            "request": number,
        }
        self._on_access(json.dumps(line))


class _Body:
    """What a request sends, of which a refusal takes the rest.

    A connection that is closed with unread bytes in it is reset, and the client never sees why it was refused.
    """

    def __init__(self, scope: Scope, receive: Receive) -> None:
        headers = Headers(scope=scope)
        self._receive = receive
        self._ended = headers.get("content-length", "0") == "0" and "transfer-encoding" not in headers
        self._awaited = "expect" in headers  # nothing is sent before the server asks for it

    async def receive(self) -> Message:
        """The next piece."""
        message = await self._receive()
        self._awaited = False
        self._ended = self._ended or message["type"] != "http.request" or not message.get("more_body", False)
        return message

    async def drain(self) -> None:
        """Take what is still to come, within limits."""
        left = _DRAINED_BYTES
        with suppress(TimeoutError):
            async with asyncio.timeout(_DRAIN_SECONDS):
                while not (self._ended or self._awaited) and left > 0:
                    left -= len((await self.receive()).get("body", b""))


async def _refuse(refusal: RequestError, scope: Scope, receive: Receive, send: Send) -> None:
    await JSONResponse(refusal.as_json(), refusal.status, refusal.headers)(scope, receive, send)


def _unauthorised() -> RequestError:
    return RequestError(
        401,
        "a token is needed: send it as Authorization: Bearer TOKEN",
        headers={"WWW-Authenticate": "Bearer"},
        kind="unauthorised",
    )


def _under(scope: Scope, root: str) -> None:
    """Tell the routes that a proxy shows them under a path, whether or not the proxy has taken it off."""
    if not root:
        return
    path: str = scope["path"]
    scope["root_path"] = root
    scope["path"] = path if path.startswith(f"{root}/") else root + path


def _path(scope: Scope) -> str:
    path: str = scope["path"]
    root: str = scope.get("root_path", "")
    return path.removeprefix(root) if root and path.startswith(root) else path


def _is_open(path: str) -> bool:
    return path in OPEN_TO_ALL or path in ("/", "/docs") or path.startswith("/static/")


def _name_of(host: str) -> str:
    """The name in a `Host` header, without its port."""
    name, _, port = host.rpartition(":")
    return (name if name and port.isdecimal() else host).lower()


def _is_cross_site(headers: Headers) -> bool:
    """Whether a browser says that a request comes from a page of another site."""
    if headers.get("sec-fetch-site") in ("cross-site", "same-site"):
        return True
    origin = headers.get("origin")
    if origin is None or headers.get("sec-fetch-site") == "same-origin":
        return False
    return urlsplit(origin).netloc.lower() != headers.get("host", "").lower()
