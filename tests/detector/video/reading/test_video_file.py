from fractions import Fraction
from itertools import pairwise

import av
import numpy as np
import pytest

from detector.errors import StreamError, VideoError
from detector.video.reading.video_file import VideoFile


def frames_of(path, **options):
    with VideoFile(path, **options) as video:
        return video.info, list(video), video.notes


def test_frames_in_order_with_their_own_timestamps(clips, tmp_path):
    uneven = [0, 30, 75, 76, 300, 310]
    path = clips.make(tmp_path / "a.mp4", uneven, time_base=Fraction(1, 1000))
    info, frames, notes = frames_of(path)
    assert [clips.number(frame.picture) for frame in frames] == list(range(6))
    assert [frame.index for frame in frames] == list(range(6))
    assert [frame.time for frame in frames] == [Fraction(tick, 1000) for tick in uneven]
    assert (info.width, info.height, info.frame_count, info.live) == (clips.width, clips.height, 6, False)
    assert notes == []


def test_ntsc_rate_is_a_fraction(clips, tmp_path):
    path = clips.make(tmp_path / "a.mp4", range(30), time_base=Fraction(1001, 30000), rate=Fraction(30000, 1001))
    info, frames, _ = frames_of(path)
    assert info.frame_rate == Fraction(30000, 1001)
    assert info.duration_seconds == Fraction(1001, 1000)
    assert [frame.time for frame in frames] == [index * Fraction(1001, 30000) for index in range(30)]


def test_every_picture_is_its_owners_to_change(clips, tmp_path):
    path = clips.make(tmp_path / "a.mp4", range(4))
    with VideoFile(path) as video:
        kept = []
        for frame in video:
            assert frame.picture.flags.writeable and frame.picture.flags.c_contiguous
            frame.picture[:] = 0
            kept.append(frame)
    with VideoFile(path) as video:
        assert [clips.number(frame.picture) for frame in video] == [0, 1, 2, 3]
    assert all(not frame.picture.any() for frame in kept)


@pytest.mark.parametrize(("rotate", "turns"), [(0, 0), (-90, -1), (90, 1), (180, 2)])
def test_rotation_is_applied(clips, tmp_path, rotate, turns):
    path = clips.make(tmp_path / "a.mp4", range(2), rotate=rotate)
    info, frames, _ = frames_of(path)
    size = (clips.width, clips.height) if turns % 2 == 0 else (clips.height, clips.width)
    assert (info.width, info.height) == size
    assert frames[0].picture.shape == (size[1], size[0], 3)
    assert [clips.number(np.rot90(frame.picture, -turns)) for frame in frames] == [0, 1]


def test_raw_stream_without_timestamps_is_spaced_evenly(clips, tmp_path):
    path = clips.make(tmp_path / "a.h264", range(5), kind="h264")
    info, frames, notes = frames_of(path)
    assert [frame.time for frame in frames] == [Fraction(index, 25) for index in range(5)]
    assert info.frame_count is None and info.duration_seconds is None
    assert len(notes) == 1 and "5 frames had no timestamp" in notes[0]


def test_name_that_looks_like_an_address(clips, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    clips.make(tmp_path / "a.mp4", range(2)).rename(tmp_path / "12:30.mp4")
    assert len(frames_of("12:30.mp4")[1]) == 2


def test_cut_off_file_gives_its_frames_then_says_so(clips, tmp_path):
    whole = clips.make(tmp_path / "a.mp4", range(60), options={"movflags": "+faststart"})
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    numbers = []
    with (
        VideoFile(cut) as video,
        pytest.raises(StreamError, match=r"cut\.mp4: damaged or truncated; \d+ frames") as told,
    ):
        for frame in video:
            numbers.append(clips.number(frame.picture))
    assert 10 < len(numbers) < 60
    assert numbers[:-1] == list(range(len(numbers) - 1))
    assert f"; {len(numbers)} frames could be read" in str(told.value)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        pytest.param("missing.mp4", None, "no such file", id="missing"),
        pytest.param("empty.mp4", b"", "is empty", id="empty"),
        pytest.param("page.mp4", b"<html><body>Not found</body></html>" * 50, "cannot be read as a video", id="html"),
        pytest.param("notes.txt", b"one line\n" * 500, "is a text", id="text"),
        pytest.param("noise.mp4", bytes(range(256)) * 100, "cannot be read as a video", id="noise"),
    ],
)
def test_what_is_no_video(tmp_path, name, content, message):
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(VideoError, match=message) as told:
        VideoFile(path)
    assert str(path) in str(told.value) and "\n" not in str(told.value)


def test_folder(tmp_path):
    with pytest.raises(VideoError, match="is a folder"):
        VideoFile(tmp_path)


def test_index_cut_off(clips, tmp_path):
    whole = clips.make(tmp_path / "a.mp4", range(20))
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    with pytest.raises(VideoError, match="its index is missing"):
        VideoFile(cut)


def test_audio_alone_is_no_video(tmp_path, clips):
    import av

    path = tmp_path / "a.m4a"
    with av.open(str(path), "w") as output:
        tone = output.add_stream("aac", rate=8000)
        samples = av.AudioFrame.from_ndarray(np.zeros((1, 8000), np.int16), format="s16", layout="mono")
        samples.sample_rate, samples.pts = 8000, 0
        output.mux(tone.encode(samples))
        output.mux(tone.encode(None))
    with pytest.raises(VideoError, match="contains no video stream"):
        VideoFile(path)


@pytest.mark.parametrize(
    ("name", "count", "size", "last"),
    [
        ("car-detection.mp4", 377, (768, 432), Fraction(752, 25)),
        ("video_90.mov", 3, (320, 568), Fraction(1, 15)),
        ("testsrc2_odd_height_and_width_vp9.mp4", 25, (321, 241), Fraction(24, 25)),
        ("no_duration.webm", 74, (1280, 720), Fraction(4872, 1000)),
        ("sine_stereo_mp2.mpg", 100, (128, 128), Fraction(45, 10)),
        ("h265_video.mp4", 10, (128, 128), Fraction(9, 10)),
    ],
)
def test_real_videos(videos, name, count, size, last):
    info, frames, notes = frames_of(videos / name)
    assert (len(frames), (info.width, info.height), frames[-1].time) == (count, size, last)
    assert [note for note in notes if "transparency" not in note] == []
    assert bool(notes) == (name == "no_duration.webm")  # a VP9 with an alpha channel


def test_uneven_timestamps_of_a_real_video(videos, clips):
    _, frames, _ = frames_of(videos / "vehicle_counting_input.mp4")
    assert [frame.time for frame in frames] == clips.times(videos / "vehicle_counting_input.mp4")
    assert len({after.pts - before.pts for before, after in pairwise(frames)}) == 3


def test_damaged_in_the_middle(videos):
    count = 0
    with (
        VideoFile(videos / "corrupted.mp4") as video,
        pytest.raises(StreamError, match="49 frames could be read, 1 could"),
    ):
        for _ in video:
            count += 1
    assert count == 49


def test_real_download_cut_off(videos):
    with pytest.raises(VideoError, match=r"truncated_bbb\.mp4: .*its index is missing"):
        VideoFile(videos / "truncated_bbb.mp4")


def test_frames_that_would_take_gigabytes_are_refused(tmp_path):
    path = tmp_path / "large.mp4"
    with av.open(str(path), "w") as output:
        stream = output.add_stream("libx264", rate=25, options={"preset": "ultrafast"})
        stream.width, stream.height = 6400, 6272
        stream.pix_fmt = "yuv420p"
        output.mux(stream.encode(av.VideoFrame(6400, 6272, "yuv420p")))
        output.mux(stream.encode(None))
    with pytest.raises(VideoError, match=r"large\.mp4: has frames of 6400x6272 pixels; expected at most 40 million"):
        VideoFile(path)
