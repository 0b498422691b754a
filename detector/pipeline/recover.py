"""Make a finished video from the parts that a failed or killed run left."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from convert.files import check_output, lock_outputs, replacing
from detector.errors import VideoError, WriteError
from detector.video.reading.containers import DAMAGE, open_container, reason
from detector.video.writing.codecs import check_holds, container_of
from detector.video.writing.parts import Part, kept_of, made_by, parts_left, whole_path
from detector.video.writing.remuxing import Accompaniment, Remuxer


@dataclass(frozen=True)
class Recovered:
    """What was recovered."""

    frames: int
    parts: tuple[Path, ...]
    """The parts, which are left unchanged."""


def recover(part: Path, out: Path, *, overwrite: bool = False) -> Recovered:
    """Make a video of a part and of those that belong with it; the parts stay.

    The video is copied, not re-encoded. A part holds no audio: if the source still exists, `yolo3 video --resume` gives
    a complete video. Raise `VideoError` for a part without a readable frame, `OutputError` if `out` cannot or must not
    be written.
    """
    container = container_of(out)
    whole = whole_path(part)
    with lock_outputs(out, *([whole] if whole and whole != out else [])):
        parts = _belonging(part, whole)
        check_output(out, overwrite=overwrite, inputs=parts)
        with open_container(str(part)) as video:
            if not video.streams.video:
                raise VideoError(f"{part}: contains no video stream")
            check_holds(out, video.streams.video[0].codec_context.codec.canonical_name)
            time_base = video.streams.video[0].time_base
        if whole is None and made_by(part) is None:
            raise VideoError(
                f"{part}: is not a part of an unfinished run; expected a file such as OUT.mp4.yolo3-part1.mp4, which "
                "the message of that run names"
            )
        kept = _kept(parts)
        if not kept or time_base is None:
            raise VideoError(f"{part}: contains no frame that can be recovered")
        try:
            with replacing(out, inputs=parts) as aside:
                Remuxer(aside, container, Accompaniment(), name=out).join(kept, time_base=time_base)
        except DAMAGE as error:
            raise WriteError(f"{out}: could not be written: {reason(error)}") from error
    return Recovered(sum(piece.frames for piece in kept), tuple(piece.path for piece in kept))


def _belonging(part: Path, whole: Path | None) -> list[Path]:
    """Return all parts of the same video, in order."""
    left = parts_left(whole) if whole is not None else []
    return left if part in left else [part]


def _kept(parts: list[Path]) -> list[Part]:
    """Return what can be joined: the frames of all parts up to the first made by another run or encoder."""
    kept = kept_of(parts)
    origins = []
    for piece in kept:
        with open_container(str(piece.path)) as video:
            origins.append((video.streams.video[0].codec_context.extradata, made_by(piece.path)))
    alike = next((number for number, origin in enumerate(origins) if origin != origins[0]), len(kept))
    return kept[:alike]
