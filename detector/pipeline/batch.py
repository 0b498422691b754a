"""Choose the sources and the output names for several videos that are processed one after another."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from detector.errors import OutputError, VideoError
from detector.images.finding import output_name

VIDEO_SUFFIXES = frozenset(
    ".3gp .avi .flv .m2ts .m4v .mkv .mov .mp4 .mpeg .mpg .mts .mxf .ogv .ts .vob .webm .wmv".split()
)
"""The suffixes of video files in a folder."""


@dataclass(frozen=True)
class BatchVideo:
    """One of several videos, and its outputs."""

    source: str
    video: Path
    log: Path


def plan_batch(sources: Sequence[str], folder: Path) -> list[BatchVideo]:
    """Choose the names before any work: `folder/NAME.mp4` and `folder/NAME.jsonl`.

    A folder stands for the videos in it, in natural order; a folder without videos is an image series. Two videos with
    the same name get `-2`, `-3`, … Raise `OutputError` for a folder that contains one of the sources.
    """
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"{folder}: is a file; several videos go into a folder")
    found: dict[str, str] = {}
    for source in sources:
        for video in _expand(source):
            found.setdefault(video if _is_address(video) else os.path.realpath(video), video)
    planned: list[BatchVideo] = []
    taken: set[str] = set()
    for place, source in found.items():
        if not _is_address(source) and Path(place).parent == folder.resolve():
            raise OutputError(f"{folder}: holds {source}, one of the videos to read; name another folder")
        # Named as a picture, so that the same rules number it.
        stem = _address_stem(source) if _is_address(source) else Path(source).stem or "video"
        name = output_name(f"{stem}.png", taken=taken)
        taken.add(name)
        planned.append(BatchVideo(source, folder / f"{Path(name).stem}.mp4", folder / f"{Path(name).stem}.jsonl"))
    return planned


def _expand(source: str) -> list[str]:
    if _is_address(source) or not Path(source).is_dir():
        return [source]
    try:
        files = [path for path in Path(source).iterdir() if not path.name.startswith(".") and path.is_file()]
    except OSError as error:
        raise VideoError(f"{source}: the folder cannot be read ({error.strerror})") from None
    videos = [str(path) for path in files if path.suffix.lower() in VIDEO_SUFFIXES]
    return sorted(videos, key=_natural) or [source]


def _is_address(source: str) -> bool:
    return "://" in source


def _address_stem(source: str) -> str:
    return Path(output_name(f"http://{source.partition('://')[2]}")).stem


def _natural(path: str) -> list[tuple[str, int]]:
    """Return a sort key that compares digits as numbers."""
    return [(text, int(digits or 0)) for text, digits in re.findall(r"(\D*)(\d*)", path.casefold())]
