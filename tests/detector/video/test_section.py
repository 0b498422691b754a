"""Sections of videos: exactly their frames, in sync with the audio."""

import contextlib
import os
import shutil
from fractions import Fraction
from threading import Thread

import av
import numpy as np
import pytest

from detector.cli.logs import redraw_verb
from detector.detections import Detections
from detector.errors import OutputError, SettingsError, StreamError, WriteError
from detector.logs.frame_log import FrameRecord, read_log
from detector.pipeline.annotate_video import VideoOptions, annotate_video
from detector.pipeline.loop import run
from detector.pipeline.outputs import Outputs
from detector.settings import Settings
from detector.tracking.frame_skipping import FrameSkipping
from detector.video.reading.video_file import VideoFile
from detector.video.section import WHOLE, Section, spoken
from detector.video.writing.codecs import VideoSettings
from detector.video.writing.video_writer import VideoWriter
from tests.detector.clips import FakeDetector

OPEN = {"preset": "medium", "x264-params": "open-gop=1:bframes=3"}


def section(start=None, end=None):
    return Section(*(None if given is None else Fraction(str(given)) for given in (start, end)))


def frames_of(path, part=WHOLE):
    with VideoFile(path, section=part) as video:
        return video.info, list(video), video.notes


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0.1", Fraction(1, 10)),
        (".5", Fraction(1, 2)),
        ("90", 90),
        ("1:30", 90),
        ("01:02:03.250", Fraction("3723.25")),
        (" 0:00.000001 ", Fraction(1, 10**6)),
        ("100:00", 6000),
    ],
)
def test_times_as_people_write_them(text, seconds):
    assert Section.of(text, None).start == seconds
    again = Section.logged(Section.of(None, text).as_json())
    assert again.end == seconds  # a log loses nothing of it


def test_the_beginning_alone_is_not_a_section():
    assert Section.of("0", None) == Section.of("0:00", None) == WHOLE
    assert Section.logged({"confidence": 0.25}) == WHOLE


@pytest.mark.parametrize("text", ["", "-1", "1:60", "1:60:00", "abc", "1,5", "1e3", "nan", "inf", "1:2:3:4", "٣", "1:"])
def test_invalid_times(text):
    with pytest.raises(SettingsError, match="is not a time"):
        Section.of(None, text)


@pytest.mark.parametrize(("start", "end"), [("5", "5"), ("5", "4.9"), (None, "0")])
def test_an_end_comes_after_the_start(start, end):
    with pytest.raises(SettingsError, match="is not after the start"):
        Section.of(start, end)


def test_times_in_messages():
    assert [spoken(Fraction(text)) for text in ("30.160", "90", "3725.5")] == [
        "30.16 s",
        "90 s (1:30)",
        "3725.5 s (1:02:05.5)",
    ]


@pytest.mark.parametrize(
    ("name", "options"),
    [
        pytest.param("a.mp4", {"encoding": OPEN, "sound": "aac"}, id="mp4, open groups"),
        pytest.param("a.mkv", {"encoding": OPEN, "sound": "aac"}, id="mkv, open groups"),
        pytest.param("a.ts", {"encoding": OPEN, "sound": "mp2", "kind": "mpegts"}, id="ts, open groups"),
        pytest.param("a.mpg", {"codec": "mpeg2video", "encoding": {"bf": "2"}, "sound": "mp2"}, id="mpg"),
        pytest.param("a.avi", {"codec": "mpeg4", "sound": "libmp3lame"}, id="avi"),
        pytest.param(
            "a.webm", {"codec": "libvpx-vp9", "encoding": {"deadline": "realtime", "cpu-used": "8"}}, id="vp9"
        ),
        pytest.param("a.mp4", {"codec": "libx265", "encoding": {"preset": "ultrafast"}}, id="hevc"),
        pytest.param("a.h264", {"kind": "h264"}, id="raw, no timestamps"),
        pytest.param("a.mp4", {"key_every": 1000}, id="one key frame"),
    ],
)
def test_exactly_the_frames_of_the_section(clips, tmp_path, name, options):
    path = clips.make(tmp_path / name, range(120), **{"key_every": 25, **options})
    info, whole, _ = frames_of(path)
    for start, end in [(2, 3), (1.96, 2.04), (None, 0.5), (4, None), (0.001, None), (3.3, 99)]:
        part = section(start, end)
        begin = info.start_seconds + (part.start or 0)
        stop = info.start_seconds + (part.end or 99)
        wanted = [frame for frame in whole if begin <= frame.time < stop]
        found_info, found, notes = frames_of(path, part)
        assert [frame.time for frame in found] == [frame.time for frame in wanted], (start, end)
        assert [frame.index for frame in found] == list(range(len(wanted)))
        for frame, same in zip(found, wanted, strict=True):
            np.testing.assert_array_equal(frame.picture, same.picture)
        if info.frame_count:
            assert abs(found_info.frame_count - len(wanted)) <= 4  # it is for the progress bar
        assert any("before the requested end, 99 s (1:39)" in note for note in notes) == (end == 99)


def test_sections_outside_the_video(clips, tmp_path):
    path = clips.make(tmp_path / "a.mp4", range(50), key_every=10)
    with pytest.raises(
        SettingsError, match=r"a\.mp4: the requested start, 2 s, is after its last frame.* 2 s; give an"
    ):
        VideoFile(path, section=section(2))
    with pytest.raises(SettingsError, match=r"no frame from 1\.01 s to 1\.02 s; the next is at 1\.04 s"):
        VideoFile(path, section=section(1.01, 1.02))


def test_only_damage_within_the_section_is_an_error(clips, tmp_path):
    whole = clips.make(tmp_path / "whole.mp4", range(100), key_every=10, options={"movflags": "+faststart"})
    path = tmp_path / "a.mp4"
    path.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    assert len(frames_of(path, section(0.2, 0.6))[1]) == 10
    with VideoFile(path, section=section(0.2, 3.9)) as video, pytest.raises(StreamError, match="damaged or truncated"):
        list(video)


def cut(source, target, part, **options):
    with VideoFile(source, section=part) as video:
        settings = VideoSettings(preset="ultrafast", crf=18)
        writer = VideoWriter(target, video.info, audio_from=video.audio_from, settings=settings, **options)
        return run(video, lambda picture: Detections.empty(), [writer])


@pytest.mark.parametrize("source_kind", [".mp4", ".mkv", ".ts"])
@pytest.mark.parametrize("ending", [".mp4", ".mov", ".mkv"])
def test_copy_begins_at_zero_in_step_with_its_sound(clips, tmp_path, source_kind, ending):
    sound = "libmp3lame" if source_kind == ".ts" else "aac"  # AAC changes its packets on the way out of a .ts
    source = clips.make(tmp_path / f"in{source_kind}", range(150), sound=sound, key_every=25)
    target = tmp_path / f"out{ending}"
    summary = cut(source, target, section(2.005, 4))
    assert summary.notes == ()
    pictures = clips.decoded(target)
    before = clips.decoded(source)
    with VideoFile(source) as video:
        start = video.info.start_seconds + Fraction("2.005")
    first = next(number for number, (time, _) in enumerate(before) if time >= start)
    assert [clips.number(picture) for _, picture in pictures] == list(range(first, first + len(pictures)))
    begin = before[first][0]
    assert pictures[0][0] == 0
    tolerance = Fraction(1, 1000)
    assert all(
        abs(time + begin - old) <= tolerance for (time, _), (old, _) in zip(pictures, before[first:], strict=False)
    )
    times = {packet: time for time, packet in clips.sound_packets(source)}
    carried = [(time, packet) for time, packet in clips.sound_packets(target) if packet in times]
    assert all(abs(time + begin - times[packet]) <= tolerance for time, packet in carried)
    # A packet more or less at either end: 23 ms of AAC, 26 ms of MP3.
    assert -0.06 < carried[0][0] < 0.03 and 1.93 < carried[-1][0] < 2.0
    samples = 1152 if sound == "libmp3lame" else 1024
    assert len(carried) == pytest.approx(1.97 * 44100 / samples, abs=4)


RATE = 44100


def noisy(path, noise, codec):
    """A video of as many seconds as the noise, which can be told from itself at any other moment."""
    with av.open(str(path), "w") as output:
        pictures = output.add_stream("libx264", rate=25, options={"preset": "ultrafast", "g": "40"})
        pictures.width = pictures.height = 64
        sound = output.add_stream(codec, rate=RATE)
        for number in range(25 * len(noise) // RATE):
            output.mux(pictures.encode(av.VideoFrame.from_ndarray(np.full((64, 64, 3), number, np.uint8))))
        output.mux(pictures.encode(None))
        for start in range(0, len(noise), 4410):
            samples = np.repeat(noise[start : start + 4410], 2)[None]
            frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="stereo")
            frame.sample_rate, frame.pts, frame.time_base = RATE, start, Fraction(1, RATE)
            output.mux(sound.encode(frame))
        output.mux(sound.encode(None))
    return path


def heard(path):
    """When the first sample sounds, in seconds, and all samples of one channel."""
    to_mono = av.AudioResampler(format="flt", layout="mono", rate=RATE)
    pieces, starts, count = [], [], 0
    with av.open(str(path)) as video:
        for frame in video.decode(audio=0):
            # Timestamps are rounded to what the container counts in; together they tell more.
            starts.append(float(frame.pts * frame.time_base) - count / RATE)
            frame.pts = None
            for piece in to_mono.resample(frame):
                pieces.append(piece.to_ndarray()[0])
                count += piece.samples
    return float(np.median(starts)), np.concatenate(pieces)


@pytest.mark.parametrize("ending", [".mp4", ".mov", ".mkv", ".webm"])
@pytest.mark.parametrize(("kind", "codec"), [(".mp4", "aac"), (".mkv", "libmp3lame"), (".mkv", "flac")])
def test_audio_of_a_section_is_that_of_the_source(tmp_path, kind, codec, ending):
    """Copied or, in WebM, made Opus."""
    smooth = np.convolve(np.random.default_rng(1).normal(size=5 * RATE), np.hanning(25), mode="same")
    source = noisy(tmp_path / f"in{kind}", (1000 * smooth).astype(np.int16), codec)
    target = tmp_path / f"out{ending}"
    cut(source, target, section(1.01, 4))  # the first picture is at 1.04 s
    (start, whole), (begin, part) = heard(source), heard(target)
    piece, size = part[: 2 * RATE], 1 << 19
    likeness = np.fft.irfft(np.fft.rfft(whole, size) * np.conj(np.fft.rfft(piece, size)))
    then = start + likeness.argmax() / RATE
    assert abs(begin - (then - 1.04)) < 0.001
    assert begin < 0.12 and 2.9 < begin + len(part) / RATE < 3.1


@pytest.mark.parametrize("kind", [".mp4", ".mkv"])
def test_pictures_that_begin_late_keep_their_offset(clips, tmp_path, kind):
    source = clips.make(tmp_path / f"in{kind}", range(75, 125), sound="aac")  # the first picture at 3 s
    cut(source, tmp_path / "out.mp4", section(1, 4))
    assert clips.times(tmp_path / "out.mp4")[0] == 2
    packets = clips.sound_packets(tmp_path / "out.mp4")
    assert abs(packets[0][0]) < 0.05 and 2.9 < packets[-1][0] < 3


class Counting(FakeDetector):
    def __init__(self, *, fail_at=None):
        super().__init__()
        self.count, self.fail_at = 0, fail_at

    def detect(self, picture):
        if self.count == self.fail_at:
            raise WriteError("no room")
        self.count += 1
        number = int(picture.rgb[12, 12:192:24].sum())
        box = np.array([[number % 50, 40, number % 50 + 30, 90]], np.float32)
        return Detections(box, np.array([0.9], np.float32), np.array([number % 3]), ("red", "green", "blue"))


def annotate(source, model, outputs, part, finder, **options):
    given = VideoOptions(source, model, Settings(), outputs, section=part, **options)
    return annotate_video(given, bar=lambda total: contextlib.nullcontext(None), open_detector=finder.opened)


def test_a_resumed_section_equals_an_unbroken_one(clips, colour_model, tmp_path):
    source = clips.make(tmp_path / "in.mp4", range(150), sound="aac", key_every=25)
    part = section(1.5, 5)
    whole, out = tmp_path / "whole.mp4", tmp_path / "out.mp4"
    annotate(source, colour_model, Outputs(whole, tmp_path / "whole.jsonl"), part, Counting())
    with pytest.raises(WriteError):
        annotate(source, colour_model, Outputs(out, tmp_path / "out.jsonl"), part, Counting(fail_at=60))
    resume = Outputs(out, tmp_path / "out.jsonl", resume=True)
    with pytest.raises(OutputError, match=r"its start was 1\.5, not None"):
        annotate(source, colour_model, resume, section(None, 5), Counting())
    finder = Counting()
    annotate(source, colour_model, resume, part, finder)
    assert finder.count == 87 - 60  # frames 38 to 124, and what was found is not looked for again
    assert (tmp_path / "out.jsonl").read_bytes() == (tmp_path / "whole.jsonl").read_bytes()
    assert clips.times(out) == clips.times(whole)
    assert clips.sound_packets(out) == clips.sound_packets(whole)
    records = [record for record in read_log(tmp_path / "out.jsonl") if isinstance(record, FrameRecord)]
    assert records[0].frame == 0 and records[0].time == 1.52  # the source's own clock


def test_redraw_takes_the_section_from_the_log(clips, colour_model, tmp_path, capsys):
    source, out, log = tmp_path / "in.mp4", tmp_path / "out.mp4", tmp_path / "out.jsonl"
    clips.make(source, range(100), sound="aac", key_every=25)
    annotate(source, colour_model, Outputs(out, log), section(1, 3), Counting())
    redraw_verb(source, log, tmp_path / "again.mp4", quiet=True)
    first, again = clips.decoded(out), clips.decoded(tmp_path / "again.mp4")
    assert [time for time, _ in again] == [time for time, _ in first]
    assert [clips.number(picture) for _, picture in again] == list(range(25, 75))
    for (_, picture), (_, same) in zip(again, first, strict=True):
        assert np.abs(picture.astype(int) - same).mean() < 3  # the boxes are where they were
    assert clips.sound_packets(tmp_path / "again.mp4") == clips.sound_packets(out)


def test_every_other_frame_is_counted_from_the_section(clips, colour_model, tmp_path):
    source, log = clips.make(tmp_path / "in.mp4", range(50), key_every=10), tmp_path / "out.jsonl"
    finder = Counting()
    annotate(source, colour_model, Outputs(None, log), section(0.6, 1), finder, skipping=FrameSkipping(3, "still"))
    records = [record for record in read_log(log) if isinstance(record, FrameRecord)]
    assert [record.propagated for record in records] == [bool(number % 3) for number in range(10)]
    assert finder.count == 4


def test_a_pipe_can_be_read_only_once(clips, tmp_path):
    path = clips.make(tmp_path / "a.ts", range(75), kind="mpegts", key_every=25)
    wanted = [frame.time for frame in frames_of(path, section(1, 2))[1]]
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)

    def feed():
        with contextlib.suppress(BrokenPipeError):  # nobody reads beyond the section
            pipe.write_bytes(path.read_bytes())

    feeder = Thread(target=feed)
    feeder.start()
    with VideoFile(pipe, section=section(1, 2)) as video:
        assert [frame.time for frame in video] == wanted
        assert len(wanted) == 25
    feeder.join()


def test_a_file_that_cannot_seek_is_read_through(clips, tmp_path, videos):
    """A WebM as browsers record it: no index, no length."""
    path = tmp_path / "a.webm"
    shutil.copy(videos / "no_duration.webm", path)
    _, whole, _ = frames_of(path)
    _, found, _ = frames_of(path, section(2, 3))
    assert [frame.time for frame in found] == [frame.time for frame in whole if 2 <= frame.time < 3]
    cut(path, tmp_path / "out.mp4", section(2, 3))
    with av.open(str(tmp_path / "out.mp4")) as video:
        assert 0.9 < video.streams.audio[0].duration * video.streams.audio[0].time_base < 1.1


@pytest.mark.parametrize("start", ["abc", "1", [], True, -1, 1e300, float("nan")])
def test_settings_of_a_log_with_invalid_times(start):
    with pytest.raises(SettingsError, match="settings give start as"):
        Section.logged({"start": start})
