from fractions import Fraction

import av
import numpy as np
import pytest

from detector.detections import Detections
from detector.video.reading.video_file import VideoFile
from detector.video.writing.codecs import VideoSettings
from detector.video.writing.video_writer import VideoWriter


def copied(source, target, *, stop_after=None, audio="auto"):
    with VideoFile(source) as video:
        settings = VideoSettings(preset="ultrafast", audio=audio)
        sink = VideoWriter(target, video.info, audio_from=source, settings=settings)
        try:
            with sink:
                for frame in video:
                    sink.write(frame, Detections.empty())
                    if frame.index == stop_after:
                        raise KeyboardInterrupt
        except KeyboardInterrupt:
            pass
    return sink.notes


@pytest.mark.parametrize(
    ("container", "codec", "ending"),
    [
        (".mp4", "aac", ".mp4"),
        (".mp4", "aac", ".mov"),
        (".mkv", "aac", ".mkv"),
        (".mkv", "libmp3lame", ".mp4"),
        (".mkv", "flac", ".mp4"),
        (".mkv", "ac3", ".mov"),
    ],
)
def test_packets_are_copied_byte_for_byte(clips, tmp_path, container, codec, ending):
    source = clips.make(tmp_path / f"a{container}", range(50), sound=codec)
    target = tmp_path / f"out{ending}"
    assert copied(source, target) == []
    before, after = clips.sound_packets(source), clips.sound_packets(target)
    assert len(before) >= 20
    assert [packet for _, packet in after] == [packet for _, packet in before]
    # Out of Matroska's milliseconds each timestamp becomes the nearest sample.
    tolerance = Fraction(1, 44100) if container == ".mkv" else Fraction(0)
    assert all(abs(a - b) <= tolerance for (a, _), (b, _) in zip(before, after, strict=True))
    if container == ".mp4" or codec == "flac":
        np.testing.assert_array_equal(clips.samples(target), clips.samples(source))


def test_matroska_does_not_move_the_pictures_to_make_room_for_the_audio_run_in(clips, tmp_path):
    source = clips.make(tmp_path / "a.mp4", range(50), sound="aac")
    before = clips.sound_packets(source)
    assert before[0][0] < 0
    copied(source, tmp_path / "out.mkv")
    assert clips.times(tmp_path / "out.mkv") == clips.times(source)
    assert [packet for _, packet in clips.sound_packets(tmp_path / "out.mkv")] == [packet for _, packet in before[1:]]


def test_audio_that_mp4_cannot_hold_becomes_aac(clips, tmp_path):
    source = clips.make(tmp_path / "a.wmv", range(50), codec="msmpeg4", sound="wmav2")
    notes = copied(source, tmp_path / "out.mp4")
    assert len(notes) == 1 and notes[0].endswith("out.mp4: audio re-encoded from wmav2 to AAC")
    with av.open(str(tmp_path / "out.mp4")) as video:
        assert video.streams.audio[0].codec_context.name == "aac"
    before, after = clips.samples(source), clips.samples(tmp_path / "out.mp4")
    assert abs(before.shape[1] - after.shape[1]) < 4500
    middle = slice(20000, 40000)
    loudness = [float(np.sqrt((samples[0, middle].astype(float) ** 2).mean())) for samples in (before, after)]
    assert loudness[1] == pytest.approx(loudness[0], rel=0.05)


def audio_of(path):
    with av.open(str(path)) as video:
        return [track.codec_context.codec.canonical_name for track in video.streams.audio]


def loudness(path):
    """Root mean square of one second in the middle, as a part of full scale."""
    with av.open(str(path)) as video:
        resampler = av.AudioResampler("fltp", "mono", 44100)
        frames = [part for frame in video.decode(audio=0) for part in resampler.resample(frame)]
    samples = np.concatenate([frame.to_ndarray() for frame in frames], axis=1)[0]
    middle = len(samples) // 2
    return float(np.sqrt((samples[middle - 22050 : middle + 22050] ** 2).mean()))


NOT_FOR_BROWSERS = [
    (".avi", "pcm_s16le"),
    (".mkv", "pcm_s16le"),
    (".mxf", "pcm_s16le"),
    (".mov", "pcm_s24le"),
    (".mov", "pcm_f32le"),
    (".mkv", "ac3"),
    (".mkv", "eac3"),
    (".mov", "alac"),
    (".mkv", "mp2"),
]


@pytest.mark.parametrize("ending", [".mp4", ".m4v", ".webm"])
@pytest.mark.parametrize(("container", "codec"), NOT_FOR_BROWSERS)
def test_codecs_that_browsers_do_not_play_become_aac_or_opus(clips, tmp_path, container, codec, ending):
    source = make_with(clips, tmp_path / f"a{container}", codec)
    target = tmp_path / f"out{ending}"
    notes = copied(source, target)
    name = "Opus" if ending == ".webm" else "AAC"
    assert len(notes) == 1 and f"out{ending}: audio re-encoded from " in notes[0] and notes[0].endswith(f"to {name}")
    assert audio_of(target) == [name.lower()]
    assert loudness(target) == pytest.approx(loudness(source), rel=0.05)
    assert loudness(target) > 0.1
    with av.open(str(target)) as video:
        assert video.duration / av.time_base == pytest.approx(4, abs=0.1)


@pytest.mark.parametrize("ending", [".mov", ".mkv"])
@pytest.mark.parametrize(("container", "codec"), NOT_FOR_BROWSERS[:7])
def test_other_containers_keep_it(clips, tmp_path, container, codec, ending):
    source = make_with(clips, tmp_path / f"a{container}", codec)
    target = tmp_path / f"out{ending}"
    assert copied(source, target) == []
    assert audio_of(target) == audio_of(source)
    assert loudness(target) == pytest.approx(loudness(source), rel=0.01)


def make_with(clips, path, codec):
    """A clip of 4 seconds; MXF asks for a codec, a rate and a number of channels of its own."""
    if path.suffix == ".mxf":
        return clips.make(path, range(100), codec="mpeg2video", sound=codec, sound_rate=48000)
    return clips.make(path, range(100), sound=codec)


@pytest.mark.parametrize(
    ("container", "codec", "ending", "audio", "expected"),
    [
        (".mkv", "ac3", ".mp4", "copy", "ac3"),
        (".mkv", "pcm_s16le", ".mp4", "copy", "pcm_s16le"),
        (".avi", "pcm_s16le", ".mp4", "copy", "pcm_s16le"),
        (".mkv", "libmp3lame", ".mp4", "aac", "aac"),
        (".mkv", "libmp3lame", ".mkv", "aac", "aac"),
        (".mp4", "aac", ".mp4", "aac", "aac"),
        (".mp4", "aac", ".webm", "copy", "opus"),
        (".mp4", "aac", ".webm", "aac", "opus"),
        (".mp4", "aac", ".mp4", "none", None),
        (".mp4", "aac", ".webm", "none", None),
    ],
)
def test_the_user_chooses(clips, tmp_path, container, codec, ending, audio, expected):
    source = clips.make(tmp_path / f"a{container}", range(50), sound=codec)
    target = tmp_path / f"out{ending}"
    notes = copied(source, target, audio=audio)
    assert audio_of(target) == ([expected] if expected else [])
    assert bool(notes) == (expected is not None and [expected] != audio_of(source))
    if expected == "aac" and codec == "aac":
        assert clips.sound_packets(target) == clips.sound_packets(source)


def test_every_track_is_copied(clips, tmp_path):
    source = tmp_path / "a.mkv"
    one = clips.make(tmp_path / "one.mkv", range(30), sound="aac")
    two = clips.make(tmp_path / "two.mkv", range(30), sound="libmp3lame")
    with av.open(str(one)) as first, av.open(str(two)) as second, av.open(str(source), "w") as output:
        streams = {
            "v": (output.add_stream_from_template(first.streams.video[0]), first, first.streams.video[0]),
            "a": (output.add_stream_from_template(first.streams.audio[0]), first, first.streams.audio[0]),
            "b": (output.add_stream_from_template(second.streams.audio[0]), second, second.streams.audio[0]),
        }
        for target, container, stream in streams.values():
            container.seek(0)
            for packet in container.demux(stream):
                if packet.size:
                    packet.stream = target
                    output.mux(packet)
    copied(source, tmp_path / "out.mp4")
    for track in (0, 1):
        before = [packet for _, packet in clips.sound_packets(source, track)]
        assert [packet for _, packet in clips.sound_packets(tmp_path / "out.mp4", track)] == before


def test_audio_of_a_run_cut_short_ends_with_its_pictures(clips, tmp_path):
    source = clips.make(tmp_path / "a.mp4", range(100), sound="aac")
    copied(source, tmp_path / "out.mp4", stop_after=24)
    last, _ = clips.sound_packets(tmp_path / "out.mp4")[-1]
    assert 0.9 < last <= 1.0


def test_audio_longer_than_the_pictures_is_kept(clips, tmp_path):
    source = clips.make(tmp_path / "a.mp4", range(20), sound="aac", sound_start=22050)
    copied(source, tmp_path / "out.mp4")
    assert clips.sound_packets(tmp_path / "out.mp4") == clips.sound_packets(source)
    assert clips.sound_packets(source)[-1][0] > Fraction(20, 25)


def test_a_video_without_audio(clips, tmp_path):
    source = clips.make(tmp_path / "a.mp4", range(5))
    assert copied(source, tmp_path / "out.mp4") == []
    with av.open(str(tmp_path / "out.mp4")) as video:
        assert not video.streams.audio
