"""Join the parts of a video, and what accompanies its source's images, into the finished file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from detector.errors import VideoError, WriteError
from detector.video.ffmpeg import av
from detector.video.reading.containers import DAMAGE, counted
from detector.video.section import WHOLE_SPAN, Span
from detector.video.writing.audio import Audio, AudioWay
from detector.video.writing.parts import Part, mark, packets_of, timescale
from detector.video.writing.passthrough import PassthroughTracks

_QUICKTIME = ("mp4", "mov")


@dataclass(frozen=True)
class Accompaniment:
    """What goes into the finished file beside the images, and its source."""

    video: str | None = None
    """The video whose audio, subtitles, chapters and tags are copied; None for images alone."""

    span: Span = WHOLE_SPAN
    """The section of it."""

    chapters_until: Fraction | None = None
    """Where chapters end, on the source's clock; None for the end of the span."""

    audio: Audio = "auto"

    location: bool = True
    """Whether tags with the location of the recording are kept."""


class Remuxer:
    """Writes one video file from parts; `name` is its name in messages. `notes` then says what was changed."""

    def __init__(
        self, target: Path, container_format: str, beside: Accompaniment, *, name: Path, run_digest: str = ""
    ) -> None:
        self._target = target
        self._format = container_format
        self._beside = beside
        self._name = name
        self._run_digest = run_digest
        self._container: av.container.OutputContainer | None = None
        self._tracks: PassthroughTracks | None = None
        self._lost = 0
        self.notes: list[str] = []

    def join(self, parts: Sequence[Part], *, time_base: Fraction) -> None:
        """Write the parts and what accompanies them.

        If the container refuses a track, audio is re-encoded; if that fails, subtitles are left out, then audio. Raise
        `OSError` or FFmpeg's errors if the file cannot be written, `WriteError` if it is incomplete.
        """
        for audio, subtitles in self._ways():
            try:
                self._write(parts, time_base, audio, subtitles=subtitles)
                break
            except OSError:
                raise
            except VideoError as error:  # the source has disappeared since its images were read
                self._beside = Accompaniment()
                self._write(parts, time_base, "none", subtitles=False)
                self._note(f"audio and subtitles left out: {error}")
                break
            except (*DAMAGE, ValueError):
                if (audio, subtitles) == ("none", False):
                    raise
        self._verify(sum(part.frames for part in parts))

    def _ways(self) -> Iterator[tuple[AudioWay, bool]]:
        """Yield what to do with audio, and whether to keep subtitles: the first that the container accepts is used."""
        wanted = self._beside.audio
        if self._beside.video is not None:
            ways: tuple[AudioWay, ...] = ("none",) if wanted == "none" else (wanted, "encode")
            for subtitles in (True, False):
                for way in ways:
                    yield way, subtitles
        if self._beside.video is None or wanted != "none":
            yield "none", False

    def _write(self, parts: Sequence[Part], time_base: Fraction, audio: AudioWay, *, subtitles: bool) -> None:
        self._lost = 0
        self.notes = []
        try:
            with av.open(f"file:{parts[0].path}") as first:
                pictures = first.streams.video[0]
                _check_alike(pictures, parts[1:], self._name)
                video = self._open(pictures, time_base, audio, subtitles=subtitles)
            assert self._container is not None
            for packet in packets_of(parts):
                packet.stream = video
                if self._tracks is not None:
                    self._mux_others(self._tracks.until((packet.dts or 0) * packet.time_base))
                self._container.mux(packet)
            if self._tracks is not None:
                self._mux_others(self._tracks.rest())
                if self._lost:
                    self._note(f"{counted(self._lost, 'damaged packet')} of audio or subtitles left out")
                for note in self._tracks.late_notes:
                    self._note(note)
        finally:
            self._close()

    def _open(
        self, pictures: av.VideoStream, time_base: Fraction, audio: AudioWay, *, subtitles: bool
    ) -> av.VideoStream:
        """Open the file, add its tracks and write its header."""
        beside = self._beside
        if beside.video is not None:
            self._tracks = PassthroughTracks(beside.video, beside.span, chapters_until=beside.chapters_until)
        options = {}
        if self._format in _QUICKTIME:
            # The index goes to the front, so that a browser can play while loading.
            rates = self._tracks.rates if self._tracks and audio != "none" else []
            options = {"movflags": "+faststart", "movie_timescale": str(timescale(time_base, rates))}
        self._container = av.open(f"file:{self._target}", "w", format=self._format, container_options=options)
        video = self._container.add_stream_from_template(pictures, opaque=True)
        video.time_base = pictures.time_base
        if self._run_digest:
            mark(video, self._run_digest)
        if self._format in _QUICKTIME and pictures.codec_context.name == "hevc":
            video.codec_context.codec_tag = "hvc1"  # Apple's players recognise HEVC by this name only
        if self._tracks is not None:
            self._tracks.attach(self._container, audio=audio, subtitles=subtitles, location=beside.location)
            for note in self._tracks.notes:
                self._note(note)
            if audio == "none" and beside.audio != "none" and self._tracks.rates:
                self._note("audio left out: it can be neither copied nor re-encoded")
        self._container.start_encoding()
        return video

    def _mux_others(self, packets: Iterable[av.Packet[Any]]) -> None:
        assert self._container is not None
        for packet in packets:
            try:
                self._container.mux(packet)
            except OSError:
                raise
            except DAMAGE:  # no reason to lose the video
                self._lost += 1

    def _verify(self, expected: int) -> None:
        """Reopen the finished file and count its frames, so that a failing disk is noticed now."""
        with av.open(f"file:{self._target}") as written:
            frames = sum(1 for packet in written.demux(video=0) if packet.size and not packet.is_corrupt)
        if frames != expected:
            raise WriteError(f"{self._name}: holds {frames} of {expected} frames after writing; is the disk full?")

    def _close(self) -> None:
        container, tracks = self._container, self._tracks
        self._container = self._tracks = None
        if tracks is not None:
            tracks.close()
        if container is not None:
            container.close()

    def _note(self, note: str) -> None:
        self.notes.append(f"{self._name}: {note}")


def _check_alike(pictures: av.VideoStream, others: Sequence[Part], name: Path) -> None:
    """Refuse parts whose codec headers differ: the finished file has only one."""
    for part in others:
        with av.open(f"file:{part.path}") as video:
            if video.streams.video[0].codec_context.extradata != pictures.codec_context.extradata:
                raise WriteError(
                    f"{name}: {part.path} was encoded differently from the part before it; start again with --overwrite"
                )
