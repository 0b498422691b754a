"""The sound of a video, carried over packet by packet beside new pictures."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Any, Literal

from detector.video.containers import DAMAGE, open_container, reason
from detector.video.ffmpeg import av
from detector.video.timeline import Timeline

SoundBy = Literal["copy", "encode"]
_AAC_RATES = (48000, 44100, 96000, 88200, 64000, 32000, 24000, 22050, 16000, 12000, 11025, 8000)
_AAC_LAYOUTS = {1: "mono", 2: "stereo", 3: "3.0", 4: "4.0", 5: "5.0", 6: "5.1", 8: "7.1"}
"""By number of channels."""
_AAC_BITS_PER_CHANNEL = 80_000
"""Per second; more than AAC needs to be taken for its source."""
_AAC_FRAME_SAMPLES = 1024
_GAP_SECONDS = Fraction(1, 20)


class Sound:
    """All sound tracks of a video, to be muxed into another as its pictures come; `attach` says into which."""

    def __init__(self, video: str) -> None:
        self._input = open_container(video)
        self.notes: list[str] = []
        """What became of the tracks."""
        self._streams = [stream for stream in self._input.streams.audio if stream.codec_context is not None]
        if len(self._streams) < len(self._input.streams.audio):
            self.notes.append("sound left out: it is in a format that FFmpeg does not know")
        self.rates = [stream.rate for stream in self._streams]
        """Samples per second of each track."""
        self.late_notes: list[str] = []
        """What went wrong on the way."""
        self._tracks: dict[int, _Track] = {}
        self._packets: Iterator[av.Packet[av.AudioStream]] = iter(())
        self._waiting: av.Packet[av.AudioStream] | None = None

    def attach(self, output: av.container.OutputContainer, *, by: SoundBy, shift_seconds: Fraction) -> None:
        """Give `output` its sound tracks: copies of the packets as they are, or AAC.

        A track of which `output` cannot hold the codec is encoded in any case. Timestamps move `shift_seconds` towards
        zero, as those of the pictures do.
        """
        # Matroska has no timestamps below zero: it would move everything, pictures too, to make room for an encoder's
        # run-in, unless it knows the run-in's length, which only Matroska itself says.
        self._drops_run_in = output.format.name == "matroska" and "matroska" not in self._input.format.name
        for stream in self._streams:
            track = self._carried(stream, output, copy=by == "copy", shift_seconds=shift_seconds)
            if track is not None:
                self._tracks[stream.index] = track
        self._packets = self._read()

    def until(self, seconds: Fraction) -> Iterator[av.Packet[av.AudioStream]]:
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

    def rest(self) -> Iterator[av.Packet[av.AudioStream]]:
        """All packets not yet taken."""
        if self._waiting is not None:
            yield self._waiting
        yield from self._packets

    def close(self) -> None:
        """Let go of the video."""
        self._input.close()

    def _carried(
        self, stream: av.AudioStream, output: av.container.OutputContainer, *, copy: bool, shift_seconds: Fraction
    ) -> _Track | None:
        if copy:
            try:
                return _Track(stream, output.add_stream_from_template(stream), shift_seconds)
            except (*DAMAGE, ValueError):
                pass  # the container cannot hold it
        try:
            rate = stream.rate if stream.rate in _AAC_RATES else _AAC_RATES[0]
            layout = _AAC_LAYOUTS.get(stream.layout.nb_channels, "stereo")
            bits = _AAC_BITS_PER_CHANNEL * stream.layout.nb_channels
            target = output.add_stream("aac", rate=rate, layout=layout, bit_rate=bits)
        except (*DAMAGE, ValueError, AttributeError) as error:
            self.notes.append(f"sound left out: it can be neither copied nor encoded ({error})")
            return None
        self.notes.append(f"sound re-encoded from {stream.codec_context.name} to AAC")
        return _EncodedTrack(stream, target, shift_seconds)

    def _read(self) -> Iterator[av.Packet[av.AudioStream]]:
        """The output's sound packets in the order of the input file."""
        if not self._tracks:
            return
        try:
            for packet in self._input.demux([track.stream for track in self._tracks.values()]):
                for carried in self._tracks[packet.stream.index].carry(packet):
                    if not (self._drops_run_in and (carried.pts or 0) < 0):
                        yield carried
        except DAMAGE as error:
            self.late_notes.append(f"sound ends early: {reason(error)}")


class _Track:
    """One sound stream whose packets are taken as they are."""

    def __init__(self, stream: av.AudioStream, target: av.AudioStream, shift_seconds: Fraction) -> None:
        self.stream = stream
        self._target = target
        self._time_base = stream.time_base or Fraction(1, stream.rate)
        self._shift = round(shift_seconds / self._time_base)
        self._timeline = Timeline(self._time_base, step=1)

    def carry(self, packet: av.Packet[Any]) -> Iterator[av.Packet[av.AudioStream]]:
        """What an input packet becomes; the empty packet at the end of the stream brings out what is held."""
        if packet.size:
            pts = None if packet.pts is None else packet.pts - self._shift
            packet.pts = packet.dts = self._timeline.place(pts, packet.duration)
            packet.stream = self._target
            yield packet


class _EncodedTrack(_Track):
    """One sound stream that is decoded and becomes AAC."""

    def __init__(self, stream: av.AudioStream, target: av.AudioStream, shift_seconds: Fraction) -> None:
        super().__init__(stream, target, shift_seconds)
        self._next_sample: int | None = None
        self._encoded = Timeline(Fraction(1, target.rate), step=_AAC_FRAME_SAMPLES)

    def carry(self, packet: av.Packet[Any]) -> Iterator[av.Packet[av.AudioStream]]:
        try:
            frames = self.stream.decode(packet if packet.size else None)
        except DAMAGE:
            frames = []  # a gap of one packet in the sound
        for frame in frames:
            self._place(frame)
            yield from self._encode(frame)
        if not packet.size:
            yield from self._encode(None)

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
        for packet in self._target.encode(frame):
            packet.time_base = Fraction(1, self._target.rate)
            packet.pts = packet.dts = self._encoded.place(packet.pts, packet.duration)
            yield packet
