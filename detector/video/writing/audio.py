"""One sound track of a video, carried over packet by packet beside new pictures."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Any, Literal

from detector.video.ffmpeg import av
from detector.video.reading.containers import DAMAGE
from detector.video.section import Span
from detector.video.timeline import Timeline

SoundBy = Literal["copy", "encode"]
_MATROSKA = ("matroska", "webm")
_AAC_RATES = (48000, 44100, 96000, 88200, 64000, 32000, 24000, 22050, 16000, 12000, 11025, 8000)
_AAC_LAYOUTS = {1: "mono", 2: "stereo", 3: "3.0", 4: "4.0", 5: "5.0", 6: "5.1", 8: "7.1"}
"""By number of channels."""
_AAC_BITS_PER_CHANNEL = 80_000
"""Per second; more than AAC needs to be taken for its source."""
_AAC_FRAME_SAMPLES = 1024
_GAP_SECONDS = Fraction(1, 20)


def carry_sound(
    stream: av.AudioStream, output: av.container.OutputContainer, *, by: SoundBy, span: Span
) -> tuple[CopiedSound | None, str]:
    """Give `output` a sound track, and say what became of it where that needs saying.

    A copy where that is asked for and the container can hold the codec, AAC (Opus in WebM) otherwise; None where
    neither goes. Of a span packets are taken whole, and one before it, as decoders need a run-in; an MP4 says that it
    is not to be heard.
    """
    # Matroska has no timestamps below zero: it would move everything, pictures too, to make room for an encoder's
    # run-in, unless it knows the run-in's length, which only Matroska itself says.
    cut = span.begin_seconds is not None and output.format.name in _MATROSKA
    from_zero = output.format.name == "matroska" and "matroska" not in stream.container.format.name
    if by == "copy":
        try:
            return CopiedSound(stream, output.add_stream_from_template(stream), span, from_zero=from_zero or cut), ""
        except (*DAMAGE, ValueError):
            pass  # the container cannot hold it
    try:
        opus = output.format.name == "webm"
        rate = stream.rate if stream.rate in _AAC_RATES and not opus else _AAC_RATES[0]
        layout = _AAC_LAYOUTS.get(stream.layout.nb_channels, "stereo")
        bits = _AAC_BITS_PER_CHANNEL * stream.layout.nb_channels
        target = output.add_stream("libopus" if opus else "aac", rate=rate, layout=layout, bit_rate=bits)
    except (*DAMAGE, ValueError, AttributeError) as error:
        return None, f"sound left out: it can be neither copied nor encoded ({error})"
    track = EncodedSound(stream, target, span, from_zero=from_zero, heard_only=cut)
    return track, f"sound re-encoded from {stream.codec_context.name} to {'Opus' if opus else 'AAC'}"


class CopiedSound:
    """One sound stream whose packets are taken as they are; `from_zero` leaves out what would come before 0."""

    def __init__(self, stream: av.AudioStream, target: av.AudioStream, span: Span, *, from_zero: bool) -> None:
        self.stream = stream
        self.target = target
        self._span = span
        self._from_zero = from_zero
        self._time_base = stream.time_base or Fraction(1, stream.rate)
        self._shift = round(span.shift_seconds / self._time_base)
        self._timeline = Timeline(self._time_base, step=1)
        self._begun = False

    def carry(self, packet: av.Packet[Any]) -> Iterator[av.Packet[av.AudioStream]]:
        """What an input packet becomes."""
        if self._wants(packet):
            pts = None if packet.pts is None else packet.pts - self._shift
            packet.pts = packet.dts = self._timeline.place(pts, packet.duration)
            packet.stream = self.target
            if packet.pts >= 0 or not self._from_zero:
                yield packet

    def finish(self) -> Iterator[av.Packet[av.AudioStream]]:
        """Nothing: no packet is held."""
        return iter(())

    def _wants(self, packet: av.Packet[Any]) -> bool:
        if packet.pts is None:
            return self._span.begin_seconds is None or self._begun
        start, length = packet.pts * self._time_base, (packet.duration or 0) * self._time_base
        self._begun = self._span.holds(start, start + 2 * length)
        return self._begun


class EncodedSound(CopiedSound):
    """One sound stream that is decoded and becomes AAC; `heard_only` leaves out what is decoded before 0."""

    def __init__(
        self,
        stream: av.AudioStream,
        target: av.AudioStream,
        span: Span,
        *,
        from_zero: bool,
        heard_only: bool,
    ) -> None:
        super().__init__(stream, target, span, from_zero=from_zero)
        self._heard_only = heard_only
        self._next_sample: int | None = None
        self._encoded = Timeline(Fraction(1, target.rate), step=_AAC_FRAME_SAMPLES)

    def carry(self, packet: av.Packet[Any]) -> Iterator[av.Packet[av.AudioStream]]:
        """What an input packet becomes."""
        if self._wants(packet):
            yield from self._decoded(packet)

    def finish(self) -> Iterator[av.Packet[av.AudioStream]]:
        """What decoder and encoder hold."""
        yield from self._decoded(None)
        yield from self._encode(None)

    def _decoded(self, packet: av.Packet[Any] | None) -> Iterator[av.Packet[av.AudioStream]]:
        try:
            frames = self.stream.decode(packet)
        except (EOFError, *DAMAGE):
            frames = []  # a gap of one packet in the sound
        for frame in frames:
            self._place(frame)
            if not self._heard_only or (frame.pts or 0) >= 0:
                yield from self._encode(frame)

    def _place(self, frame: av.AudioFrame) -> None:
        """Count in samples; the stream's own ticks, often milliseconds, only tell of gaps."""
        rate = frame.sample_rate
        start = self._next_sample or 0
        if frame.pts is not None:
            claimed = round((frame.pts - self._shift) * self._time_base * rate)
            if self._next_sample is None or abs(claimed - start) > _GAP_SECONDS * rate:
                start = claimed
        frame.pts, frame.time_base = start, Fraction(1, rate)
        self._next_sample = start + frame.samples

    def _encode(self, frame: av.AudioFrame | None) -> Iterator[av.Packet[av.AudioStream]]:
        for packet in self.target.encode(frame):
            packet.time_base = Fraction(1, self.target.rate)
            packet.pts = packet.dts = self._encoded.place(packet.pts, packet.duration)
            if packet.pts >= 0 or not self._from_zero:
                yield packet
