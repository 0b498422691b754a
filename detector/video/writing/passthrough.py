"""What goes with the pictures of a video, carried over beside new ones: sound, subtitles, chapters, tags."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from typing import Any, Protocol

from detector.video.ffmpeg import av
from detector.video.reading.containers import DAMAGE, counted, open_container, reason
from detector.video.section import Span
from detector.video.writing.audio import SoundBy, carry_sound
from detector.video.writing.subtitles import carry_subtitles

_FORMATS_WITH_INDEX = ("mov", "matroska")
"""Those in which a seek ends before the time asked for and not somewhere near it."""

_RUN_IN_SECONDS = Fraction(1)
"""How much sound before a section is read: decoders of sound need some to start."""

_OWN_TAGS = {"major_brand", "minor_version", "compatible_brands", "encoder", "duration", "timecode"}
"""What a file says of how it is stored itself."""

_STREAM_TAGS = ("language", "title", "handler_name")


class Track(Protocol):
    """One stream on its way into another file, of which it takes what lies within a `Span`."""

    stream: Any
    """Of the source."""

    target: Any
    """Of the copy."""

    def carry(self, packet: av.Packet[Any]) -> Iterator[av.Packet[Any]]:
        """What a packet of the source becomes."""
        ...

    def finish(self) -> Iterator[av.Packet[Any]]:
        """What is still held when the last packet has come."""
        ...


class PassthroughTracks:
    """All sound tracks and subtitles of a video, to be muxed as its pictures come; `attach` says into which file."""

    def __init__(self, video: str, span: Span, *, chapters_until: Fraction | None = None) -> None:
        self._input = open_container(video)
        self._span = span
        self._chapters_until = chapters_until
        self._sounds = [stream for stream in self._input.streams.audio if stream.codec_context is not None]
        self.rates = [stream.rate for stream in self._sounds]
        """Samples per second of each sound track."""
        self.notes: list[str] = []
        """What became of the tracks."""
        self.late_notes: list[str] = []
        """What went wrong on the way."""
        self._tracks: dict[int, Track] = {}
        self._packets: Iterator[av.Packet[Any]] = iter(())
        self._waiting: av.Packet[Any] | None = None

    def attach(self, output: av.container.OutputContainer, *, sound: SoundBy | None, subtitles: bool) -> None:
        """Give `output` its tracks: sound as it is (`copy`) or as AAC or Opus (`encode`), subtitles where it can.

        A sound track of which `output` cannot hold the codec is encoded in any case.
        """
        self._carry_tags(output)
        if sound is not None:
            self._attach_sound(output, sound)
        self._attach_subtitles(output, subtitles)
        self._packets = self._read()

    def until(self, seconds: Fraction) -> Iterator[av.Packet[Any]]:
        """The packets due up to a moment of the output."""
        while True:
            packet = self._waiting if self._waiting is not None else next(self._packets, None)
            self._waiting = None
            if packet is None:
                return
            if (packet.dts or 0) * packet.time_base > seconds:
                self._waiting = packet
                return
            yield packet

    def rest(self) -> Iterator[av.Packet[Any]]:
        """All packets not yet taken."""
        if self._waiting is not None:
            yield self._waiting
        yield from self._packets

    def close(self) -> None:
        """Let go of the video."""
        self._input.close()

    def _carry_tags(self, output: av.container.OutputContainer) -> None:
        """Title, time of creation and the like; chapters; the fonts that subtitles ask for."""
        output.metadata.update(
            {name: text for name, text in self._input.metadata.items() if name.lower() not in _OWN_TAGS}
        )
        chapters = self._chapters()
        if chapters:
            output.set_chapters(chapters)
        if output.format.name == "matroska":
            for stream in self._input.streams.attachments:
                output.add_attachment(stream.name or "attachment", stream.mimetype or "", stream.data)

    def _chapters(self) -> list[Any]:
        """The chapters of the span, on the copy's clock."""
        span, tick = self._span, Fraction(1, 1000)
        first = span.shift_seconds if span.begin_seconds is None else span.begin_seconds
        lasts = [end for end in (span.end_seconds, self._chapters_until) if end is not None]
        chapters = []
        for chapter in self._input.chapters():
            scale = chapter["time_base"] or tick
            start, end = max(chapter["start"] * scale, first), min([chapter["end"] * scale, *lasts])
            if start < end:
                edges = {edge: round((at - span.shift_seconds) / tick) for edge, at in (("start", start), ("end", end))}
                chapters.append({**chapter, **edges, "time_base": tick})
        return chapters

    def _attach_sound(self, output: av.container.OutputContainer, by: SoundBy) -> None:
        if len(self._sounds) < len(self._input.streams.audio):
            self.notes.append("sound left out: it is in a format that FFmpeg does not know")
        for stream in self._sounds:
            track, note = carry_sound(stream, output, by=by, span=self._span)
            if note:
                self.notes.append(note)
            if track is not None:
                self._take(track)

    def _attach_subtitles(self, output: av.container.OutputContainer, wanted: bool) -> None:
        left_out = []
        for stream in self._input.streams.subtitles:
            track = carry_subtitles(stream, output, span=self._span) if wanted else None
            if track is None:
                left_out.append(stream.codec_context.codec.canonical_name if stream.codec_context else "unknown")
            else:
                self._take(track)
        if left_out:
            kinds = ", ".join(dict.fromkeys(left_out))
            self.notes.append(f"{counted(len(left_out), 'subtitle track')} left out ({kinds}): not for this container")

    def _take(self, track: Track) -> None:
        stream, target = track.stream, track.target
        self._tracks[stream.index] = track
        target.metadata.update({name: stream.metadata[name] for name in _STREAM_TAGS if name in stream.metadata})
        if "name" in stream.metadata:  # MP4's word for a title
            target.metadata["title"] = stream.metadata["name"]
        target.disposition = stream.disposition

    def _read(self) -> Iterator[av.Packet[Any]]:
        """The output's packets in the order of the input file."""
        if not self._tracks:
            return
        self._skip_to_begin()
        going = set(self._tracks)
        try:
            for packet in self._input.demux([track.stream for track in self._tracks.values()]):
                if self._is_past(packet):
                    going.discard(packet.stream.index)
                    if not going:
                        break
                if packet.size:
                    yield from self._tracks[packet.stream.index].carry(packet)
        except DAMAGE as error:
            self.late_notes.append(f"sound ends early: {reason(error)}")
        for track in self._tracks.values():
            yield from track.finish()

    def _skip_to_begin(self) -> None:
        """Pass over what comes long before the span, where that is sure to miss nothing."""
        begin = self._span.begin_seconds
        # A subtitle that is still to be read at the beginning may have come up at any time before.
        if begin is None or len(self._tracks) > len(self._sounds):
            return
        if self._sounds and self._input.format.name.startswith(_FORMATS_WITH_INDEX):
            sound = self._sounds[0]
            with suppress(*DAMAGE):
                # By the sound's own index: pictures may begin later, and be the first thing found.
                self._input.seek(round((begin - _RUN_IN_SECONDS) / (sound.time_base or 1)), stream=sound)

    def _is_past(self, packet: av.Packet[Any]) -> bool:
        end = self._span.end_seconds
        return end is not None and packet.pts is not None and packet.pts * packet.time_base >= end
