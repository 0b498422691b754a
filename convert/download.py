"""Fetch published weights, whole and checked: the command behind scripts/download_weights.

    python -m convert.download yolov3 [--to DIR]

A file grows as NAME.part beside its place and gets its name only when its size and SHA-256 are right. A
download that was cut or interrupted goes on where it stopped.
"""

from __future__ import annotations

import argparse
import errno
import hashlib
import re
import shlex
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse
from itertools import chain
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from tqdm import tqdm

from convert.errors import DownloadError, OutputError, WorkError, Yolo3Error

CHECKOUT = Path(__file__).resolve().parent.parent
CHUNK_BYTES = 1 << 16
PASSING_STATUS = {408, 429, 500, 502, 503, 504}
"""HTTP answers that may be others in a moment."""
DISK_FAILURES = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}


@dataclass(frozen=True)
class PublishedFile:
    """A file on the network whose bytes are known beforehand."""

    name: str
    size_bytes: int
    sha256: str
    addresses: tuple[str, ...]
    """Tried in this order."""

    @property
    def fingerprint(self) -> str:
        """The size and digest as messages spell them."""
        return _fingerprint(self.size_bytes, self.sha256)


def _published(folders: Sequence[str], name: str, size_bytes: int, sha256: str) -> PublishedFile:
    return PublishedFile(name, size_bytes, sha256, tuple(f"{folder}/{name}" for folder in folders))


_DARKNET = (
    "https://data.pjreddie.com/files",
    "https://github.com/hank-ai/darknet/releases/download/v2.0",
    "https://github.com/AlexeyAB/darknet/releases/download/yolov4",
)
# The branch may move on; the commit is the one that brought these files.
_YOLO_FASTEST = tuple(
    f"https://raw.githubusercontent.com/dog-qiuqiu/Yolo-Fastest/{revision}/ModelZoo/yolo-fastest-1.1_coco"
    for revision in ("master", "9c62b1c50e024fb73d29a651133b1d63548e63a1")
)

Networks = Mapping[str, tuple[PublishedFile, ...]]

NETWORKS: Networks = {
    "yolov3": (
        _published(
            _DARKNET,
            "yolov3.weights",
            248_007_048,
            "523e4e69e1d015393a1b0a441cef1d9c7659e3eb2d7e15f793f060a21b32f297",
        ),
    ),
    "yolov3-tiny": (
        _published(
            _DARKNET,
            "yolov3-tiny.weights",
            35_434_956,
            "dccea06f59b781ec1234ddf8d1e94b9519a97f4245748a7d4db75d5b7080a42c",
        ),
    ),
    "yolov3-spp": (
        _published(
            _DARKNET,
            "yolov3-spp.weights",
            252_209_544,
            "87a1e8c85c763316f34e428f2295e1db9ed4abcec59dd9544f8052f50de327b4",
        ),
    ),
    "yolo-fastest-1.1-xl": (
        _published(
            _YOLO_FASTEST,
            "yolo-fastest-1.1-xl.cfg",
            9_696,
            "c458427acc4fbeabceff4528ef7b65b066c0308ce599460f8ba299eba63abad3",
        ),
        _published(
            _YOLO_FASTEST,
            "yolo-fastest-1.1-xl.weights",
            3_693_964,
            "fac5fb41786c1f38f04972a658443b189f48720d7d117f9a044100e98a35b0c5",
        ),
    ),
}
"""The files that each name brings; a network without a .cfg here has its own in configs/."""


class _Setback(Exception):  # noqa: N818
    """What happened at an address instead of a download."""


class _Refused(_Setback):
    """The address does not give the file."""


class _Cut(_Setback):
    """The connection broke; the same address is worth another try."""


class _Unreachable(_Cut):
    """No connection came about."""


class _Spoilt(_Setback):
    """The .part cannot become the file: it has to begin anew."""


def fetch(
    file: PublishedFile,
    folder: Path,
    *,
    timeout_seconds: float = 30.0,
    pauses_seconds: Sequence[float] = (1.0, 2.0, 4.0),
) -> Path:
    """Put the file whole into the folder and return its path; one that is already there stays as it is.

    `timeout_seconds` is the longest silence of a server; `pauses_seconds` come before each further try at an
    address whose connection broke. `DownloadError` names every address and what happened there, `OutputError`
    a path that is taken by something else or cannot be written to, `WorkError` a full disk.
    """
    target, part = folder / file.name, folder / f"{file.name}.part"
    if _is_there(file, target):
        _say(f"{target}: already there, with the right SHA-256")
        return target
    outcomes = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for address in file.addresses:
            _say(f"{file.name} from {address}")
            try:
                _bring(file, address, part, timeout_seconds, pauses_seconds)
            except _Refused as refusal:
                _say(f"  {refusal}")
                outcomes.append(f"  {address}: {refusal}")
            else:
                part.replace(target)
                return target
        here = _size(part)
    except OSError as error:
        # What the network does is told by the exceptions above, so this is the disk.
        message = f"{error.filename or part}: cannot be written: {_words(error)}"
        if error.errno in DISK_FAILURES:
            raise WorkError(f"{message}; make room and run this again, it goes on where it stopped") from error
        raise OutputError(message) from error
    if here:
        outcomes.append(f"{here:,} of {file.size_bytes:,} bytes are here; run this again to go on from there.")
    by_hand = f"It can also be put there by hand: {target}, {file.fingerprint}"
    raise DownloadError(f"{file.name} could not be fetched:", *outcomes, by_hand)


def _is_there(file: PublishedFile, target: Path) -> bool:
    try:
        if not target.exists() and not target.is_symlink():
            return False
        found = _fingerprint(target.stat().st_size, _sha256(target))
    except OSError as error:
        raise OutputError(f"{target}: cannot be looked into: {_words(error)}; choose another folder") from error
    if found != file.fingerprint:
        raise OutputError(
            f"{target}: not the published file; found {found}, expected {file.fingerprint}; "
            "move it away and run this again"
        )
    return True


def _bring(
    file: PublishedFile, address: str, part: Path, timeout_seconds: float, pauses_seconds: Sequence[float]
) -> None:
    """Bring the .part to the whole, checked file from one address; `_Refused` when that cannot be."""
    before = _size(part)
    for pause in (*pauses_seconds, None):
        begun = kept = _size(part)
        try:
            if begun < file.size_bytes:
                kept = _receive(file, address, part, begun, timeout_seconds)
            found = _sha256(part)
            if found == file.sha256:
                return
            raise _Spoilt(f"wrong bytes: SHA-256 {found}, expected {file.sha256}")
        except _Spoilt as error:
            part.unlink(missing_ok=True)
            # Bytes of an earlier try may be to blame. If all came from here, this address has nothing better.
            if not kept:
                raise _Refused(str(error)) from error
            outcome = f"{error}, so begun anew"
        except _Cut as error:
            # A server that was never reached is not worth the wait while there may be others.
            if isinstance(error, _Unreachable) and begun == before:
                raise _Refused(str(error)) from error
            outcome = str(error)
        if pause is not None:
            _say(f"  {outcome}; trying again in {pause:g} s")
            time.sleep(pause)
    raise _Refused(f"{outcome}; tried {len(pauses_seconds) + 1} times")


def _receive(file: PublishedFile, address: str, part: Path, begun: int, timeout_seconds: float) -> int:
    """Go on after the first `begun` bytes, or from 0 if the server cannot; return how many were kept."""
    with _ask(address, begun, timeout_seconds) as response:
        size = start = first_byte(response.status, response.headers.get("Content-Range"), begun)
        offered = file.size_bytes if response.length is None else start + response.length
        chunks = _chunks(response)
        first = next(chunks, b"")
        wrong = wrong_content(response.headers.get_content_type(), b"" if start else first)
        if wrong or offered != file.size_bytes:
            raise _Refused(wrong or f"offers {offered:,} bytes, expected {file.size_bytes:,}")
        with (
            part.open("ab" if start else "wb") as sink,
            tqdm(total=file.size_bytes, initial=start, desc=file.name, unit="B", unit_scale=True) as bar,
        ):
            for chunk in chain([first], chunks):
                size += len(chunk)
                if size > file.size_bytes:
                    raise _Spoilt(f"sends more than the expected {file.size_bytes:,} bytes")
                sink.write(chunk)
                bar.update(len(chunk))
    if size < file.size_bytes:
        raise _Cut(f"connection lost after {size:,} of {file.size_bytes:,} bytes")
    return start


def _ask(address: str, begun: int, timeout_seconds: float) -> HTTPResponse:
    headers = {"User-Agent": "yolo3"} | ({"Range": f"bytes={begun}-"} if begun else {})
    try:
        response: HTTPResponse = urlopen(Request(address, headers=headers), timeout=timeout_seconds)
    except HTTPError as error:
        error.close()
        kind = _Spoilt if error.code == 416 else _Cut if error.code in PASSING_STATUS else _Refused
        raise kind(f"HTTP {error.code} {error.reason}") from error
    except URLError as error:
        raise _Unreachable(f"no connection: {_words(error.reason)}") from error
    except (OSError, HTTPException) as error:
        raise _Cut(f"no answer: {_words(error)}") from error
    return response


def _chunks(response: HTTPResponse) -> Iterator[bytes]:
    """Yield the body as it comes; a broken connection is a `_Cut`, so that every `OSError` is the disk's."""
    try:
        while chunk := response.read1(CHUNK_BYTES):
            yield chunk
    except (OSError, HTTPException) as error:
        raise _Cut(f"connection lost: {_words(error)}") from error


def first_byte(status: int, content_range: str | None, begun: int) -> int:
    """Tell where in the file an answer begins: at 0 (HTTP 200) or at `begun`, as was asked (206)."""
    if status == 200:
        return 0
    if status != 206:
        raise _Refused(f"HTTP {status}")
    if not re.match(rf"bytes {begun}-", content_range or ""):
        raise _Spoilt(f"sent Content-Range {content_range}, asked for bytes {begun}-")
    return begun


def wrong_content(content_type: str, start: bytes) -> str:
    """Name what was sent in place of the file by its type and first bytes; empty when it may be the file."""
    if content_type == "text/html" or start.lstrip().startswith(b"<"):
        return "sent a web page (HTML), not the file"
    if start.startswith(b"version https://git-lfs"):
        return "sent a git-lfs pointer, not the file itself"
    return ""


def next_command(network: str, paths: Sequence[Path]) -> str:
    """Spell the command that converts what was fetched."""
    cfg = next((path for path in paths if path.suffix == ".cfg"), CHECKOUT / "configs" / f"{network}.cfg")
    weights = next(path for path in paths if path.suffix == ".weights")
    return shlex.join(["yolo3", "convert", *map(_shown, (cfg, weights, weights.with_suffix(".h5")))])


def _shown(path: Path) -> str:
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _fingerprint(size_bytes: int, sha256: str) -> str:
    return f"{size_bytes} bytes with SHA-256 {sha256}"


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _words(error: object) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def _say(message: str) -> None:
    print(message, file=sys.stderr)


def main(arguments: Sequence[str] | None = None, *, networks: Networks = NETWORKS) -> int:
    """Run the command and return its exit code: 0 done, 1 failed, 2 wrong input, 130 interrupted."""
    in_checkout = (CHECKOUT / "configs").is_dir()
    parser = argparse.ArgumentParser(
        prog="download_weights", description="Fetch published Darknet weights, whole and checked."
    )
    parser.add_argument("network", choices=list(networks))
    parser.add_argument(
        "--to",
        type=Path,
        metavar="DIR",
        default=CHECKOUT / "model_data" if in_checkout else Path("model_data"),
        help="where to put the files (default: %(default)s)",
    )
    options = parser.parse_args(arguments)
    try:
        paths = [fetch(file, options.to) for file in networks[options.network]]
    except Yolo3Error as error:
        _say(f"download_weights: {error}")
        return error.exit_code
    except KeyboardInterrupt:
        _say("download_weights: interrupted; run this again to go on where it stopped")
        return 130
    print(*map(_shown, paths), sep="\n")
    print(f"next: {next_command(options.network, paths)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
