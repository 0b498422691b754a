"""Which pictures a user means: files, folders, globs and addresses; and what their results are called."""

from __future__ import annotations

import base64
import glob
import http.client
import os
import re
import time
import urllib.error
import urllib.request
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from detector.errors import PictureError

PICTURE_SUFFIXES = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".webp", ".avif", ".bmp", ".dib", ".gif"),
    *(".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".pnm", ".jp2"),
)
"""Lower case; what a folder or a glob counts as a picture."""

PICTURE_SIGNATURE = re.compile(
    rb"\xff\xd8\xff|\x89PNG|GIF8|RIFF....WEBP|BM|II\*\0|MM\0\*|P[1-6]\s|\0\0\0\x0cjP|....ftypavi[fs]",
    re.DOTALL,
)
"""Matches the first bytes of every kind of picture that is read."""

_KEPT_SUFFIXES = (".jpg", ".jpeg", ".png")
_TIMEOUT_SECONDS = 30.0
_MAX_BYTES = 64 << 20
_CHUNK_BYTES = 1 << 16
_SIGNATURE_BYTES = 16


def find_pictures(arguments: Iterable[str | os.PathLike[str]]) -> list[str]:
    """Turn files, folders, globs (`**` too) and addresses into a list of pictures without duplicates.

    A folder gives its own pictures, not those of folders in it, in natural order (`2.jpg` before `10.jpg`).
    A name that exists is never read as a glob, so `cat[1].jpg` finds itself. A missing file stays in the
    list: `read_picture` reports it, and the rest of a batch goes on. Raises `PictureError` for a folder
    without pictures and a glob without matches.
    """
    found: dict[str, str] = {}
    for argument in arguments:
        for picture in _expand(os.fspath(argument)):
            same = picture if is_url(picture) else os.path.normcase(os.path.abspath(picture))  # noqa: PTH100
            found.setdefault(same, picture)
    return list(found.values())


def is_url(source: str) -> bool:
    """Whether this is an address to fetch, not a file to open."""
    return source[:8].lower().startswith(("http://", "https://"))


def without_password(url: str) -> str:
    """Return the address as it may be shown in a message."""
    return re.sub(r"^(https?://)[^/?#]*@", r"\1", url, flags=re.IGNORECASE)


def output_name(source: str | os.PathLike[str], *, taken: Collection[str] = ()) -> str:
    """Return the file name for a picture's result: `photos/dog.jpg` -> `dog.jpg`, `cat.webp` -> `cat.png`.

    JPEG and PNG keep their suffix; every other kind becomes PNG, which loses nothing. An address gives the
    last part of its path, as JPEG where it has no suffix. A name in `taken` (upper and lower case counting
    as one, as on Windows and macOS) is numbered: `dog-2.jpg`.
    """
    text = os.fspath(source)
    if is_url(text):
        text = unquote(re.sub(r"^\w+://[^/?#]*|[?#].*", "", text, flags=re.DOTALL).rstrip("/"))
        # What a stranger's address may hold must neither leave the folder nor be refused by a file system.
        text = re.sub(r'[\x00-\x1f\x7f<>:"|?*]', "_", text.replace("\\", "/")).rpartition("/")[2].strip(" .")
        path = Path(text[-100:] or "picture")
        if path.suffix.lower() not in PICTURE_SUFFIXES:
            path = path.with_suffix(".jpg")
    else:
        path = Path(Path(text).name or "picture.png")
    if path.suffix.lower() not in _KEPT_SUFFIXES:
        path = path.with_suffix(".png")
    used = {name.casefold() for name in taken}
    name, number = path.name, 2
    while name.casefold() in used:
        name, number = f"{path.stem}-{number}{path.suffix}", number + 1
    return name


def fetch_picture(url: str, *, timeout_seconds: float = _TIMEOUT_SECONDS, max_bytes: int = _MAX_BYTES) -> bytes:
    """Fetch a picture's bytes over http or https; `timeout_seconds` is for the whole of it.

    A user name and password in the address are sent as Basic authentication, to that host only, and never
    shown. Raises `PictureError` for whatever goes wrong: no connection, no such page, no picture, too large.
    """
    name = without_password(url)
    deadline = time.monotonic() + timeout_seconds
    try:
        with _opener().open(_request(url), timeout=timeout_seconds) as response:
            return _read(response, name, deadline=deadline, max_bytes=max_bytes)
    except urllib.error.HTTPError as error:
        with error:
            advice = "check the address" if error.code in (404, 410) else "open it in a browser to see why"
            words = " ".join(f"{error.code} {error.reason}".split())
            raise PictureError(f"{name}: the server answered {words}; {advice}") from None
    except (OSError, http.client.HTTPException, ValueError) as error:
        # urllib wraps what happens while connecting in URLError, and nothing that happens after.
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        if isinstance(reason, TimeoutError):
            raise _too_slow(name) from error
        raise PictureError(f"{name}: cannot be fetched ({reason}); check the address and the network") from error


def _expand(argument: str) -> Sequence[str]:
    if is_url(argument):
        return [argument]
    # os.path answers False where Path's methods raise: folders that may not be entered, names too long.
    if os.path.isdir(argument):  # noqa: PTH112
        try:
            # Hidden names are left out: macOS leaves a "._dog.jpg", no picture, beside each dog.jpg.
            paths = [str(path) for path in Path(argument).iterdir() if not path.name.startswith(".")]
        except OSError as error:
            raise PictureError(f"{argument}: the folder cannot be read ({error.strerror})") from error
        return _pictures_among(paths, f"{argument}: the folder holds no pictures")
    if glob.has_magic(argument) and not os.path.lexists(argument):
        paths = glob.glob(argument, recursive=True)  # noqa: PTH207 - Path.glob takes no absolute patterns
        return _pictures_among(paths, f"{argument}: no file of this name, and no picture matches it as a pattern")
    return [argument]


def _pictures_among(paths: list[str], otherwise: str) -> list[str]:
    pictures = [p for p in paths if Path(p).suffix.lower() in PICTURE_SUFFIXES and Path(p).is_file()]
    if not pictures:
        others = f" (only {len(paths)} other)" if paths else ""
        raise PictureError(f"{otherwise}{others}; pictures end in .jpg, .png, .webp, .bmp, .gif, .tif, …")
    return sorted(pictures, key=_natural)


def _natural(path: str) -> list[tuple[str, int, str]]:
    """Sort key that reads digits as numbers."""
    pieces = re.findall(r"(\D*)(\d*)", path.casefold())
    return [(text, int(digits or 0), digits) for text, digits in pieces]


def _opener() -> urllib.request.OpenerDirector:
    # Not build_opener: that adds file:, ftp: and data:, and a server may redirect to any of them.
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPRedirectHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.UnknownHandler(),
    ):
        opener.add_handler(handler)
    return opener


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


def _read(response: http.client.HTTPResponse, name: str, *, deadline: float, max_bytes: int) -> bytes:
    """Read to the end, watching the size and the clock: a timeout alone is per packet, not for the whole."""
    announced = response.length
    data = bytearray()
    recognised = False
    while chunk := response.read1(_CHUNK_BYTES):
        data += chunk
        if not recognised and len(data) >= _SIGNATURE_BYTES:
            # Judged by the bytes: there are servers that send pictures as text/plain.
            if not PICTURE_SIGNATURE.match(data):
                raise PictureError(
                    f"{name}: the server sent {response.headers.get_content_type()}, not a picture; "
                    f"give the address of the picture itself, not of a page that shows it"
                )
            recognised = True
        if len(data) > max_bytes or (announced or 0) > max_bytes:
            raise PictureError(
                f"{name}: larger than {max_bytes:,} bytes, the most that is fetched; download it and give the file"
            )
        if time.monotonic() > deadline:
            raise _too_slow(name)
    if announced is not None and len(data) < announced:
        raise PictureError(f"{name}: the connection broke off after {len(data):,} of {announced:,} bytes; try again")
    return bytes(data)


def _too_slow(name: str) -> PictureError:
    return PictureError(f"{name}: the server took too long to send it; try again or download the file")
