"""Source, loop and sinks together, on real files."""

import signal
import subprocess
import sys
from fractions import Fraction
from itertools import pairwise

import av
import numpy as np
import pytest

from detector.detections import Detections
from detector.logs.frame_log import EndRecord, FrameLog, FrameRecord, RunRecord, read_log
from detector.pipeline.loop import LoopOptions, run
from detector.video.colours import tag
from detector.video.frames import Colours, Frame
from detector.video.reading.video_file import VideoFile
from detector.video.status import RunStatus
from detector.video.writing.codecs import VideoSettings
from detector.video.writing.video_writer import VideoWriter

FAST = VideoSettings(preset="ultrafast", crf=18)
RED = np.array([230, 20, 20])


def record_of(info):
    return RunRecord.of(info, model="m.h5", model_sha256="0", settings={}, classes=["box"])


def process(source, folder, detect, *, name="out.mp4", settings=FAST, **options):
    """A whole run: video and log in, video and log out."""
    with VideoFile(source) as video:
        sinks = [
            FrameLog(folder / "out.jsonl", record_of(video.info)),
            VideoWriter(folder / name, video.info, audio_from=source, settings=settings),
        ]
        return run(video, detect, sinks, LoopOptions(**options))


def nothing(frame):
    return Detections.empty()


def place_of(number):
    """The position of a frame's box, far from those of its neighbours."""
    left, top = 8 + number * 37 % 150, 40 + number * 53 % 80
    return left, top, left + 30, top + 30


def fill_boxes(frame, detections):
    picture = frame.to_rgb()
    for left, top, right, bottom in detections.xyxy.astype(int):
        picture[top:bottom, left:right] = RED


@pytest.mark.parametrize("preset", ["ultrafast", "veryfast", None])
def test_each_box_is_on_its_own_frame(clips, tmp_path, boxes_of, preset):
    source = clips.make(
        tmp_path / "in.mp4", [index * 40 + index % 7 for index in range(90)], time_base=Fraction(1, 1000)
    )
    summary = process(
        source,
        tmp_path,
        lambda frame: boxes_of(place_of(clips.number(frame.image))),
        annotate=fill_boxes,
        settings=VideoSettings(preset=preset, crf=18),
    )
    assert (summary.frames, summary.boxes) == (90, 90)

    read = clips.decoded(tmp_path / "out.mp4")
    assert [clips.number(picture) for _, picture in read] == list(range(90))
    for number, (_, picture) in enumerate(read):
        left, top, right, bottom = place_of(number)
        red = np.abs(picture.astype(int) - RED).sum(axis=2) < 90
        assert red[top + 4 : bottom - 4, left + 4 : right - 4].all(), number
        red[top - 3 : bottom + 3, left - 3 : right + 3] = False
        assert red.sum() < 20, number  # and no box of another frame

    records = list(read_log(tmp_path / "out.jsonl"))[1:-1]
    assert [record.frame for record in records] == list(range(90))
    assert [record.detections[0].box for record in records] == [place_of(number) for number in range(90)]
    assert [record.time for record in records] == [round(float(time), 6) for time, _ in read]


def test_rotated_source_is_written_upright(clips, tmp_path):
    source = clips.make(tmp_path / "in.mp4", range(4), rotate=-90)
    process(source, tmp_path, nothing)
    with av.open(str(tmp_path / "out.mp4")) as video:
        frame = next(video.decode(video=0))
        assert (frame.rotation, frame.width, frame.height) == (0, clips.height, clips.width)
    assert [clips.number(np.rot90(picture)) for _, picture in clips.decoded(tmp_path / "out.mp4")] == [0, 1, 2, 3]


@pytest.mark.parametrize(
    "colours",
    [
        pytest.param(Colours(6, False, 6, 6), id="BT.601"),
        pytest.param(Colours(1, False, 1, 1), id="BT.709"),
        pytest.param(Colours(1, True, 1, 1), id="BT.709, full range"),
        pytest.param(Colours(9, False, 9, 14), id="BT.2020"),
    ],
)
@pytest.mark.parametrize("rotate", [0, 90, 180])
def test_colours_rotation_and_pixel_shape_are_kept(clips, tmp_path, colours, rotate):
    def tune(context):
        tag(context, colours)
        context.sample_aspect_ratio = Fraction(16, 11)

    source = clips.make(tmp_path / "in.mp4", range(3), rotate=rotate, tune=tune)
    process(source, tmp_path, nothing)
    with VideoFile(tmp_path / "out.mp4") as video:
        info, frames = video.info, list(video)
    assert info.colours == colours
    upright = rotate % 180 == 0
    assert (info.width, info.height) == ((clips.width, clips.height) if upright else (clips.height, clips.width))
    assert info.pixel_aspect == (Fraction(16, 11) if upright else Fraction(11, 16))
    assert [clips.number(np.rot90(frame.picture, -rotate // 90)) for frame in frames] == [0, 1, 2]


def test_notes_of_the_source_reach_the_summary(clips, tmp_path):
    source = clips.make(tmp_path / "in.h264", range(5), kind="h264")
    summary = process(source, tmp_path, nothing)
    assert summary.notes == (f"{source}: 5 frames had no timestamp; spaced evenly instead",)
    assert clips.times(tmp_path / "out.mp4") == [Fraction(index, 25) for index in range(5)]


def test_a_truncated_source_is_processed_to_its_end(clips, tmp_path):
    whole = clips.make(tmp_path / "whole.mp4", range(80), sound="aac", options={"movflags": "+faststart"})
    source = tmp_path / "in.mp4"
    source.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    summary = process(source, tmp_path, nothing)
    assert summary.status is RunStatus.TRUNCATED
    assert len(summary.notes) == 1 and "in.mp4: damaged or truncated" in summary.notes[0]
    assert len(clips.decoded(tmp_path / "out.mp4")) == summary.frames > 20
    assert list(read_log(tmp_path / "out.jsonl"))[-1] == EndRecord(summary.frames, RunStatus.TRUNCATED)


SCRIPT = """
import sys, time
from detector.detections import Detections
from detector.logs.frame_log import FrameLog, RunRecord
from detector.pipeline.loop import LoopOptions, run
from detector.video.writing.codecs import VideoSettings
from detector.video.writing.video_writer import VideoWriter
from detector.video.reading.video_file import VideoFile

def detect(frame):
    time.sleep(0.02)
    return Detections.empty()

source, folder = sys.argv[1:]
with VideoFile(source) as video:
    record = RunRecord.of(video.info, model="m", model_sha256="0", settings={}, classes=[])
    writer = VideoWriter(
        folder + "/out.mp4", video.info, audio_from=source, settings=VideoSettings(preset="ultrafast")
    )
    class Bar:
        def update(self, n=1):
            print("done", flush=True)
    summary = run(video, detect, [FrameLog(folder + "/out.jsonl", record), writer], LoopOptions(progress=Bar()))
    print(summary.status)
"""


def test_ctrl_c_leaves_a_playable_video_and_a_finished_log(clips, tmp_path):
    source = clips.make(tmp_path / "in.mp4", range(250), sound="aac")
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(source), str(tmp_path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    for _ in range(10):
        assert process.stdout.readline() == "done\n"
    process.send_signal(signal.SIGINT)
    out, errors = process.communicate(timeout=20)
    assert (process.returncode, errors) == (0, "")
    assert out.splitlines()[-1] == "interrupted"

    records = list(read_log(tmp_path / "out.jsonl"))
    frames = [record.frame for record in records if isinstance(record, FrameRecord)]
    assert 10 <= len(frames) < 200
    assert frames == list(range(len(frames)))
    assert records[-1] == EndRecord(len(frames), RunStatus.INTERRUPTED)
    assert [clips.number(picture) for _, picture in clips.decoded(tmp_path / "out.mp4")] == frames
    assert not (tmp_path / "out.mp4.yolo3-part1.mp4").exists()


def test_full_disk_ends_the_run_and_names_the_file(clips, tmp_path):
    source = clips.make(tmp_path / "in.mp4", range(100), sound="aac")
    limited = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (30000, 30000))\n{SCRIPT}"
    told = subprocess.run(
        [sys.executable, "-c", limited, str(source), str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    lines = told.stderr.splitlines()
    assert f"convert.errors.WriteError: {tmp_path}/out.mp4: could not be written: File too large" in lines
    assert "kept in" in lines[-1]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.mp4", "out.jsonl", "out.mp4.yolo3-part1.mp4"]
    assert list(read_log(tmp_path / "out.jsonl"))[-1].status is RunStatus.FAILED


def test_failed_run_leaves_the_log_and_the_part(clips, tmp_path):
    source = clips.make(tmp_path / "in.mp4", range(20))
    count = 0

    def detect(frame):
        nonlocal count
        count += 1
        if count > 10:
            raise ZeroDivisionError
        return Detections.empty()

    with pytest.raises(ZeroDivisionError):
        process(source, tmp_path, detect)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.mp4", "out.jsonl", "out.mp4.yolo3-part1.mp4"]
    assert len(clips.decoded(tmp_path / "out.mp4.yolo3-part1.mp4")) == 10
    assert list(read_log(tmp_path / "out.jsonl"))[-1] == EndRecord(10, RunStatus.FAILED)


def test_memory_does_not_grow_with_the_length(clips, tmp_path):
    """1500 generated frames of 100 kB: keeping a tenth of them would show."""
    code = f"""
import resource
from fractions import Fraction
import numpy as np
from detector.detections import Detections
from detector.video.frames import Frame, Source, VideoInfo
from detector.pipeline.loop import LoopOptions, run
from detector.video.writing.codecs import VideoSettings
from detector.video.writing.video_writer import VideoWriter

class Numbered(Source):
    def __iter__(self):
        for index in range(1500):
            yield Frame(index, index, Fraction(1, 25), np.full((160, 224, 3), index % 256, np.uint8))

marks = []
class Bar:
    count = 0
    def update(self, n=1):
        self.count += 1
        if self.count in (300, 1500):
            marks.append(int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize())

info = VideoInfo(source="made", width=224, height=160, time_base=Fraction(1, 25))
writer = VideoWriter({str(tmp_path / "out.mp4")!r}, info, settings=VideoSettings(preset="ultrafast"))
run(Numbered(), lambda picture: Detections.empty(), [writer], LoopOptions(progress=Bar()))
print(marks[1] - marks[0])
"""
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert int(told.stdout) < 10_000_000


def test_car_detection(videos, clips, tmp_path):
    source = videos / "car-detection.mp4"
    summary = process(source, tmp_path, nothing)
    assert (summary.frames, summary.status, summary.notes) == (377, RunStatus.COMPLETE, ())
    assert clips.times(tmp_path / "out.mp4") == clips.times(source)
    assert clips.sound_packets(tmp_path / "out.mp4") == clips.sound_packets(source)
    np.testing.assert_array_equal(clips.samples(tmp_path / "out.mp4"), clips.samples(source))
    records = list(read_log(tmp_path / "out.jsonl"))
    assert len(records) == 379
    assert (records[0].width, records[0].height, records[0].frame_rate) == (768, 432, Fraction(25, 2))


@pytest.mark.parametrize(
    "name", ["video_90.mov", "testsrc2_odd_height_and_width_vp9.mp4", "no_duration.webm", "sine_stereo_mp2.mpg"]
)
def test_real_videos(videos, clips, tmp_path, name):
    summary = process(videos / name, tmp_path, nothing)
    recoded = name.endswith(".mpg")  # browsers do not play MP2
    expected = {
        "sine_stereo_mp2.mpg": (f"{tmp_path}/out.mp4: audio re-encoded from mp2 to AAC",),
        "no_duration.webm": (f"{videos / name}: its transparency is discarded",),
    }
    assert summary.notes == expected.get(name, ())
    times = clips.times(videos / name)
    assert clips.times(tmp_path / "out.mp4") == times
    with av.open(str(videos / name)) as video:
        has_sound = bool(video.streams.audio)
    if has_sound and not recoded:
        before = clips.sound_packets(videos / name)
        after = clips.sound_packets(tmp_path / "out.mp4")
        assert [packet for _, packet in after] == [packet for _, packet in before]


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["vehicle_counting_input.mp4", "smpte-2997.mp4", "vtest_small.mp4", "bottle-detection.mp4"]
)
def test_long_real_videos(videos, clips, tmp_path, name):
    summary = process(videos / name, tmp_path, nothing, settings=VideoSettings())
    assert summary.notes == ()
    assert clips.times(tmp_path / "out.mp4") == clips.times(videos / name)


def test_damaged_real_video(videos, clips, tmp_path):
    summary = process(videos / "corrupted.mp4", tmp_path, nothing)
    assert (summary.frames, summary.status) == (49, RunStatus.TRUNCATED)
    assert "49 frames could be read, 1 could not" in summary.notes[0]
    times = clips.times(tmp_path / "out.mp4")
    assert len(times) == 49
    assert {after - before for before, after in pairwise(times)} == {Fraction(1, 10), Fraction(1, 5)}


def test_frames_reach_the_detector_upright_and_in_rgb(videos):
    with VideoFile(videos / "video_90.mov") as video:
        first: Frame = next(iter(video))
    assert first.picture.shape == (568, 320, 3)


@pytest.mark.slow
def test_twenty_thousand_frames_need_no_more_than_a_thousand(tmp_path):
    code = f"""
import os, resource, threading
from fractions import Fraction
from pathlib import Path
import numpy as np
from detector.detections import Detections
from detector.pipeline.annotate_video import draw_boxes
from detector.video.writing.codecs import VideoSettings
from detector.video.frames import Frame, Source, VideoInfo
from detector.logs.frame_log import FrameLog, RunRecord
from detector.pipeline.loop import LoopOptions, run
from detector.video.writing.video_writer import VideoWriter

class Numbered(Source):
    def __iter__(self):
        for index in range(20_000):
            yield Frame(index, index, Fraction(1, 25), np.full((96, 160, 3), index % 256, np.uint8))

def measure():
    pages = int(open("/proc/self/statm").read().split()[1])
    return pages * resource.getpagesize(), len(os.listdir("/proc/self/fd")), threading.active_count()

marks = []
class Bar:
    count = 0
    def update(self, n=1):
        self.count += 1
        if self.count in (1000, 19_990):
            marks.append(measure())

box = Detections(np.array([[10, 10, 60, 60]], np.float32), np.array([0.9], np.float32), np.array([0]), ("car",))
info = VideoInfo(source="made", width=160, height=96, time_base=Fraction(1, 25))
record = RunRecord.of(info, model="m", model_sha256="0", settings={{}}, classes=("car",))
folder = Path({str(tmp_path)!r})
sinks = [
    FrameLog(folder / "out.jsonl", record),
    VideoWriter(folder / "out.mp4", info, settings=VideoSettings(preset="ultrafast")),
]
summary = run(Numbered(), lambda picture: box, sinks, LoopOptions(annotate=draw_boxes, progress=Bar()))
assert summary.frames == 20_000
(memory, files, threads), (later, later_files, later_threads) = marks
print(later - memory, later_files - files, later_threads - threads)
"""
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300, check=True)
    memory, files, threads = map(int, told.stdout.split())
    assert memory < 20_000_000
    assert (files, threads) == (0, 0)
