"""Pictures by address, from public hosts only."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import threading
from typing import Any

from detector.errors import PictureError
from detector.images.addresses import is_url
from detector.images.fetching import fetch_picture
from detector.service.request_errors import RequestError, busy

SECONDS = 10.0
"""For everything: looking up the name, connecting, redirects, receiving."""

MAX_REDIRECTS = 3
_AT_A_TIME = 8
_LONGEST_URL = 4096


class NotPublicError(OSError):
    """An address that is not one of the public internet."""


def is_public(address: str) -> bool:
    """Whether an IPv4 or IPv6 address is one of the public internet, also where it holds an IPv4 address in it."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(found, ipaddress.IPv6Address):
        inner = found.ipv4_mapped or found.sixtofour or (found.teredo and found.teredo[1]) or _translated(found)
        if inner is not None:
            return is_public(str(inner))
    return found.is_global and not found.is_multicast and not found.is_reserved


def connect_public(
    address: tuple[str, int], timeout: Any = None, source_address: Any = None, **options: Any
) -> socket.socket:
    """A connection to a host all of whose addresses are public, made to an address that was checked.

    The name is looked up once. Raises `NotPublicError`.
    """
    host, port = address
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    if not found or not all(is_public(str(place[0])) for *_, place in found):
        raise NotPublicError("the host is not one of the public internet")
    error: OSError | None = None
    for family, kind, protocol, _, place in found:
        opened = socket.socket(family, kind, protocol)
        try:
            if isinstance(timeout, int | float):
                opened.settimeout(timeout)
            opened.connect(place)
        except OSError as failed:
            error = failed
            opened.close()
        else:
            return opened
    raise error or NotPublicError("the host has no address")


_slots = threading.BoundedSemaphore(_AT_A_TIME)


async def fetch_public(url: str, *, max_bytes: int) -> bytes:
    """A picture's bytes from a public http(s) address. Raises `PictureError`, `RequestError` for other addresses."""
    if not is_url(url) or len(url) > _LONGEST_URL:
        raise RequestError(422, "url is not an address; expected http:// or https://", kind="invalid")
    if not _slots.acquire(blocking=False):
        raise busy("too many pictures are being fetched")
    try:
        return await asyncio.to_thread(
            fetch_picture,
            url,
            timeout_seconds=SECONDS,
            max_bytes=max_bytes,
            max_redirects=MAX_REDIRECTS,
            connect=connect_public,
        )
    except PictureError as error:
        if isinstance(getattr(error.__cause__, "reason", None), NotPublicError):
            raise RequestError(403, "pictures are fetched from public hosts only", kind="not_public") from None
        raise
    finally:
        _slots.release()


def _translated(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """The IPv4 address in one of NAT64 (64:ff9b::/96) or in an IPv4-compatible one (::/96)."""
    value = int(address)
    if value >> 32 in (0x0064FF9B << 64, 0) and value > 1:
        return ipaddress.IPv4Address(value & 0xFFFFFFFF)
    return None
