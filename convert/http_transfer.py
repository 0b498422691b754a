"""Download one file over HTTP, resuming a partial one and refusing unexpected content."""

from __future__ import annotations

import re
from collections.abc import Iterator
from http.client import HTTPException, HTTPResponse
from itertools import chain
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from tqdm import tqdm

from convert.published import PublishedFile

CHUNK_BYTES = 1 << 16
PASSING_STATUS = {408, 429, 500, 502, 503, 504}
"""HTTP statuses for which another attempt may succeed."""


class Setback(Exception):  # noqa: N818
    """An address did not deliver the whole file."""


class Refused(Setback):
    """The address does not provide the file."""


class Cut(Setback):
    """The connection was lost; the same address is worth another attempt."""


class Unreachable(Cut):
    """There was no connection."""


class Spoilt(Setback):
    """The partial file is not usable; the download has to start over."""


def receive(file: PublishedFile, address: str, part: Path, begun: int, timeout_seconds: float) -> int:
    """Download into `part` from byte `begun` on, or from 0 if the server cannot resume; return the byte it started at.

    Raise `Setback`, and `OSError` for the disk.
    """
    with _ask(address, begun, timeout_seconds) as response:
        size = start = first_byte(response.status, response.headers.get("Content-Range"), begun)
        offered = file.size_bytes if response.length is None else start + response.length
        chunks = _chunks(response)
        first = next(chunks, b"")
        wrong = wrong_content(response.headers.get_content_type(), b"" if start else first)
        if wrong or offered != file.size_bytes:
            raise Refused(wrong or f"offers {offered:,} bytes, expected {file.size_bytes:,}")
        with (
            part.open("ab" if start else "wb") as sink,
            tqdm(total=file.size_bytes, initial=start, desc=file.name, unit="B", unit_scale=True) as bar,
        ):
            for chunk in chain([first], chunks):
                size += len(chunk)
                if size > file.size_bytes:
                    raise Spoilt(f"sends more than the expected {file.size_bytes:,} bytes")
                sink.write(chunk)
                bar.update(len(chunk))
    if size < file.size_bytes:
        raise Cut(f"connection lost after {size:,} of {file.size_bytes:,} bytes")
    return start


def _ask(address: str, begun: int, timeout_seconds: float) -> HTTPResponse:
    headers = {"User-Agent": "yolo3"} | ({"Range": f"bytes={begun}-"} if begun else {})
    try:
        response: HTTPResponse = urlopen(Request(address, headers=headers), timeout=timeout_seconds)
    except HTTPError as error:
        error.close()
        kind = Spoilt if error.code == 416 else Cut if error.code in PASSING_STATUS else Refused
        raise kind(f"HTTP {error.code} {error.reason}") from error
    except URLError as error:
        raise Unreachable(f"no connection: {words(error.reason)}") from error
    except (OSError, HTTPException) as error:
        raise Cut(f"no answer: {words(error)}") from error
    return response


def _chunks(response: HTTPResponse) -> Iterator[bytes]:
    """Yield the body as it arrives; raise `Cut` for a lost connection, so that every `OSError` comes from the disk."""
    try:
        while chunk := response.read1(CHUNK_BYTES):
            yield chunk
    except (OSError, HTTPException) as error:
        raise Cut(f"connection lost: {words(error)}") from error


def first_byte(status: int, content_range: str | None, begun: int) -> int:
    """Return the offset at which a response starts: 0 (HTTP 200), or `begun` as requested (206)."""
    if status == 200:
        return 0
    if status != 206:
        raise Refused(f"HTTP {status}")
    if not re.match(rf"bytes {begun}-", content_range or ""):
        raise Spoilt(f"sent Content-Range {content_range}, asked for bytes {begun}-")
    return begun


def wrong_content(content_type: str, start: bytes) -> str:
    """Describe what was sent instead of the file, by its type and first bytes; empty if it may be the file."""
    if content_type == "text/html" or start.lstrip().startswith(b"<"):
        return "sent a web page (HTML), not the file"
    if start.startswith(b"version https://git-lfs"):
        return "sent a git-lfs pointer, not the file itself"
    return ""


def words(error: object) -> str:
    """Return an error's message, in the system's words where it has any."""
    return (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
