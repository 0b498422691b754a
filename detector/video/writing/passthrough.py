"""Copy what accompanies the images of a video: audio, subtitles, chapters, tags."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from typing import Any, Protocol

from detector.video.ffmpeg import av
from detector.video.reading.containers import DAMAGE, counted, open_container, reason
from detector.video.section import Span
from detector.video.writing.audio import AudioWay, carry_audio
from detector.video.writing.subtitles import carry_subtitles

_FORMATS_WITH_INDEX = ("mov", "matroska")
"""Formats in which a seek ends before the requested time rather than near it."""

_RUN_IN_SECONDS = Fraction(1)
"""Seconds of audio read before a section: audio decoders need a run-in."""

_OWN_TAGS = {"major_brand", "minor_version", "compatible_brands", "encoder", "duration", "timecode"}
"""Tags about the file itself, which do not apply to a copy."""

_LOCATION_TAG = "location"
"""Location tags, also with a language: `location-eng`, `com.apple.quicktime.location.ISO6709`."""

_STREAM_TAGS = ("language", "title", "handler_name")


class Track(Protocol):
    """One stream that is copied to another file, within a `Span`."""

    stream: Any
    """The source's stream."""

    target: Any
    """The copy's stream."""

    def carry(self, packet: av.Packet[Any]) -> Iterator[av.Packet[Any]]:
        """Yield the packets of the copy for an input packet."""
        ...

    def finish(self) -> Iterator[av.Packet[Any]]:
        """Yield the remaining packets after the last input packet."""
        ...


class PassthroughTracks:
    """All audio tracks and subtitles of a video, muxed along with its images; `attach` adds them to a file."""

    def __init__(self, video: str, span: Span, *, chapters_until: Fraction | None = None) -> None:
        self._input = open_container(video)
        self._span = span
        self._chapters_until = chapters_until
        self._audio = [stream for stream in self._input.streams.audio if stream.codec_context is not None]
        self.rates = [stream.rate for stream in self._audio]
        """Samples per second of each audio track."""
        self.notes: list[str] = []
        """Notes about what was re-encoded or left out."""
        self.late_notes: list[str] = []
        """Errors while packets were read."""
        self._tracks: dict[int, Track] = {}
        self._packets: Iterator[av.Packet[Any]] = iter(())
        self._waiting: av.Packet[Any] | None = None

    def attach(
        self, output: av.container.OutputContainer, *, audio: AudioWay, subtitles: bool, location: bool = True
    ) -> None:
        """Add the tracks to `output`, with tags and chapters; `location` keeps location tags.

        An audio track whose codec `output` cannot hold is re-encoded, whatever `audio` says.
        """
        self._carry_tags(output, location=location)
        if audio != "none":
            self._attach_audio(output, audio)
        self._attach_subtitles(output, subtitles)
        self._packets = self._read()

    def until(self, seconds: Fraction) -> Iterator[av.Packet[Any]]:
        """Yield the packets due up to a moment of the output."""
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
        """Yield all remaining packets."""
        if self._waiting is not None:
            yield self._waiting
        yield from self._packets

    def close(self) -> None:
        """Close the video."""
        self._input.close()

    def _carry_tags(self, output: av.container.OutputContainer, *, location: bool) -> None:
        """Copy tags such as title and creation time, chapters, and the fonts that subtitles use."""
        for name, text in self._input.metadata.items():
            if name.lower() not in _OWN_TAGS and (location or _LOCATION_TAG not in name.lower()):
                output.metadata[name] = text
        chapters = self._chapters()
        if chapters:
            output.set_chapters(chapters)
        if output.format.name == "matroska":
            for stream in self._input.streams.attachments:
                output.add_attachment(stream.name or "attachment", stream.mimetype or "", stream.data)

    def _chapters(self) -> list[Any]:
        """Return the chapters within the span, on the copy's clock."""
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

    def _attach_audio(self, output: av.container.OutputContainer, way: AudioWay) -> None:
        if len(self._audio) < len(self._input.streams.audio):
            self.notes.append("audio left out: its format is unknown to FFmpeg")
        for stream in self._audio:
            track, note = carry_audio(stream, output, way=way, span=self._span)
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
            self.notes.append(
                f"{counted(len(left_out), 'subtitle track')} left out ({kinds}): this container cannot hold it"
            )

    def _take(self, track: Track) -> None:
        stream, target = track.stream, track.target
        self._tracks[stream.index] = track
        target.metadata.update({name: stream.metadata[name] for name in _STREAM_TAGS if name in stream.metadata})
        if "name" in stream.metadata:  # MP4's word for a title
            target.metadata["title"] = stream.metadata["name"]
        target.disposition = stream.disposition

    def _read(self) -> Iterator[av.Packet[Any]]:
        """Yield the output's packets, in the order of the input file."""
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
            self.late_notes.append(f"audio ends early: {reason(error)}")
        for track in self._tracks.values():
            yield from track.finish()

    def _skip_to_begin(self) -> None:
        """Seek to the span if that certainly skips nothing of it."""
        begin = self._span.begin_seconds
        # A subtitle shown at the start of the span may have appeared at any time before.
        audio = [stream for stream in self._audio if stream.index in self._tracks]
        if begin is None or len(self._tracks) > len(audio):
            return
        if audio and self._input.format.name.startswith(_FORMATS_WITH_INDEX):
            with suppress(*DAMAGE):
                # By the audio's own index: images may begin later, and would be found first.
                self._input.seek(round((begin - _RUN_IN_SECONDS) / (audio[0].time_base or 1)), stream=audio[0])

    def _is_past(self, packet: av.Packet[Any]) -> bool:
        end = self._span.end_seconds
        return end is not None and packet.pts is not None and packet.pts * packet.time_base >= end
