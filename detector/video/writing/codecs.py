"""Choose how a video is encoded: codec, quality, speed, and the handling of its audio."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from detector.errors import OutputError, SettingsError
from detector.video.writing.audio import Audio

Codec = Literal["h264", "hevc", "av1", "vp9"]

_ENCODERS = {"h264": "libx264", "hevc": "libx265", "av1": "libsvtav1", "vp9": "libvpx-vp9"}
_USUAL_QUALITY = {"h264": 23, "hevc": 28, "av1": 35, "vp9": 33}
_WORST_QUALITY = {"h264": 51, "hevc": 51, "av1": 63, "vp9": 63}
_HOLDS = {".webm": ("vp9", "av1"), ".mov": ("h264", "hevc")}
"""By file suffix, the codecs that it can hold; other formats hold all."""

_CONTAINERS = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska", ".webm": "webm"}
"""By file suffix, FFmpeg's name of the container."""

_SVT_PRESET = 10

_LEAN_H264 = {
    "preset": "ultrafast",
    "x264-params": "cabac=1:8x8dct=1:deblock=0,0:partitions=i8x8,i4x4:subme=1:bframes=3"
    ":mbtree=1:rc-lookahead=10:aq-mode=1",
}
"""The size of `veryfast` in two thirds of the time: docs/performance.md.

It is `ultrafast` plus those tools that save more bytes than they cost time.
"""


@dataclass(frozen=True)
class VideoSettings:
    """The encoding options of a video file."""

    crf: int | None = None
    """Quality from 0 (best) to 51 (63 for AV1 and VP9); in H.264, 18 looks like the source."""

    preset: str | None = None
    """Speed of H.264 and HEVC, from `ultrafast` (large files) to `veryslow`; None for this project's own choice."""

    codec: Codec | None = None
    """The codec; None for H.264, or VP9 in `.webm`."""

    audio: Audio = "auto"
    """How audio tracks are handled: `auto` copies those that browsers play in this container and re-encodes others as
    AAC (Opus in `.webm`), `copy` copies what the container can hold, `aac` makes all of them AAC, `none` drops them."""

    location: bool = True
    """Whether tags with the location of the recording are kept."""


USUAL = VideoSettings()


@dataclass(frozen=True)
class Encoder:
    """An FFmpeg encoder and its options."""

    name: str
    options: dict[str, str]

    says_pixel_shape: bool = True
    """Whether the file can store non-square pixels."""

    ten_bits: bool = False
    """Whether sources of more than 8 bits are encoded with 10."""


def container_of(path: Path) -> str:
    """Return FFmpeg's name of the container for a file's suffix; raise `OutputError` for any other suffix."""
    if path.suffix.lower() not in _CONTAINERS:
        raise OutputError(
            f"{path}: cannot write a video named {path.suffix or 'without a suffix'}; "
            f"use one of {', '.join(_CONTAINERS)}"
        )
    return _CONTAINERS[path.suffix.lower()]


def check_holds(path: Path, codec: str) -> None:
    """Raise `OutputError` if a file of this name cannot hold the codec."""
    ending = path.suffix.lower()
    possible = _HOLDS.get(ending, _ENCODERS)
    if codec not in possible:
        raise OutputError(
            f"{path}: a {ending} file cannot hold {codec}; use --codec {' or '.join(possible)}, or name it .mp4 or .mkv"
        )


def encoder_for(settings: VideoSettings, path: Path) -> Encoder:
    """Return the encoder for a file of this name; raise `OutputError` if such a file cannot hold the codec."""
    ending = path.suffix.lower()
    codec = settings.codec or ("vp9" if ending == ".webm" else "h264")
    if codec not in _ENCODERS:
        raise SettingsError(f"codec {codec!r} is not known; expected one of {', '.join(_ENCODERS)}")
    check_holds(path, codec)
    quality = _USUAL_QUALITY[codec] if settings.crf is None else settings.crf
    if not 0 <= quality <= _WORST_QUALITY[codec]:
        raise SettingsError(f"quality {quality} is out of range; {codec} has 0 (best) to {_WORST_QUALITY[codec]}")
    options = {"crf": str(quality)}
    if codec == "h264" and settings.preset is None:
        options |= _LEAN_H264
    elif codec in ("h264", "hevc"):
        options["preset"] = settings.preset or "veryfast"
    if codec == "hevc":
        options["x265-params"] = "log-level=error"
    if codec == "av1":
        options["preset"] = str(_SVT_PRESET)
    if codec == "vp9":
        options |= {"b": "0", "deadline": "realtime", "cpu-used": "6", "row-mt": "1"}
    return Encoder(
        _ENCODERS[codec], options, says_pixel_shape=codec in ("h264", "hevc"), ten_bits=codec in ("hevc", "av1")
    )
