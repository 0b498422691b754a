"""Videos opened for reading, with FFmpeg's complaints put in words that say what to think of the file."""

from __future__ import annotations

import os
from pathlib import Path
from time import monotonic

from detector.errors import VideoError
from detector.video.ffmpeg import av

DAMAGE = (av.FFmpegError, IndexError, UnicodeDecodeError, MemoryError)
"""What PyAV raises on files whose bytes make no sense."""


_RTSP = {"rtsp_transport": "tcp"}
"""Over UDP pictures arrive torn wherever the network is busy, and a camera that is gone is not noticed."""


def is_address(name: str) -> bool:
    """Whether a video is named by a network address and not by a path."""
    return "://" in name


def open_container(
    name: str, *, timeout_seconds: float | None = None, options: dict[str, str] | None = None
) -> av.container.InputContainer:
    """The video of this path or address, or `VideoError`; the timeout bounds opening and each read."""
    if not is_address(name):
        _check_file(name)
    started = monotonic()
    try:
        container = av.open(
            # The prefix keeps FFmpeg from taking "12:30.mp4" for an address.
            name if is_address(name) else f"file:{name}",
            mode="r",
            metadata_errors="replace",
            timeout=timeout_seconds,
            options={**(_RTSP if name.startswith("rtsp") else {}), **(options or {})},
        )
    except DAMAGE as error:
        if timeout_seconds is not None and monotonic() - started >= timeout_seconds:
            raise VideoError(f"{name}: nothing came within {timeout_seconds:g} seconds") from None
        why = "its index is missing, as when a recording or download was cut off"
        if is_address(name) or not _lacks_index(Path(name)):
            why = reason(error)
        raise VideoError(f"{name}: cannot be read as a video: {why}") from None
    if container.format.name == "tty":  # FFmpeg's name for text, which it would play as a teletype
        container.close()
        raise VideoError(f"{name}: is a text, not a video")
    if not is_address(name) and container.format.name.endswith(("_pipe", "image2")):  # FFmpeg's names for pictures
        container.close()
        raise single_picture(name)
    return container


def single_picture(name: str) -> VideoError:
    """What to say of a picture that does not move."""
    return VideoError(
        f"{name}: is a single picture, not a video; use `yolo3 image`, or give a folder of pictures, "
        "or a pattern in quotes such as 'frames/*.png'"
    )


def _check_file(name: str) -> None:
    """Say what FFmpeg would only say in its own words."""
    path = Path(name)
    try:
        if path.is_dir():
            raise VideoError(f"{name}: is a folder, not a video")
        size = path.stat().st_size
        if path.is_file() and size == 0:
            raise VideoError(f"{name}: is empty")
        if not os.access(path, os.R_OK):
            raise VideoError(f"{name}: may not be read (permission denied)")
    except FileNotFoundError:
        hint = "; for numbered pictures give their folder, or a pattern in quotes such as 'frames/*.png'"
        raise VideoError(f"{name}: no such file{hint if '%' in name else ''}") from None
    except (OSError, ValueError) as error:
        raise VideoError(f"{name}: cannot be opened: {error}") from None


def counted(number: int, noun: str) -> str:
    """`1 frame`, `2 frames`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def reason(error: BaseException) -> str:
    """What is wrong, by an exception of `DAMAGE`."""
    if isinstance(error, EOFError):
        return "it ends before its first frame"
    if isinstance(error, av.error.InvalidDataError):
        return "it is damaged, or no video"
    if isinstance(error, av.FFmpegError):
        return str(error.strerror or error)
    return f"it is damaged ({type(error).__name__})"


def _lacks_index(path: Path) -> bool:
    """Whether this is an MP4 or MOV file without the `moov` box that says where its frames are."""
    with path.open("rb") as file:
        end = os.fstat(file.fileno()).st_size
        position, kinds = 0, list[bytes]()
        while position < end:
            file.seek(position)
            header = file.read(16)
            size, kind = int.from_bytes(header[:4]), header[4:8]
            kinds.append(kind)
            if size == 1:
                size = int.from_bytes(header[8:])
            if size < 8:
                break
            position += size
    return kinds[:1] == [b"ftyp"] and b"moov" not in kinds
