"""Write a video file that browsers play, with every timestamp and the source's audio."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from fractions import Fraction
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Self, cast

import cv2
import numpy as np

from convert.files import check_output, create, replacing
from detector.detections import Detections
from detector.errors import OutputError, WriteError
from detector.images.planes import Planes
from detector.video.colours import TEN_BITS, FromRgb, is_deep, stored_as_yuv, tag, to_encode
from detector.video.ffmpeg import av
from detector.video.frames import Frame, Image, Sink, VideoInfo
from detector.video.reading.containers import DAMAGE, counted
from detector.video.section import Span
from detector.video.status import KeepEarlier, RunStatus
from detector.video.writing.codecs import USUAL, VideoSettings, container_of, encoder_for
from detector.video.writing.parts import Part, kept_of, mark, part_options, part_path, parts_left
from detector.video.writing.remuxing import Accompaniment, Remuxer

_LATE_CLOCK_SECONDS = 10
"""Seconds. A source whose clock starts later than this counts from something else, such as a recorder's uptime."""

_FRAME_DURATION = 1 << 8
"""AV_CODEC_FLAG_FRAME_DURATION: the encoder gives each packet the duration of its frame."""

_BELIEVABLE_DELAY_SECONDS = 24 * 3600
"""The longest plausible time between decoding and showing a frame."""

_USUAL_RATE = 25
"""Frames per second if the source does not say; it only guides the encoder's rate control."""


class VideoWriter(Sink):
    """Writes the images of frames to a video file, which appears under its name when it is complete.

    `audio_from` names the video whose audio, subtitles, chapters and tags are copied. A section of a video starts at 0,
    and what accompanies it is cut to match. Odd sizes are made even by repeating the last row or column, as the codecs
    need. Non-square pixels are kept, except in VP9 and AV1, which cannot store their shape: there images are enlarged
    to square pixels.

    Until then the video is in a part file beside it (`part_path`), which stays playable if the program is killed, and
    which a failed run keeps. `run_digest` marks it as made by this run. `kept` is what parts of an earlier run already
    hold: frames up to there are skipped. `keep_earlier` says whether an existing video of this name stays if this one
    ends early; the part file then stays too. Raise `OutputError` before anything is written if `path` cannot or must
    not be written, `WriteError` if writing fails.
    """

    stage: ClassVar[str] = "encode"

    def __init__(
        self,
        path: str | os.PathLike[str],
        info: VideoInfo,
        *,
        audio_from: str | os.PathLike[str] | None = None,
        settings: VideoSettings = USUAL,
        overwrite: bool = False,
        keep_earlier: KeepEarlier = KeepEarlier.NO,
        kept: Sequence[Part] = (),
        run_digest: str = "",
    ) -> None:
        super().__init__()
        self.path = Path(path)
        self._format = container_of(self.path)
        self._audio_from = None if audio_from is None else os.fspath(audio_from)
        self._inputs = [info.source] + ([self._audio_from] if self._audio_from else [])
        check_output(self.path, overwrite=overwrite, inputs=self._inputs)
        check_output(part_path(self.path), overwrite=True, inputs=self._inputs)
        left = parts_left(self.path)
        if left and not overwrite:
            raise OutputError(
                f"{left[0]}: was left by an unfinished run; make a video of it with `yolo3 recover`, continue that run "
                "with --resume, or delete it with --overwrite"
            )
        self._info = info
        self._settings = settings
        self._keep_earlier = keep_earlier
        self._run_digest = run_digest
        self._kept = list(kept)
        self._kept_frames = sum(part.frames for part in kept)
        self._part = _free_part(self.path, self._kept)
        self._encoder = encoder_for(settings, self.path)
        self._square = None if self._encoder.says_pixel_shape or info.pixel_aspect == 1 else _square_size(info)
        self._colours = stored_as_yuv(info.colours)
        self._ten_bits = self._encoder.ten_bits and is_deep(info.pixel_format, info.colours)
        self._from_rgb = FromRgb(self._colours, height=info.height)
        self._late_seconds = late_seconds(info)
        self._shift_seconds = self._late_seconds if info.begin_seconds is None else info.begin_seconds
        self._container: av.container.OutputContainer | None = None
        self._count = 0
        self._end_seconds = Fraction(0)

    def __enter__(self) -> Self:
        keep = {part.path for part in self._kept}
        for left in parts_left(self.path):
            if left not in keep:
                left.unlink()
        create(self._part)
        try:
            with self._explained():
                self._open()
        except BaseException:
            self._discard()
            raise
        return self

    def write(self, frame: Frame, detections: Detections) -> None:
        """Encode the frame's image, on which boxes are already drawn."""
        shown = frame.duration * frame.time_base or 1 / Fraction(self._info.frame_rate or _USUAL_RATE)
        self._end_seconds = frame.time + shown
        if frame.index < self._kept_frames:
            return
        image = self._checked(frame)
        if self._square:
            resized = cv2.resize(frame.picture, self._square, interpolation=cv2.INTER_LINEAR)
            image = np.asarray(resized, dtype=np.uint8)
        picture = to_encode(_even(image), self._from_rgb, self._colours, ten_bits=self._ten_bits)
        time_base = self._info.time_base
        picture.pts = round((frame.time - self._shift_seconds) / time_base)
        picture.time_base = time_base
        picture.duration = round(frame.duration * frame.time_base / time_base)
        with self._explained():
            self._mux(self._stream.encode(picture))
        self._count += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        status = RunStatus.of(error)
        if not (self._count or self._kept):
            self._discard()
        elif error is not None and not status.keeps_output:
            self._keep_part(error)
        elif self._keep_earlier.keeps(status) and self.path.exists():
            kept = self._close_part()
            self.notes.append(f"{self.path}: is still the earlier video; of the new one {kept}")
        else:
            try:
                with self._explained():
                    self._finish(status)
            except BaseException as failure:
                self._keep_part(failure)
                raise

    def _open(self) -> None:
        """Start the encoder and the part file."""
        options = part_options(self._info.time_base)
        width, height = self._square or (self._info.width, self._info.height)
        self._container = av.open(f"file:{self._part}", "w", format="mp4", container_options=options)
        try:
            added = self._container.add_stream(
                self._encoder.name,
                rate=self._info.frame_rate or _USUAL_RATE,
                options=self._encoder.options,
                width=width + width % 2,
                height=height + height % 2,
                time_base=self._info.time_base,
                pix_fmt=TEN_BITS if self._ten_bits else "yuv420p",
            )
            stream = cast(av.VideoStream, added)
            context = stream.codec_context
            context.flags |= _FRAME_DURATION
            context.sample_aspect_ratio = Fraction(1) if self._square else self._info.pixel_aspect
            tag(context, self._colours)
            mark(stream, self._run_digest)
            self._container.start_encoding()
        except (*DAMAGE, ValueError) as error:
            if isinstance(error, OSError):
                raise
            raise OutputError(
                f"{self.path}: {self._encoder.name} cannot encode pictures of {width}x{height} pixels; "
                "try another --codec or a smaller source"
            ) from error
        self._stream = stream

    def _checked(self, frame: Frame) -> Image:
        width, height = frame.size
        if (width, height) != (self._info.width, self._info.height):
            raise ValueError(f"a frame of {width}x{height} in a video of {self._info.width}x{self._info.height}")
        return frame.image

    def _mux(self, packets: Iterable[av.Packet[Any]]) -> None:
        assert self._container is not None
        for packet in packets:
            pts, dts = packet.pts or 0, packet.dts or 0
            if not 0 <= (pts - dts) * self._info.time_base < _BELIEVABLE_DELAY_SECONDS:
                packet.dts = packet.pts  # x265 invents decoding times for videos of one or two frames
            self._container.mux(packet)

    def _finish(self, status: RunStatus) -> None:
        parts = list(self._kept)
        if self._count:
            self._mux(self._stream.encode(None))
            parts.append(Part(self._part, self._count))
        self._close()
        end, written = self._info.end_seconds, self._end_seconds
        if status in (RunStatus.INTERRUPTED, RunStatus.STOPPED):
            end = written if end is None else min(end, written)
        beside = Accompaniment(
            self._audio_from,
            Span(self._shift_seconds, self._info.begin_seconds, end),
            chapters_until=None if status is RunStatus.COMPLETE else written,
            audio=self._settings.audio,
            location=self._settings.location,
        )
        with replacing(self.path, inputs=self._inputs) as whole:
            digest = "" if status is RunStatus.COMPLETE else self._run_digest  # a run that ended early can be resumed
            remuxer = Remuxer(whole, self._format, beside, name=self.path, run_digest=digest)
            remuxer.join(parts, time_base=self._info.time_base)
        self.notes = remuxer.notes
        if self._late_seconds and self._info.begin_seconds is None:
            shift = f"{float(self._late_seconds):.1f}"
            self.notes.append(f"{self.path}: starts at 0 s; the source's clock at {shift} s")
        for part in parts_left(self.path):
            part.unlink()

    def _close(self) -> None:
        container, self._container = self._container, None
        if container is not None:
            container.close()

    def _keep_part(self, error: BaseException) -> None:
        """After a failure, keep what was encoded in the part file, and add a note to the error that says where."""
        kept = self._close_part()
        if kept:
            error.add_note(f"{self.path}: {kept}; make a video of it with `yolo3 recover`")

    def _close_part(self) -> str:
        """Close the part file; return how many frames are kept and where. A part without any is removed."""
        with suppress(*DAMAGE, ValueError):
            if self._container is not None:
                self._mux(self._stream.encode(None))
        with suppress(*DAMAGE, ValueError):
            self._close()
        frames = self._kept_frames + sum(part.frames for part in kept_of([self._part]))
        if frames == self._kept_frames:
            self._discard()
        first = self._kept[0].path if self._kept else self._part
        return f"{counted(frames, 'frame')} {'is' if frames == 1 else 'are'} kept in {first}" if frames else ""

    def _discard(self) -> None:
        """Remove a part file without frames."""
        with suppress(*DAMAGE, ValueError):  # the container may fail to write its end
            self._close()
        with suppress(OSError):
            self._part.unlink(missing_ok=True)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Add the file's name to errors of writing it."""
        try:
            yield
        except OSError as error:
            raise WriteError(f"{self.path}: could not be written: {error.strerror or error}") from error
        except av.FFmpegError as error:
            raise WriteError(f"{self.path}: could not be written: {error.strerror or error}") from error


def late_seconds(info: VideoInfo) -> Fraction:
    """Return the time on the source's clock that becomes 0 in a copy of the whole source: 0, unless it starts late."""
    return info.start_seconds if info.start_seconds > _LATE_CLOCK_SECONDS else Fraction(0)


def _free_part(path: Path, kept: Sequence[Part]) -> Path:
    """Return the name of the next part, after the kept ones."""
    taken = {part.path for part in kept}
    return next(part for number in count(1) if (part := part_path(path, number)) not in taken)


def _square_size(info: VideoInfo) -> tuple[int, int]:
    """Return width and height in square pixels, neither smaller than before."""
    if info.pixel_aspect > 1:
        return round(info.width * info.pixel_aspect), info.height
    return info.width, round(info.height / info.pixel_aspect)


def _even(image: Image) -> Image:
    """Return the image with its last row or column repeated where a size is odd. Planes are even already."""
    height, width = image.shape[:2]
    if isinstance(image, Planes) or height % 2 == width % 2 == 0:
        return image
    return np.asarray(cv2.copyMakeBorder(image, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE), dtype=np.uint8)
