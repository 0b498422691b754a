"""Copy or re-encode one audio track of a video."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Any, Literal

from detector.video.ffmpeg import av
from detector.video.reading.containers import DAMAGE
from detector.video.section import Span
from detector.video.timeline import Timeline

Audio = Literal["auto", "copy", "aac", "none"]
"""How audio tracks are handled.

`auto` copies those that browsers play in this container, `copy` those that the container can hold; others become AAC,
or Opus in WebM. `aac` makes all of them AAC, `none` drops them.
"""

AudioWay = Literal["auto", "copy", "aac", "encode", "none"]
"""The same with a fallback: re-encoding what players play too."""

_MATROSKA = ("matroska", "webm")
_PLAYED = {"mp4": ("aac", "mp3", "opus", "flac"), "webm": ("opus", "vorbis")}
"""By container, the codecs that browsers play in it. Others can be noise or silence there."""

_AAC_RATES = (48000, 44100, 96000, 88200, 64000, 32000, 24000, 22050, 16000, 12000, 11025, 8000)
_LAYOUTS = {1: "mono", 2: "stereo", 3: "3.0", 4: "4.0", 5: "5.0", 6: "5.1", 8: "7.1"}
"""By number of channels, the layouts that both encoders accept."""

_BITS_PER_CHANNEL = 80_000
"""Bits per second: AAC at this rate is transparent."""

_AAC_FRAME_SAMPLES = 1024
_GAP_SECONDS = Fraction(1, 20)


def carry_audio(
    stream: av.AudioStream, output: av.container.OutputContainer, *, way: AudioWay, span: Span
) -> tuple[CopiedAudio | None, str]:
    """Add an audio track to `output` and return it, or None if that is impossible, with a note for the user or "".

    Packets of a span are copied whole, with one before it, because decoders need a run-in; in an MP4 the run-in is
    marked as not to be played.
    """
    # Matroska has no timestamps below zero: it would shift everything, images too, to make room for an encoder's
    # run-in, unless it knows the run-in's length, which only Matroska itself stores.
    cut = span.begin_seconds is not None and output.format.name in _MATROSKA
    from_zero = output.format.name == "matroska" and "matroska" not in stream.container.format.name
    codec = stream.codec_context.codec.canonical_name
    played = _PLAYED.get(output.format.name, (codec,))
    if way == "copy" or (way == "auto" and codec in played) or (way == "aac" and codec == "aac"):
        try:
            return CopiedAudio(stream, _copied(stream, output), span, from_zero=from_zero or cut), ""
        except (*DAMAGE, ValueError):
            pass  # the container cannot hold it
    try:
        target = _encoded(stream, output)
    except (*DAMAGE, ValueError, AttributeError) as error:
        return None, f"audio left out: {codec} can be neither copied nor re-encoded ({error})"
    track = EncodedAudio(stream, target, span, from_zero=from_zero, played_only=cut)
    return track, f"audio re-encoded from {codec} to {_encoder_name(output)}"


def _copied(stream: av.AudioStream, output: av.container.OutputContainer) -> av.AudioStream:
    target = output.add_stream_from_template(stream)
    layout = _LAYOUTS.get(stream.layout.nb_channels)
    if layout and stream.layout.name.endswith(" channels"):  # AVI's name for it; an MP4 needs the codec's own tag
        target.codec_context.layout = layout
    return target


def _encoded(stream: av.AudioStream, output: av.container.OutputContainer) -> av.AudioStream:
    opus = output.format.name == "webm"
    rate = stream.rate if stream.rate in _AAC_RATES and not opus else _AAC_RATES[0]
    channels = stream.layout.nb_channels if stream.layout.nb_channels in _LAYOUTS else 2
    bits = _BITS_PER_CHANNEL * channels
    return output.add_stream("libopus" if opus else "aac", rate=rate, layout=_LAYOUTS[channels], bit_rate=bits)


def _encoder_name(output: av.container.OutputContainer) -> str:
    return "Opus" if output.format.name == "webm" else "AAC"


class CopiedAudio:
    """An audio track whose packets are copied; `from_zero` leaves out those that would come before 0."""

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
        """Yield the packets of the copy for an input packet."""
        if self._wants(packet):
            pts = None if packet.pts is None else packet.pts - self._shift
            packet.pts = packet.dts = self._timeline.place(pts, packet.duration)
            packet.stream = self.target
            if packet.pts >= 0 or not self._from_zero:
                yield packet

    def finish(self) -> Iterator[av.Packet[av.AudioStream]]:
        """Return the remaining packets: none."""
        return iter(())

    def _wants(self, packet: av.Packet[Any]) -> bool:
        if packet.pts is None:
            return self._span.begin_seconds is None or self._begun
        start, length = packet.pts * self._time_base, (packet.duration or 0) * self._time_base
        self._begun = self._span.holds(start, start + 2 * length)
        return self._begun


class EncodedAudio(CopiedAudio):
    """An audio track that is decoded and re-encoded; `played_only` leaves out what is decoded before 0."""

    def __init__(
        self,
        stream: av.AudioStream,
        target: av.AudioStream,
        span: Span,
        *,
        from_zero: bool,
        played_only: bool,
    ) -> None:
        super().__init__(stream, target, span, from_zero=from_zero)
        self._played_only = played_only
        self._next_sample: int | None = None
        self._encoded = Timeline(Fraction(1, target.rate), step=_AAC_FRAME_SAMPLES)

    def carry(self, packet: av.Packet[Any]) -> Iterator[av.Packet[av.AudioStream]]:
        """Yield the packets of the copy for an input packet."""
        if self._wants(packet):
            yield from self._decoded(packet)

    def finish(self) -> Iterator[av.Packet[av.AudioStream]]:
        """Yield the packets that decoder and encoder still hold."""
        yield from self._decoded(None)
        yield from self._encode(None)

    def _decoded(self, packet: av.Packet[Any] | None) -> Iterator[av.Packet[av.AudioStream]]:
        try:
            frames = self.stream.decode(packet)
        except (EOFError, *DAMAGE):
            frames = []  # one packet is missing
        for frame in frames:
            self._place(frame)
            if not self._played_only or (frame.pts or 0) >= 0:
                yield from self._encode(frame)

    def _place(self, frame: av.AudioFrame) -> None:
        """Set the frame's timestamp, counted in samples. The stream's own, often in milliseconds, only reveal gaps."""
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
