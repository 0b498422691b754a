"""Open a video, with error messages that say what is wrong with the file."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

from detector.errors import VideoError
from detector.video.ffmpeg import av
from detector.video.reading.pipes import PIPE_HINT, PipeReader

DAMAGE = (av.FFmpegError, IndexError, UnicodeDecodeError, MemoryError)
"""The exceptions that PyAV raises for damaged files."""

_RTSP = {"rtsp_transport": "tcp"}
"""TCP, because over UDP images are damaged when the network is busy, and the loss of a camera goes unnoticed."""


@dataclass(frozen=True)
class Confinement:
    """What a video of unknown origin may be."""

    format: str
    """FFmpeg's name of the one container that is looked for, so that none that names other files is."""

    max_pixels: int
    """Of a frame; a decoder refuses larger ones before it takes memory for them."""


_confinement: list[Confinement] = []


@contextmanager
def confined(confinement: Confinement) -> Iterator[None]:
    """Open videos as this container only, and nothing but files, in all threads of this process."""
    _confinement.append(confinement)
    try:
        yield
    finally:
        _confinement.remove(confinement)


def limit_frames(stream: av.VideoStream) -> None:
    """Make the decoder of a confined video refuse frames that are too large."""
    for confinement in _confinement:
        stream.codec_context.options = {
            **stream.codec_context.options,
            "max_pixels": str(confinement.max_pixels),
        }


def is_address(name: str) -> bool:
    """Return whether a name is a network address rather than a path."""
    return "://" in name


def open_container(
    name: str,
    *,
    timeout_seconds: float | None = None,
    options: dict[str, str] | None = None,
    pipe: PipeReader | None = None,
) -> av.container.InputContainer:
    """Open the video at this path or address, or raise `VideoError`.

    The timeout limits opening and each read. `pipe` holds the bytes if the path is a pipe.
    """
    if not is_address(name):
        _check_file(name)
    started = monotonic()
    options = {**(_RTSP if name.startswith("rtsp") else {}), **(options or {})}
    if _confinement:
        options["protocol_whitelist"] = "file"
    try:
        container = av.open(
            # The prefix keeps FFmpeg from treating "12:30.mp4" as an address.
            pipe or (name if is_address(name) else f"file:{name}"),
            mode="r",
            format=_confinement[-1].format if _confinement else None,
            metadata_errors="replace",
            timeout=timeout_seconds,
            options=options,
        )
    except DAMAGE as error:
        if timeout_seconds is not None and monotonic() - started >= timeout_seconds:
            raise VideoError(f"{name}: no data arrived within {timeout_seconds:g} seconds") from None
        why = "its index is missing, as when a recording or download was interrupted"
        if pipe is not None:
            why = f"{reason(error)}; {PIPE_HINT}"
        elif is_address(name) or not _lacks_index(Path(name)):
            why = reason(error)
        raise VideoError(f"{name}: cannot be read as a video: {why}") from None
    if container.format.name == "tty":  # FFmpeg's name for text, which it would play as a teletype
        container.close()
        raise VideoError(f"{name}: is a text file, not a video")
    if not is_address(name) and container.format.name.endswith(("_pipe", "image2")):  # FFmpeg's names for image formats
        container.close()
        raise single_picture(name)
    return container


def single_picture(name: str) -> VideoError:
    """Return the error for an image where a video is expected."""
    return VideoError(
        f"{name}: is a single picture, not a video; use `yolo3 image`, or give a folder of pictures, "
        "or a pattern in quotes such as 'frames/*.png'"
    )


def _check_file(name: str) -> None:
    """Raise `VideoError` for a file that cannot be opened, with a better message than FFmpeg's."""
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
    """Return `1 frame`, `2 frames`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def reason(error: BaseException) -> str:
    """Return what an exception of `DAMAGE` says is wrong."""
    if isinstance(error, EOFError):
        return "it ends before its first frame"
    if isinstance(error, av.error.InvalidDataError):
        return "it is damaged or not a video"
    if isinstance(error, av.FFmpegError):
        return str(error.strerror or error)
    return f"it is damaged ({type(error).__name__})"


def _lacks_index(path: Path) -> bool:
    """Return whether this is an MP4 or MOV file without its `moov` box, the index of its frames."""
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
