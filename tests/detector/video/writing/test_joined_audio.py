"""Audio of several sections, one after the other."""

from fractions import Fraction

import av
import numpy as np
import pytest

from detector.video.writing.joined_audio import join_audio

RATE = 44100


def chirp(path, *, start=0, seconds=6, codec="aac", tracks=1):
    """A video of one grey picture with tones that rise from 100 Hz by 100 Hz a second: each moment has its own."""
    wave = (np.sin(2 * np.pi * (100 + 50 * (t := np.arange(seconds * RATE) / RATE)) * t) * 0.3).astype(np.float32)
    with av.open(str(path), "w") as output:
        picture = output.add_stream("libx264", rate=25)
        picture.width = picture.height = 64
        streams = [output.add_stream(codec, rate=RATE, layout="stereo") for _ in range(tracks)]
        output.mux(picture.encode(av.VideoFrame.from_ndarray(np.full((64, 64, 3), 90, np.uint8))))
        output.mux(picture.encode(None))
        for stream in streams:
            for place in range(0, len(wave), 4410):
                part = np.repeat(wave[None, place : place + 4410], 2, 0)
                frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(part), format="fltp", layout="stereo")
                frame.sample_rate, frame.pts, frame.time_base = RATE, place + start, Fraction(1, RATE)
                output.mux(stream.encode(frame))
            output.mux(stream.encode(None))
    return wave


def decoded(path, track=0):
    """The samples of one channel from time 0 on."""
    with av.open(str(path)) as source:
        frames = list(source.decode(audio=track))
    samples = np.concatenate([frame.to_ndarray()[0] for frame in frames])
    first = round(frames[0].pts * frames[0].time_base * frames[0].sample_rate)
    return samples[max(0, -first) :] if first <= 0 else np.concatenate([np.zeros(first, np.float32), samples])


def sections(*edges):
    return [(Fraction(begin), Fraction(end)) for begin, end in edges]


@pytest.mark.parametrize("codec", ["aac", "libmp3lame"])
def test_every_section_is_at_its_exact_position(tmp_path, codec):
    wave = chirp(tmp_path / "in.mp4", codec=codec)
    cuts = sections(("0.2", "1.0"), ("2.04", "3.0001"), ("4.5", "5.5"))

    assert join_audio(str(tmp_path / "in.mp4"), cuts, tmp_path / "out.mp4") == []

    heard, place = decoded(tmp_path / "out.mp4"), Fraction(0)
    assert abs(len(heard) - round(sum(end - begin for begin, end in cuts) * RATE)) < 2048
    for begin, end in cuts:
        wanted = wave[round(begin * RATE) : round(end * RATE)][1500:-1500]
        got = heard[round(place * RATE) :][1500 : 1500 + len(wanted)]
        # A shift of 10 samples at 300 Hz and more would cost a fifth of the correlation.
        assert np.corrcoef(wanted, got)[0, 1] > 0.99
        place += end - begin


def test_gaps_become_silence(tmp_path):
    chirp(tmp_path / "in.mp4", start=2 * RATE, seconds=2)
    join_audio(str(tmp_path / "in.mp4"), sections((0, 1), (2, 3), (5, 6)), tmp_path / "out.mp4")

    heard = decoded(tmp_path / "out.mp4")
    loud = [float(np.abs(heard[round((n + 0.2) * RATE) : round((n + 0.8) * RATE)]).max(initial=0)) for n in range(3)]
    assert loud[0] < 0.01
    assert loud[1] > 0.2
    assert loud[2] < 0.01


def test_all_tracks_and_opus(tmp_path):
    chirp(tmp_path / "in.mkv", tracks=2, seconds=2)
    assert join_audio(str(tmp_path / "in.mkv"), sections((0, 1)), tmp_path / "out.webm") == []

    with av.open(str(tmp_path / "out.webm")) as video:
        assert [stream.codec_context.name for stream in video.streams.audio] == ["opus", "opus"]


def test_a_video_without_sound(clips, tmp_path):
    source = clips.make(tmp_path / "in.mp4", range(3))
    assert join_audio(str(source), sections((0, 1)), tmp_path / "out.mp4") is None
    assert not (tmp_path / "out.mp4").exists()
