import subprocess
import sys
from contextlib import suppress
from dataclasses import replace
from fractions import Fraction

import av
import numpy as np
import pytest

from detector.detections import Detections
from detector.errors import OutputError, StreamError
from detector.video.frames import Colours, Frame, VideoInfo
from detector.video.reading.video_file import VideoFile
from detector.video.status import Stopped
from detector.video.writing.codecs import VideoSettings
from detector.video.writing.parts import kept_of, made_by, part_path
from detector.video.writing.video_writer import VideoWriter

FAST = VideoSettings(preset="ultrafast")
NOTHING = Detections.empty()


def info_for(clips, **changes):
    info = VideoInfo(source="made", width=clips.width, height=clips.height, time_base=Fraction(1, 25))
    return replace(info, **changes)


def copied(source, target, *, settings=FAST, sound=True):
    """A video through source and sink, undrawn; the sink's notes."""
    with VideoFile(source) as video:
        sink = VideoWriter(target, video.info, audio_from=source if sound else None, settings=settings)
        with sink:
            for frame in video:
                sink.write(frame, NOTHING)
    return sink.notes


@pytest.mark.parametrize("ending", [".mp4", ".mov", ".mkv"])
@pytest.mark.parametrize(
    ("time_base", "pts"),
    [
        pytest.param(Fraction(1001, 30000), range(40), id="29.97"),
        pytest.param(Fraction(1, 1000), [0, 33, 67, 68, 1000, 1700, 1720], id="uneven"),
        pytest.param(Fraction(1, 90000), [3600 * index + index % 3 for index in range(30)], id="jitter"),
        pytest.param(Fraction(1, 25), range(8, 30), id="starts late"),
        pytest.param(Fraction(1, 90000), range(12347, 100000, 3600), id="starts between milliseconds"),
    ],
)
@pytest.mark.parametrize("preset", ["ultrafast", "veryfast", None])
def test_timestamps_are_kept(clips, tmp_path, ending, time_base, pts, preset):
    target = tmp_path / f"out{ending}"
    sink = VideoWriter(target, info_for(clips, time_base=time_base), settings=VideoSettings(preset=preset))
    with sink:
        for index, tick in enumerate(pts):
            sink.write(Frame(index, tick, time_base, clips.picture(index), 1), NOTHING)
    read = clips.decoded(target)
    assert [clips.number(picture) for _, picture in read] == list(range(len(pts)))
    # Matroska counts milliseconds; MP4 and MOV keep the source's own ticks.
    tolerance = Fraction(1, 2000) if ending == ".mkv" else 0
    assert all(abs(time - tick * time_base) <= tolerance for (time, _), tick in zip(read, pts, strict=True))


def test_browsers_can_play_it(clips, tmp_path):
    target = tmp_path / "out.mp4"
    with VideoWriter(target, info_for(clips), settings=FAST) as sink:
        for frame in clips.frames(5):
            sink.write(frame, NOTHING)
    with av.open(str(target)) as video:
        stream = video.streams.video[0]
        assert (stream.codec_context.name, stream.pix_fmt, stream.frames) == ("h264", "yuv420p", 5)
        assert stream.duration * stream.time_base == Fraction(5, 25)
    content = target.read_bytes()
    assert content.index(b"moov") < content.index(b"mdat")  # plays while it loads


@pytest.mark.parametrize("size", [(223, 161), (224, 161), (223, 160)])
def test_odd_size_repeats_the_last_row_and_column(clips, tmp_path, size):
    target = tmp_path / "out.mp4"
    width, height = size
    with VideoWriter(target, info_for(clips, width=width, height=height), settings=VideoSettings(crf=5)) as sink:
        for index in range(3):
            sink.write(Frame(index, index, Fraction(1, 25), clips.picture(index, width=width, height=height)), NOTHING)
    _, picture = clips.decoded(target)[1]
    assert picture.shape == (height + height % 2, width + width % 2, 3)
    if height % 2:
        assert np.abs(picture[-1].astype(int) - picture[-2]).max() <= 12
    if width % 2:
        assert np.abs(picture[60:, -1].astype(int) - picture[60:, -2]).max() <= 12
    assert clips.number(picture) == 1


@pytest.mark.parametrize(
    "colours", [Colours(), Colours(1, False, 1, 1), Colours(6, False, 6, 6), Colours(1, True, 1, 13)]
)
def test_colours_are_tagged_and_stay(clips, tmp_path, colours):
    target = tmp_path / "out.mp4"
    with VideoWriter(target, info_for(clips, colours=colours), settings=VideoSettings(crf=1)) as sink:
        for frame in clips.frames(3):
            sink.write(frame, NOTHING)
    with VideoFile(target) as video:
        assert video.info.colours == colours
        picture = [frame.picture for frame in video][2]
    assert np.abs(picture[60:].astype(int) - clips.picture(2)[60:]).mean() < 1.5


def test_last_frame_is_shown_as_long_as_in_the_source(clips, tmp_path):
    target = tmp_path / "out.mp4"
    with VideoWriter(target, info_for(clips), settings=FAST) as sink:
        for index, duration in enumerate([1, 1, 1, 40]):
            sink.write(Frame(index, index, Fraction(1, 25), clips.picture(index), duration), NOTHING)
    with VideoFile(target) as video:
        assert video.info.duration_seconds == Fraction(43, 25)


def test_pixel_aspect_is_kept(clips, tmp_path):
    target = tmp_path / "out.mp4"
    with VideoWriter(target, info_for(clips, pixel_aspect=Fraction(4, 3)), settings=FAST) as sink:
        for frame in clips.frames(2):
            sink.write(frame, NOTHING)
    with VideoFile(target) as video:
        assert video.info.pixel_aspect == Fraction(4, 3)


def test_clock_of_a_recorder_starts_at_zero(clips, tmp_path):
    base = 90000 * 36000
    source = clips.make(
        tmp_path / "a.ts",
        [base + 3600 * index for index in range(20)],
        time_base=Fraction(1, 90000),
        options={"mpegts_copyts": "1"},
    )
    notes = copied(source, tmp_path / "out.mp4")
    assert clips.times(tmp_path / "out.mp4") == [Fraction(index, 25) for index in range(20)]
    assert len(notes) == 1 and "starts at 0 s" in notes[0]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), StreamError("broke off"), Stopped()])
def test_an_interrupted_run_leaves_a_playable_file(clips, tmp_path, error):
    target = tmp_path / "out.mp4"
    with pytest.raises(type(error)), VideoWriter(target, info_for(clips), settings=FAST) as sink:
        for frame in clips.frames(7):
            sink.write(frame, NOTHING)
        raise error
    assert [clips.number(picture) for _, picture in clips.decoded(target)] == list(range(7))
    assert list(tmp_path.iterdir()) == [target]


def test_a_failed_run_keeps_what_was_recorded(clips, tmp_path):
    """A recording cannot be repeated, whatever the error."""
    target = tmp_path / "out.mp4"
    with pytest.raises(ZeroDivisionError) as told, VideoWriter(target, info_for(clips), settings=FAST) as sink:
        for frame in clips.frames(30):
            sink.write(frame, NOTHING)
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == [part_path(target)]
    assert [clips.number(picture) for _, picture in clips.decoded(part_path(target))] == list(range(30))
    (note,) = told.value.__notes__
    assert note.startswith(f"{target}: 30 frames are kept in {part_path(target)};") and "yolo3 recover" in note


def test_a_failed_finish_keeps_what_was_recorded(clips, tmp_path):
    target = tmp_path / "out.mp4"
    with pytest.raises(OutputError) as told, VideoWriter(target, info_for(clips), settings=FAST) as sink:
        for frame in clips.frames(5):
            sink.write(frame, NOTHING)
        target.mkdir()  # the finished file cannot take its place
    assert str(told.value).startswith(f"{target}: is a folder")
    assert part_path(target).exists() and part_path(target).name in told.value.__notes__[0]
    assert sorted(tmp_path.iterdir()) == [target, part_path(target)]


def test_a_source_that_disappears_loses_only_its_audio(clips, tmp_path):
    source = clips.make(tmp_path / "a.mp4", range(10), sound="aac")
    with VideoFile(source) as video, VideoWriter(tmp_path / "out.mp4", video.info, audio_from=source) as sink:
        for frame in video:
            sink.write(frame, NOTHING)
        source.unlink()
    assert sink.notes == [f"{tmp_path}/out.mp4: audio and subtitles left out: {source}: no such file"]
    assert len(clips.decoded(tmp_path / "out.mp4")) == 10


def test_a_run_that_fails_before_its_first_frame_leaves_nothing(clips, tmp_path):
    with pytest.raises(ZeroDivisionError), VideoWriter(tmp_path / "out.mp4", info_for(clips), settings=FAST):
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []


def test_a_file_with_a_similar_name_is_kept(clips, tmp_path):
    theirs = tmp_path / "out.whole.mp4"
    theirs.write_text("theirs")
    with VideoWriter(tmp_path / "out.mp4", info_for(clips), settings=FAST) as sink:
        sink.write(next(clips.frames(1)), NOTHING)
    with pytest.raises(ZeroDivisionError), VideoWriter(tmp_path / "b.mp4", info_for(clips), settings=FAST):
        raise ZeroDivisionError
    assert theirs.read_text() == "theirs"


@pytest.mark.parametrize("error", [None, KeyboardInterrupt(), ZeroDivisionError()])
@pytest.mark.parametrize("ending", [".mp4", ".mov", ".mkv", ".webm"])
def test_parts_contain_the_digest_of_their_run(clips, tmp_path, ending, error):
    target = tmp_path / f"out{ending}"
    settings = VideoSettings(preset="ultrafast")
    with (
        suppress(KeyboardInterrupt, ZeroDivisionError),
        VideoWriter(target, info_for(clips), settings=settings, run_digest="0123abcd") as sink,
    ):
        for frame in clips.frames(5):
            sink.write(frame, NOTHING)
        if error is not None:
            raise error
    if isinstance(error, ZeroDivisionError):
        assert made_by(part_path(target)) == "0123abcd"
    else:
        assert made_by(target) == ("0123abcd" if error else None)


@pytest.mark.parametrize(("codec", "name"), [("h264", "libx264"), ("av1", "libsvtav1")])
def test_pictures_too_large_for_the_encoder(tmp_path, codec, name, capfd):
    info = VideoInfo(source="made", width=17_000, height=32, time_base=Fraction(1, 25))
    with pytest.raises(OutputError) as told, VideoWriter(tmp_path / "a.mp4", info, settings=VideoSettings(codec=codec)):
        pass
    assert str(told.value) == (
        f"{tmp_path}/a.mp4: {name} cannot encode pictures of 17000x32 pixels; try another --codec or a smaller source"
    )
    assert list(tmp_path.iterdir()) == []
    # SVT-AV1 prints through C.
    assert "Svt" not in "".join(capfd.readouterr())


def test_no_frames_no_file(clips, tmp_path):
    with VideoWriter(tmp_path / "out.mp4", info_for(clips)):
        pass
    assert list(tmp_path.iterdir()) == []


def test_old_file_stays_until_the_new_one_is_complete(clips, tmp_path):
    target = tmp_path / "out.mp4"
    target.write_text("old")
    with pytest.raises(OutputError, match="exists already"):
        VideoWriter(target, info_for(clips))
    with pytest.raises(ZeroDivisionError), VideoWriter(target, info_for(clips), overwrite=True) as sink:
        sink.write(next(clips.frames(1)), NOTHING)
        raise ZeroDivisionError
    assert target.read_text() == "old"
    with VideoWriter(target, info_for(clips), overwrite=True) as sink:
        sink.write(next(clips.frames(1)), NOTHING)
        assert target.read_text() == "old"
    assert len(clips.decoded(target)) == 1


@pytest.mark.parametrize("name", ["out.avi", "out", "out.jpg"])
def test_unsupported_suffixes(clips, tmp_path, name):
    with pytest.raises(OutputError, match=r"use one of \.mp4, "):
        VideoWriter(tmp_path / name, info_for(clips))


def test_input_is_not_overwritten(clips, tmp_path):
    source = clips.make(tmp_path / "a.mp4")
    with VideoFile(source) as video, pytest.raises(OutputError, match="is the input"):
        VideoWriter(source, video.info, overwrite=True)


def test_frame_of_another_size_is_a_bug(clips, tmp_path):
    with pytest.raises(ValueError, match="10x10"), VideoWriter(tmp_path / "out.mp4", info_for(clips)) as sink:
        sink.write(Frame(0, 0, Fraction(1, 25), np.zeros((10, 10, 3), np.uint8)), NOTHING)


@pytest.mark.parametrize("limit", [0, 100, 150_000], ids=["at the head", "early", "in the middle"])
def test_full_disk(clips, tmp_path, limit):
    target = tmp_path / "out.mp4"
    code = f"""
import resource, sys
from fractions import Fraction
import numpy as np
from detector.detections import Detections
from detector.errors import WriteError
from detector.video.frames import Frame, VideoInfo
from detector.video.writing.codecs import VideoSettings
from detector.video.writing.video_writer import VideoWriter
info = VideoInfo(source="made", width=160, height=120, time_base=Fraction(1, 25))
random = np.random.default_rng(1)
resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))
try:
    with VideoWriter({str(target)!r}, info, settings=VideoSettings(preset="ultrafast")) as sink:
        for index in range(60):
            picture = random.integers(0, 255, (120, 160, 3), np.uint8)
            sink.write(Frame(index, index, info.time_base, picture), Detections.empty())
except WriteError as error:
    print(error)
    print(*error.__notes__ if hasattr(error, '__notes__') else ())
"""
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert told.stdout.startswith(f"{target}: could not be written: File too large\n")
    assert told.stderr == ""
    if limit < 1000:
        assert list(tmp_path.iterdir()) == []
    else:
        assert list(tmp_path.iterdir()) == [part_path(target)]
        (kept,) = kept_of([part_path(target)])
        assert f"{target}: {kept.frames} frames are kept in {part_path(target)};" in told.stdout
        assert 1 <= kept.frames < 60
