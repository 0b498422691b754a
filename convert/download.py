"""Fetch published weights, whole and checked: the command behind scripts/download_weights.

    python -m convert.download yolov3 [--to DIR]

A file grows as NAME.part beside its place and gets its name only when its size and SHA-256 are right. A download
that was cut or interrupted goes on where it stopped.
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
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from tqdm import tqdm

from convert.errors import DownloadError, InputError, OutputError, WorkError, Yolo3Error

CHECKOUT = Path(__file__).resolve().parent.parent
CHUNK_BYTES = 1 << 16
WORTH_ANOTHER_TRY = {408, 425, 429, 500, 502, 503, 504}
DISK_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}


@dataclass(frozen=True)
class PublishedFile:
    """A file on the network whose bytes are known beforehand."""

    name: str
    size_bytes: int
    sha256: str
    addresses: tuple[str, ...]
    """Tried in this order."""


def _darknet(name: str, size_bytes: int, sha256: str) -> PublishedFile:
    return PublishedFile(
        name,
        size_bytes,
        sha256,
        (
            f"https://data.pjreddie.com/files/{name}",
            f"https://github.com/hank-ai/darknet/releases/download/v2.0/{name}",
            f"https://github.com/AlexeyAB/darknet/releases/download/yolov4/{name}",
        ),
    )


def _yolo_fastest(name: str, size_bytes: int, sha256: str) -> PublishedFile:
    # The branch moves with its authors; the commit is the one that brought these files.
    return PublishedFile(
        name,
        size_bytes,
        sha256,
        tuple(
            f"https://raw.githubusercontent.com/dog-qiuqiu/Yolo-Fastest/{revision}/"
            f"ModelZoo/yolo-fastest-1.1_coco/{name}"
            for revision in ("master", "9c62b1c50e024fb73d29a651133b1d63548e63a1")
        ),
    )


Networks = Mapping[str, tuple[PublishedFile, ...]]

NETWORKS: Networks = {
    "yolov3": (
        _darknet(
            "yolov3.weights",
            248_007_048,
            "523e4e69e1d015393a1b0a441cef1d9c7659e3eb2d7e15f793f060a21b32f297",
        ),
    ),
    "yolov3-tiny": (
        _darknet(
            "yolov3-tiny.weights",
            35_434_956,
            "dccea06f59b781ec1234ddf8d1e94b9519a97f4245748a7d4db75d5b7080a42c",
        ),
    ),
    "yolov3-spp": (
        _darknet(
            "yolov3-spp.weights",
            252_209_544,
            "87a1e8c85c763316f34e428f2295e1db9ed4abcec59dd9544f8052f50de327b4",
        ),
    ),
    "yolo-fastest-1.1-xl": (
        _yolo_fastest(
            "yolo-fastest-1.1-xl.cfg",
            9_696,
            "c458427acc4fbeabceff4528ef7b65b066c0308ce599460f8ba299eba63abad3",
        ),
        _yolo_fastest(
            "yolo-fastest-1.1-xl.weights",
            3_693_964,
            "fac5fb41786c1f38f04972a658443b189f48720d7d117f9a044100e98a35b0c5",
        ),
    ),
}
"""What each name brings; a network without a .cfg here has its own in configs/."""


class _Cut(Exception):  # noqa: N818
    """The connection broke; the same address is worth another try."""


class _Refused(Exception):  # noqa: N818
    """This address does not give the file."""


class _Spoilt(Exception):  # noqa: N818
    """The .part cannot become the file: it has to begin anew."""


def fetch(
    file: PublishedFile,
    folder: Path,
    *,
    timeout_seconds: float = 30.0,
    pauses_seconds: Sequence[float] = (1.0, 2.0, 4.0),
) -> Path:
    """Put the file whole into the folder and return its path; one that is already there stays as it is.

    `timeout_seconds` is the longest silence of a server. `pauses_seconds` come before each further try at an address
    whose connection broke. `DownloadError` names every address and what happened there; `OutputError` says that the
    path is taken by something else or cannot be written.
    """
    target, part = folder / file.name, folder / f"{file.name}.part"
    if _is_there(file, target):
        _say(f"{target}: already there, with the right SHA-256")
        return target
    try:
        folder.mkdir(parents=True, exist_ok=True)
        outcomes = []
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
    except OSError as error:
        # Whatever the network does is told by the three exceptions above; only the disk is left.
        kind = WorkError if error.errno in DISK_ERRORS else OutputError
        raise kind(f"{error.filename or part}: cannot be written: {_words(error)}") from error
    begun = _size(part)
    raise DownloadError(
        "\n".join(
            [f"{file.name} could not be fetched:", *outcomes]
            + ([f"{begun:,} of {file.size_bytes:,} bytes are here; run it again to go on."] if begun else [])
            + [f"Or put it there by hand: {target}, {file.size_bytes} bytes, SHA-256 {file.sha256}"]
        )
    )


def _is_there(file: PublishedFile, target: Path) -> bool:
    try:
        if target.is_file() and target.stat().st_size == file.size_bytes and _sha256(target) == file.sha256:
            return True
    except OSError as error:
        raise InputError(f"{target}: cannot be read: {_words(error)}") from error
    if target.exists() or target.is_symlink():
        raise OutputError(
            f"{target}: something else has this name, not the published file of {file.size_bytes} bytes with "
            f"SHA-256 {file.sha256}; move it away and run this again"
        )
    return False


def _bring(
    file: PublishedFile, address: str, part: Path, timeout_seconds: float, pauses_seconds: Sequence[float]
) -> None:
    """Bring the .part to the whole, checked file from one address; `_Refused` when that cannot be."""
    for pause in (*pauses_seconds, None):
        begun = _size(part)
        try:
            if begun < file.size_bytes:
                _receive(file, address, part, begun, timeout_seconds)
            _check(file, part)
            return
        except _Spoilt as error:
            part.unlink()
            # Bytes of an earlier try may be to blame; if all came from here, this address has nothing better.
            if not begun:
                raise _Refused(str(error)) from error
            outcome = f"{error}; began anew"
        except _Cut as error:
            outcome = str(error)
        if pause is not None:
            _say(f"  {outcome}; trying again in {pause:g} s")
            time.sleep(pause)
    raise _Refused(f"{outcome}, {len(pauses_seconds) + 1} times")


def _receive(file: PublishedFile, address: str, part: Path, begun: int, timeout_seconds: float) -> None:
    """Append to the .part what the server sends after the first `begun` bytes, or all of it if it cannot skip."""
    with _answer(address, begun, timeout_seconds) as response:
        start = first_byte(response.status, response.headers.get("Content-Range"), begun)
        wrong = wrong_content(response.headers.get_content_type(), _peek(response) if start == 0 else b"")
        if wrong:
            raise _Refused(wrong)
        if response.length is not None and start + response.length != file.size_bytes:
            raise _Refused(f"offers {start + response.length:,} bytes, not {file.size_bytes:,}")
        with (
            part.open("ab" if start else "wb") as sink,
            tqdm(total=file.size_bytes, initial=start, desc=file.name, unit="B", unit_scale=True) as bar,
        ):
            size = start
            for chunk in _chunks(response):
                size += len(chunk)
                if size > file.size_bytes:
                    raise _Spoilt(f"sends more than {file.size_bytes:,} bytes")
                sink.write(chunk)
                bar.update(len(chunk))
    if size < file.size_bytes:
        raise _Cut(f"connection lost after {size:,} of {file.size_bytes:,} bytes")
