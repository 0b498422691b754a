"""What a request carries: its body read as it arrives, counted, into memory or into one file."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import ClientDisconnect, Request

from detector.service.request_errors import RequestError, busy, too_large

Grow = Callable[[int], None]
"""Called with a body's size so far; raises `RequestError` when there is no room for it."""

_SMALL_BYTES = 1 << 20
"""Bodies up to here are let in by the number of connections alone."""

_MOST_PARTS = 32
_LONGEST_FIELD = 1 << 16
_LONGEST_HEADERS = 8192


class Memory:
    """Bytes of uploads that may be in memory at one time, shared by all requests."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.taken = 0

    @contextmanager
    def share(self) -> Iterator[Grow]:
        """The room that one request takes, until the block ends."""
        mine = 0

        def grow(size: int) -> None:
            nonlocal mine
            if size <= max(_SMALL_BYTES, mine):
                return
            wanted = size - mine
            if self.taken + wanted > self.limit:
                raise busy("too many large uploads are arriving at once", after_seconds=5)
            mine += wanted
            self.taken += wanted

        try:
            yield grow
        finally:
            self.taken -= mine


@dataclass
class Form:
    """The parts of a body."""

    fields: dict[str, str] = field(default_factory=dict)
    file: bytes | None = None
    """The one file in it; None where there is none, or where it went elsewhere."""


async def _chunks(request: Request, limit: int) -> AsyncIterator[bytes]:
    """A request's body as it arrives. Raises `RequestError` where it is larger than `limit` bytes."""
    announced = request.headers.get("content-length", "0")
    if announced.isdecimal() and int(announced) > limit:
        raise _over(limit)
    total = 0
    async for chunk in request.stream():
        total += len(chunk)
        if total > limit:
            raise _over(limit)
        yield chunk


@asynccontextmanager
async def _arriving(seconds: float) -> AsyncIterator[None]:
    """Raise `RequestError` where the body takes longer than that, or breaks off."""
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError:
        raise RequestError(
            408, f"the body did not arrive within {seconds:g} s", headers={"Connection": "close"}, kind="too_slow"
        ) from None
    except ClientDisconnect:
        raise RequestError(400, "the connection was closed before the body was complete", kind="incomplete") from None


async def read_body(request: Request, grow: Grow, *, limit: int, seconds: float) -> bytes:
    """A whole body in memory. Raises `RequestError`."""
    body = bytearray()
    async with _arriving(seconds):
        async for chunk in _chunks(request, limit):
            grow(len(body) + len(chunk))
            body += chunk
    return bytes(body)


def is_multipart(request: Request) -> bool:
    """Whether a request carries a form with parts."""
    return content_type(request) == "multipart/form-data"


def content_type(request: Request) -> str:
    """The media type of a request's body, in lower case, without parameters."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


class FormReader:
    """Takes a multipart body chunk by chunk; the bytes of its file go to `on_file`.

    What the client calls the file is not looked at. Raises `RequestError` for a body that is no such form.
    """

    def __init__(self, header: str, *, file_field: str, limit: int, on_file: Callable[[bytes], object]) -> None:
        """`limit` is the most bytes that the file may have."""
        _, options = parse_options_header(header)
        boundary = options.get(b"boundary")
        if not boundary:
            raise RequestError(400, "the multipart body names no boundary", kind="malformed")
        self.fields: dict[str, str] = {}
        self.has_file = False
        self._file_field = file_field
        self._on_file = on_file
        self._limit, self._file_bytes = limit, 0
        self._parts = 0
        self._ended = False
        self._header_name, self._header_value, self._header_bytes = bytearray(), bytearray(), 0
        self._headers: dict[bytes, bytes] = {}
        self._name = ""
        self._is_file = False
        self._value = bytearray()
        callbacks: dict[str, Any] = {
            "on_part_begin": self._begin,
            "on_header_field": lambda data, start, end: self._header(self._header_name, data[start:end]),
            "on_header_value": lambda data, start, end: self._header(self._header_value, data[start:end]),
            "on_header_end": self._end_header,
            "on_headers_finished": self._end_headers,
            "on_part_data": self._data,
            "on_part_end": self._end,
            "on_end": self._finish,
        }
        try:
            self._parser = MultipartParser(boundary, callbacks)  # type: ignore[arg-type]
        except FormParserError as error:
            raise _malformed(error) from None

    def write(self, chunk: bytes) -> None:
        """Take the next bytes of the body."""
        try:
            self._parser.write(chunk)
        except FormParserError as error:
            raise _malformed(error) from None

    def close(self) -> None:
        """Raise `RequestError` unless the body was complete."""
        if not self._ended:
            raise RequestError(400, "the multipart body ends before its last boundary", kind="malformed")

    def _begin(self) -> None:
        self._parts += 1
        if self._parts > _MOST_PARTS:
            raise RequestError(400, f"the form has more than {_MOST_PARTS} parts", kind="malformed")
        self._headers, self._header_bytes = {}, 0
        self._value = bytearray()

    def _header(self, into: bytearray, data: bytes) -> None:
        self._header_bytes += len(data)
        if self._header_bytes > _LONGEST_HEADERS:
            raise RequestError(400, "a part of the form has headers that are too long", kind="malformed")
        into += data

    def _end_header(self) -> None:
        self._headers[bytes(self._header_name).lower()] = bytes(self._header_value)
        self._header_name, self._header_value = bytearray(), bytearray()

    def _end_headers(self) -> None:
        _, options = parse_options_header(self._headers.get(b"content-disposition", b""))
        self._name = options.get(b"name", b"").decode("utf-8", "replace")
        self._is_file = self._name == self._file_field
        if self._is_file and self.has_file:
            raise RequestError(400, f"the form has more than one part named {self._file_field!r}", kind="malformed")
        self.has_file |= self._is_file

    def _data(self, data: bytes, start: int, end: int) -> None:
        if self._is_file:
            self._file_bytes += end - start
            if self._file_bytes > self._limit:
                raise _over(self._limit)
            self._on_file(data[start:end])
            return
        if len(self._value) + end - start > _LONGEST_FIELD:
            raise too_large(f"a field of the form is longer than {_LONGEST_FIELD:,} bytes")
        self._value += data[start:end]

    def _end(self) -> None:
        if not self._is_file:
            try:
                self.fields[self._name] = self._value.decode("utf-8")
            except UnicodeDecodeError:
                raise RequestError(400, "a field of the form is not UTF-8", kind="malformed") from None

    def _finish(self) -> None:
        self._ended = True


async def read_form(request: Request, grow: Grow, *, file_field: str, limit: int, seconds: float) -> Form:
    """A multipart form in memory. Raises `RequestError`."""
    file = bytearray()
    reader = FormReader(
        request.headers.get("content-type", ""), file_field=file_field, limit=limit, on_file=file.extend
    )
    received = 0
    async with _arriving(seconds):
        async for chunk in _chunks(request, limit + _LONGEST_FIELD):
            received += len(chunk)
            grow(received)
            reader.write(chunk)
    reader.close()
    return Form(reader.fields, bytes(file) if reader.has_file else None)


async def save_form(
    request: Request, *, file_field: str, limit: int, seconds: float, write: Callable[[bytes], Awaitable[object]]
) -> Form:
    """A multipart form whose file goes to `write` as it arrives. Raises `RequestError`."""
    waiting: list[bytes] = []
    reader = FormReader(
        request.headers.get("content-type", ""), file_field=file_field, limit=limit, on_file=waiting.append
    )
    async with _arriving(seconds):
        async for chunk in _chunks(request, limit + _LONGEST_FIELD):
            reader.write(chunk)
            if waiting:
                await write(b"".join(waiting))
                waiting.clear()
    reader.close()
    if not reader.has_file:
        raise RequestError(422, f"the form has no part named {file_field!r} with the file", kind="invalid")
    return Form(reader.fields)


def _over(limit: int) -> RequestError:
    refusal = too_large(f"the body is larger than {limit:,} bytes, the most that is taken")
    refusal.headers["Connection"] = "close"  # what is still to come is not read
    return refusal


def _malformed(error: Exception) -> RequestError:
    return RequestError(400, f"the multipart body is malformed: {str(error)[:200]}", kind="malformed")
