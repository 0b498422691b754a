"""Join the audio of several sections of a video, exact to the sample."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from detector.errors import VideoError
from detector.video.ffmpeg import av
from detector.video.reading.containers import DAMAGE, open_container

Seconds = tuple[Fraction, Fraction]
"""Start and end of a section on the source's clock."""

Samples = NDArray[np.float32]
"""(channels, n)."""

_RUN_IN_SECONDS = Fraction(1)
"""Audio decoders need a run-in before the first sample that is kept."""

_CHUNK_SAMPLES = 1 << 16
_BITS_PER_CHANNEL = 80_000
_OPUS_RATE = 48_000
_AAC_RATES = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000)
_LAYOUTS = {1: "mono", 2: "stereo"}


def join_audio(video: str, sections: Sequence[Seconds], target: Path) -> list[str] | None:
    """Write the audio of some sections of a video to `target`, an .mp4 (AAC) or .webm (Opus); return notes.

    All audio tracks are decoded, cut, and re-encoded, in mono or stereo; gaps in a track become silence. Return None if
    the video has no audio that can be decoded, and then write nothing. Raise `OSError` if `target` cannot be written.
    """
    with suppress(VideoError), open_container(video) as source:
        tracks = [stream for stream in source.streams.audio if stream.codec_context is not None]
        if tracks:
            return _write(video, [stream.index for stream in tracks], sections, target)
    return None


def _write(video: str, tracks: Sequence[int], sections: Sequence[Seconds], target: Path) -> list[str]:
    notes = []
    opus = target.suffix == ".webm"
    with av.open(f"file:{target}", "w", format="webm" if opus else "mp4") as output:
        readers = []
        for index in tracks:
            reader = _TrackReader(video, index, opus=opus)
            added = output.add_stream(
                "libopus" if opus else "aac",
                rate=reader.rate,
                layout=reader.layout,
                bit_rate=_BITS_PER_CHANNEL * reader.channels,
            )
            stream = cast(av.AudioStream, added)
            stream.metadata.update(reader.tags)
            readers.append((reader, stream))
        for reader, stream in readers:
            place = 0
            for samples in reader.sections(sections):
                frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout=reader.layout)
                frame.sample_rate, frame.pts, frame.time_base = reader.rate, place, Fraction(1, reader.rate)
                place += samples.shape[1]
                output.mux(stream.encode(frame))
            output.mux(stream.encode(None))
            if reader.broken:
                notes.append(f"part of the audio is silent: {reader.broken}")
    return notes


class _TrackReader:
    """Reads the samples of one audio track, section by section."""

    def __init__(self, video: str, index: int, *, opus: bool) -> None:
        self._video, self._index = video, index
        with open_container(video) as source:
            stream = source.streams[index]
            context = cast(Any, stream).codec_context
            self.channels = min(context.layout.nb_channels, 2)
            self.layout = _LAYOUTS[self.channels]
            rate = context.sample_rate
            self.rate = _OPUS_RATE if opus else rate if rate in _AAC_RATES else _OPUS_RATE
            self.tags: dict[str, str] = {
                name: stream.metadata[name] for name in ("language", "title") if name in stream.metadata
            }
        self.broken = ""

    def sections(self, sections: Sequence[Seconds]) -> Iterator[Samples]:
        """Yield the samples of all sections; rounding does not accumulate from one to the next."""
        total, written = Fraction(0), 0
        for begin, end in sections:
            total += end - begin
            count = round(total * self.rate) - written
            written += count
            yield from self._section(begin, count)

    def _section(self, begin: Fraction, count: int) -> Iterator[Samples]:
        """Yield exactly this many samples from a moment on."""
        place = 0
        try:
            for start, samples in self._decoded(begin):
                offset = start - round(begin * self.rate)
                if offset >= count:
                    break
                if offset > place:
                    yield from _silence(self.channels, offset - place)
                    place = offset
                part = samples[:, max(0, place - offset) : count - offset]
                if part.shape[1]:
                    yield np.ascontiguousarray(part)
                    place += part.shape[1]
                if place >= count:
                    break
        except DAMAGE as error:
            self.broken = str(error)
        yield from _silence(self.channels, count - place)

    def _decoded(self, begin: Fraction) -> Iterator[tuple[int, Samples]]:
        """Yield position, counted in samples of the source's clock, and samples, decoded from before a moment on."""
        with open_container(self._video) as source:
            stream = cast(av.AudioStream, source.streams[self._index])
            with suppress(*DAMAGE):
                source.seek(max(0, round((begin - _RUN_IN_SECONDS) / (stream.time_base or 1))), stream=stream)
            resampler = av.AudioResampler(format="fltp", layout=self.layout, rate=self.rate)
            expected: int | None = None
            for packet in source.demux(stream):
                try:
                    frames = packet.decode()
                except (EOFError, *DAMAGE):
                    continue  # one packet is missing
                for frame in frames:
                    time = None if frame.pts is None else frame.pts * (frame.time_base or stream.time_base or 1)
                    for ready in resampler.resample(frame):
                        samples = np.asarray(ready.to_ndarray(), np.float32)
                        claimed = expected if time is None else round(Fraction(time) * self.rate)
                        time = None
                        # Timestamps, often in milliseconds, only reveal gaps: otherwise samples follow one another.
                        if expected is None or (claimed is not None and abs(claimed - expected) > self.rate // 20):
                            expected = claimed or 0
                        yield expected, samples
                        expected += samples.shape[1]


def _silence(channels: int, count: int) -> Iterator[Samples]:
    while count > 0:
        part = min(count, _CHUNK_SAMPLES)
        yield np.zeros((channels, part), np.float32)
        count -= part
