"""Copy or convert one subtitle track of a video."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Any, cast

from detector.video.ffmpeg import av
from detector.video.reading.containers import DAMAGE
from detector.video.section import Span

_COPIED = {
    "mp4": ("mov_text",),
    "mov": ("mov_text",),
    "matroska": ("subrip", "ass", "webvtt", "hdmv_pgs_subtitle", "dvd_subtitle", "dvb_subtitle", "hdmv_text_subtitle"),
    "webm": ("webvtt",),
}
"""By container, the subtitle codecs it holds, in FFmpeg's names."""

_ENCODED = {"mp4": "mov_text", "mov": "mov_text", "matroska": "subrip", "webm": "webvtt"}
"""By container, the codec that other text subtitles are converted to."""

_TICK = Fraction(1, 1000)
_NOTHING_SHOWN = b"\0\0"
"""MP4's packet for a time without a subtitle, which FFmpeg's writer adds itself."""


def carry_subtitles(
    stream: av.subtitles.stream.SubtitleStream, output: av.container.OutputContainer, *, span: Span
) -> CopiedSubtitles | None:
    """Add a subtitle track to `output`, converted where needed, and return it; None if neither is possible."""
    context = stream.codec_context
    if context is None:
        return None
    container = output.format.name
    try:
        if context.codec.canonical_name in _COPIED[container]:
            return CopiedSubtitles(stream, output.add_stream_from_template(stream), span)
        if not context.codec.text_sub:
            return None  # bitmaps
        context.open(strict=False)
        target = cast(av.subtitles.stream.SubtitleStream, output.add_stream(_ENCODED[container]))
        target.codec_context.time_base = _TICK
        target.codec_context.subtitle_header = context.subtitle_header
        return EncodedSubtitles(stream, target, span)
    except (*DAMAGE, ValueError, AttributeError):
        return None


class CopiedSubtitles:
    """A subtitle track whose packets are copied, and cut at the ends of a span."""

    def __init__(self, stream: Any, target: Any, span: Span) -> None:
        self.stream = stream
        self.target = target
        self._span = span
        self._last: int | None = None

    def carry(self, packet: av.Packet[Any]) -> Iterator[av.Packet[Any]]:
        """Yield the packets of the copy for an input packet."""
        if packet.pts is None or bytes(packet) == _NOTHING_SHOWN:
            return
        tick = packet.time_base
        start, end = packet.pts * tick, (packet.pts + (packet.duration or 0)) * tick
        if not self._span.holds(start, end):
            return
        start = start if self._span.begin_seconds is None else max(start, self._span.begin_seconds)
        end = end if self._span.end_seconds is None else min(end, self._span.end_seconds)
        for made in self._made(packet):
            made.stream = self.target
            made.time_base = tick
            made.pts = round((start - self._span.shift_seconds) / tick)
            made.pts = made.dts = made.pts if self._last is None else max(made.pts, self._last)
            made.duration = max(0, round((end - start) / tick))
            self._last = made.pts
            yield made

    def finish(self) -> Iterator[av.Packet[Any]]:
        """Return the remaining packets: none."""
        return iter(())

    def _made(self, packet: av.Packet[Any]) -> Iterator[av.Packet[Any]]:
        yield packet


class EncodedSubtitles(CopiedSubtitles):
    """A subtitle track whose text is converted to another codec."""

    def _made(self, packet: av.Packet[Any]) -> Iterator[av.Packet[Any]]:
        try:
            texts = self.stream.codec_context.decode2(packet)
            if texts is not None and len(texts):
                yield self.target.codec_context.encode_subtitle(texts)
        except DAMAGE:
            return  # one subtitle is missing
