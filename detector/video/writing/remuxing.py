"""Parts of a video and what goes with its source's pictures, put together into the file the user asked for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

from detector.errors import WriteError
from detector.video.ffmpeg import av
from detector.video.reading.containers import DAMAGE, counted
from detector.video.section import Span
from detector.video.writing.audio import SoundBy
from detector.video.writing.parts import Part, packets_of, timescale
from detector.video.writing.passthrough import PassthroughTracks

_QUICKTIME = ("mp4", "mov")


class Remuxer:
    """Writes one video file; `join` does it, `notes` then say what became of sound and subtitles.

    These come from the video `sound_from`, as far as they lie within `span`; of chapters what begins before
    `chapters_until` on the source's clock.
    """

    def __init__(
        self,
        target: Path,
        container_format: str,
        *,
        sound_from: str | None,
        span: Span,
        chapters_until: Fraction | None,
        name: Path,
    ) -> None:
        self._target = target
        self._format = container_format
        self._sound_from = sound_from
        self._span = span
        self._chapters_until = chapters_until
        self._name = name
        """What the user calls the file."""
        self._container: av.container.OutputContainer | None = None
        self._carried: PassthroughTracks | None = None
        self._lost = 0
        self.notes: list[str] = []

    def join(self, parts: Sequence[Part], *, time_base: Fraction) -> None:
        """Write the parts and what goes with them.

        Raises `OSError` or FFmpeg's errors where the file cannot be written, `WriteError` where it is not whole.
        """
        try:
            with av.open(f"file:{parts[0].path}") as first:
                pictures = first.streams.video[0]
                _check_alike(pictures, parts[1:], self._name)
                video = self._begin(pictures, time_base)
            for packet in packets_of(parts):
                packet.stream = video
                if self._carried is not None:
                    self._mux_carried(self._carried.until((packet.dts or 0) * packet.time_base))
                assert self._container is not None
                self._container.mux(packet)
            if self._carried is not None:
                self._mux_carried(self._carried.rest())
                if self._lost:
                    self._note(f"{counted(self._lost, 'damaged piece')} of sound or subtitles left out")
                for note in self._carried.late_notes:
                    self._note(note)
        finally:
            self._close()
        self._verify(sum(part.frames for part in parts))

    def _begin(self, pictures: av.VideoStream, time_base: Fraction) -> av.VideoStream:
        """Write the file's head, giving way on subtitles and sound as far as the container asks."""
        ways: list[tuple[SoundBy, bool]] = [("copy", True), ("encode", True), ("copy", False), ("encode", False)]
        for sound, subtitles in ways if self._sound_from else ():
            try:
                return self._open(pictures, time_base, sound, subtitles=subtitles)
            except OSError:
                raise
            except (*DAMAGE, ValueError):
                self._close()
        return self._open(pictures, time_base, None)

    def _open(
        self, pictures: av.VideoStream, time_base: Fraction, sound: SoundBy | None, *, subtitles: bool = False
    ) -> av.VideoStream:
        if sound and self._sound_from:
            self._carried = PassthroughTracks(self._sound_from, self._span, chapters_until=self._chapters_until)
        options = {}
        if self._format in _QUICKTIME:
            # The index goes to the front, so that a browser plays while it loads.
            rates = self._carried.rates if self._carried else []
            options = {"movflags": "+faststart", "movie_timescale": str(timescale(time_base, rates))}
        self._container = av.open(f"file:{self._target}", "w", format=self._format, container_options=options)
        video = self._container.add_stream_from_template(pictures, opaque=True)
        video.time_base = pictures.time_base
        if self._format in _QUICKTIME and pictures.codec_context.name == "hevc":
            video.codec_context.codec_tag = "hvc1"  # Apple's players know HEVC by this name only
        self.notes = []
        if self._carried is not None:
            self._carried.attach(self._container, sound=sound, subtitles=subtitles)
            for note in self._carried.notes:
                self._note(note)
        elif self._sound_from is not None:
            self._note("without sound, which could be neither copied nor encoded")
        self._container.start_encoding()
        return video

    def _mux_carried(self, packets: Iterable[av.Packet[Any]]) -> None:
        assert self._container is not None
        for packet in packets:
            try:
                self._container.mux(packet)
            except OSError:
                raise
            except DAMAGE:  # no reason to lose the pictures
                self._lost += 1

    def _verify(self, expected: int) -> None:
        """Open the finished file again and count: a disk that lied shows now and not when somebody plays it."""
        with av.open(f"file:{self._target}") as written:
            frames = sum(1 for packet in written.demux(video=0) if packet.size and not packet.is_corrupt)
        if frames != expected:
            raise WriteError(f"{self._name}: holds {frames} of {expected} frames after writing; is the disk full?")

    def _close(self) -> None:
        container, carried = self._container, self._carried
        self._container = self._carried = None
        if carried is not None:
            carried.close()
        if container is not None:
            container.close()

    def _note(self, note: str) -> None:
        self.notes.append(f"{self._name}: {note}")


def _check_alike(pictures: av.VideoStream, others: Sequence[Part], name: Path) -> None:
    """Parts of one track share one head; another version of the encoder may write another."""
    for part in others:
        with av.open(f"file:{part.path}") as video:
            if video.streams.video[0].codec_context.extradata != pictures.codec_context.extradata:
                raise WriteError(
                    f"{name}: {part.path} was encoded in another way than the part before it; start with --overwrite"
                )
