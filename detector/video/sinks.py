"""Frames into a video file: H.264 that browsers play, every timestamp kept, the sound carried over."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fractions import Fraction
from math import lcm
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import cv2
import numpy as np

from detector.detections import Detections
from detector.errors import OutputError, WriteError
from detector.video.colours import FromRgb, stored_as_yuv, tag
from detector.video.containers import DAMAGE, counted
from detector.video.endings import Ending
from detector.video.ffmpeg import av
from detector.video.frames import Frame, Picture, Sink, VideoInfo
from detector.video.outputs import check_output, create, part_path
from detector.video.sound import Sound, SoundBy

_FORMATS = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska"}
_QUICKTIME = ("mp4", "mov")

_LATE_CLOCK_SECONDS = 10
"""A source whose clock starts later than this counts from somewhere else (a recorder's uptime, say)."""

_FRAME_DURATION = 1 << 8
"""AV_CODEC_FLAG_FRAME_DURATION: the encoder hands the duration of each frame on to its packet."""

_LEAST_TIMESCALE = 10_000
_MOST_TICKS = 2**31 - 1
_USUAL_RATE = 25
"""Frames per second, where the source does not say; it only guides the encoder."""


@dataclass(frozen=True)
class VideoSettings:
    """How much work and how many bytes a video file is worth."""

    crf: int = 23
    """x264's quality: 0 is lossless, 51 the worst; 18 cannot be told from the source."""

    preset: str = "veryfast"
    """x264's speed, from `ultrafast` (large files) to `veryslow`."""


class VideoWriter(Sink):
    """Writes the pictures of frames to a video file, which appears under its name when it is whole.

    `sound_from` names the video whose sound tracks are carried over: copied, or made AAC where the container
    cannot hold them. Odd sizes are made even by repeating the last row or column, which H.264 needs.

    Raises `OutputError` before anything is written if `path` cannot or must not be, `WriteError` if it could not
    be written to its end.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        info: VideoInfo,
        *,
        sound_from: str | os.PathLike[str] | None = None,
        settings: VideoSettings = VideoSettings(),
        overwrite: bool = False,
    ) -> None:
        super().__init__()
        self.path = Path(path)
        if self.path.suffix.lower() not in _FORMATS:
            raise OutputError(
                f"{self.path}: cannot write a video named {self.path.suffix or 'without ending'}; "
                f"use one of {', '.join(_FORMATS)}"
            )
        self._sound_from = None if sound_from is None else os.fspath(sound_from)
        inputs = [info.source] + ([self._sound_from] if self._sound_from else [])
        check_output(self.path, overwrite=overwrite, inputs=inputs)
        self._info = info
        self._settings = settings
        self._part = part_path(self.path)
        self._format = _FORMATS[self.path.suffix.lower()]
        self._colours = stored_as_yuv(info.colours)
        self._from_rgb = FromRgb(self._colours, height=info.height)
        self._shift_seconds = info.start_seconds if info.start_seconds > _LATE_CLOCK_SECONDS else Fraction(0)
        self._container: av.container.OutputContainer | None = None
        self._sound: Sound | None = None
        self._count = 0
        self._lost_sound = 0
        self._end_seconds = Fraction(0)

    def __enter__(self) -> Self:
        create(self._part)
        try:
            with self._explained():
                self._begin()
        except BaseException:
            self._discard()
            raise
        return self

    def write(self, frame: Frame, detections: Detections) -> None:
        """Encode the frame's picture; its boxes are already drawn."""
        picture = self._from_rgb(_even(self._checked(frame)))
        time_base = self._info.time_base
        picture.pts = round((frame.time - self._shift_seconds) / time_base)
        picture.time_base = time_base
        picture.duration = round(frame.duration * frame.time_base / time_base)
        with self._explained():
            self._mux(self._stream.encode(picture))
        self._count += 1
        self._end_seconds = (picture.pts + picture.duration) * time_base

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        ending = Ending.of(error)
        if not self._count or not ending.keeps_output:
            self._discard()
            return
        try:
            with self._explained():
                self._finish(all_sound=ending in (Ending.COMPLETE, Ending.TRUNCATED))
        except BaseException:
            self._discard()
            raise

    def _begin(self) -> None:
        """Write the file's head, giving way on the sound as far as the container asks."""
        ways: tuple[SoundBy, ...] = ("copy", "encode") if self._sound_from else ()
        for way in (*ways, None):
            try:
                self._open(way)
                return
            except OSError:
                raise
            except (*DAMAGE, ValueError) as error:
                self._close()
                if way is None:
                    raise WriteError(f"{self.path}: the encoder does not start: {error}") from error

    def _open(self, way: SoundBy | None) -> None:
        options = {}
        self._sound = Sound(self._sound_from) if way and self._sound_from else None
        if self._format in _QUICKTIME:
            # The index goes to the front, so that a browser plays while it loads.
            rates = self._sound.rates if self._sound else []
            options = {"movflags": "+faststart", "movie_timescale": str(_timescale(self._info.time_base, rates))}
        self._container = av.open(f"file:{self._part}", "w", format=self._format, container_options=options)
        stream = self._container.add_stream(
            "libx264",
            rate=self._info.frame_rate or _USUAL_RATE,
            options={"preset": self._settings.preset, "crf": str(self._settings.crf)},
            width=self._info.width + self._info.width % 2,
            height=self._info.height + self._info.height % 2,
            time_base=self._info.time_base,
            pix_fmt="yuv420p",
        )
        context = stream.codec_context
        context.flags |= _FRAME_DURATION
        context.sample_aspect_ratio = self._info.pixel_aspect
        tag(context, self._colours)
        self._stream = stream
        notes = []
        if way is not None and self._sound is not None:
            self._sound.attach(self._container, by=way, shift_seconds=self._shift_seconds)
            notes = [f"{self.path}: {note}" for note in self._sound.notes]
        elif self._sound_from is not None:
            notes = [f"{self.path}: without sound, which could be neither copied nor encoded"]
        self._container.start_encoding()
        if self._shift_seconds:
            notes.append(f"{self.path}: starts at 0 s; the source's clock at {float(self._shift_seconds):.1f} s")
        self.notes = notes

    def _checked(self, frame: Frame) -> Picture:
        height, width = frame.picture.shape[:2]
        if (width, height) != (self._info.width, self._info.height):
            raise ValueError(f"a frame of {width}x{height} in a video of {self._info.width}x{self._info.height}")
        return frame.picture

    def _mux(self, packets: Iterable[av.Packet[Any]]) -> None:
        """Write video packets, each after the sound that is due by then: nothing waits in memory for long."""
        assert self._container is not None
        for packet in packets:
            if self._sound is not None:
                due = (packet.dts or 0) * packet.time_base
                self._mux_sound(self._sound.until(due))
            self._container.mux(packet)

    def _mux_sound(self, packets: Iterable[av.Packet[Any]]) -> None:
        assert self._container is not None
        for packet in packets:
            try:
                self._container.mux(packet)
            except OSError:
                raise
            except DAMAGE:  # no reason to lose the pictures
                self._lost_sound += 1

    def _finish(self, *, all_sound: bool) -> None:
        assert self._container is not None
        self._mux(self._stream.encode(None))
        if self._sound is not None:
            self._mux_sound(self._sound.rest() if all_sound else self._sound.until(self._end_seconds))
            if self._lost_sound:
                self.notes.append(f"{self.path}: {counted(self._lost_sound, 'damaged piece')} of sound left out")
            self.notes += [f"{self.path}: {note}" for note in self._sound.late_notes]
        self._close()
        self._verify()
        self._part.replace(self.path)

    def _verify(self) -> None:
        """Open the finished file again: a disk that lied shows now and not when somebody plays it."""
        with av.open(f"file:{self._part}") as written:
            count = written.streams.video[0].frames
        if self._format in _QUICKTIME and count != self._count:
            raise WriteError(f"{self.path}: holds {count} of {self._count} frames after writing; is the disk full?")

    def _close(self) -> None:
        container, sound = self._container, self._sound
        self._container = self._sound = None
        if sound is not None:
            sound.close()
        if container is not None:
            container.close()

    def _discard(self) -> None:
        # What the container still wants to write, and cannot, matters no more.
        with suppress(*DAMAGE, ValueError):
            self._close()
        with suppress(OSError):
            self._part.unlink(missing_ok=True)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Name the file in errors of writing it."""
        try:
            yield
        except OSError as error:
            raise WriteError(f"{self.path}: could not be written: {error.strerror or error}") from error
        except av.FFmpegError as error:
            raise WriteError(f"{self.path}: could not be written: {error.strerror or error}") from error


def _even(picture: Picture) -> Picture:
    """The picture with its last row or column repeated where its size is odd."""
    height, width = picture.shape[:2]
    if height % 2 or width % 2:
        padded = cv2.copyMakeBorder(picture, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE)
        return np.asarray(padded, dtype=np.uint8)
    return picture


def _timescale(time_base: Fraction, sound_rates: Iterable[int]) -> int:
    """Ticks per second of an MP4 file's own clock, in which it says when each track starts.

    By default that is 1000, which would round the start of a track that starts late.
    """
    ticks = time_base.denominator
    while ticks < _LEAST_TIMESCALE:  # FFmpeg gives the video track ticks as fine as this
        ticks *= 2
    exact = lcm(ticks, *sound_rates)
    return exact if exact <= _MOST_TICKS else ticks
