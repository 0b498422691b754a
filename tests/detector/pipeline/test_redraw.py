import contextlib
from fractions import Fraction
from time import sleep

import numpy as np
import pytest
from PIL import Image

from detector.cli.logs import redraw_verb
from detector.detections import Detections
from detector.errors import LogError, OutputError, SettingsError
from detector.logs.box_filter import BoxFilter
from detector.logs.frame_log import FrameLog, RunRecord
from detector.pipeline.contact_sheet import eventful_frames
from detector.pipeline.loop import LoopOptions, run
from detector.pipeline.redraw import RedrawOptions, redraw_video
from detector.video.frames import Frame, VideoInfo
from detector.video.reading.cameras import open_camera
from detector.video.reading.video_file import VideoFile
from detector.video.status import RunStatus
from detector.video.writing.video_writer import VideoWriter

ALL = BoxFilter()
NAMES = ("car", "person")


@pytest.fixture
def logged(clips, tmp_path, boxes_of):
    """A video of 30 frames and its log: a car always, a person (confidence 0.9 too) from frame 12 to 17."""
    source = clips.make(tmp_path / "in.mp4", range(30), sound="aac")
    info = VideoInfo(str(source), clips.width, clips.height, Fraction(1, 25))
    log = tmp_path / "in.jsonl"
    with FrameLog(log, RunRecord.of(info, model="m", model_sha256="0", settings={}, classes=NAMES)) as sink:
        for frame in clips.frames(30):
            found = boxes_of((10, 60, 60, 100), (120, 50, 180, 150), names=NAMES)
            found.class_id[1] = 1
            sink.write(frame, found if 12 <= frame.index < 18 else found[:1])
    return source, log


def redrawn(logged, chosen=ALL, **outputs):
    return redraw_video(RedrawOptions(*logged, chosen, **outputs), bar=lambda total: contextlib.nullcontext(None))


def test_boxes_are_those_chosen(clips, logged, tmp_path):
    redrawn(logged, BoxFilter(classes=("person",)), video=tmp_path / "out.mp4")
    result = clips.decoded(tmp_path / "out.mp4")
    assert [time for time, _ in result] == clips.times(logged[0])
    assert clips.sound_packets(tmp_path / "out.mp4") == clips.sound_packets(logged[0])
    source = clips.decoded(logged[0])
    for number, ((_, picture), (_, plain)) in enumerate(zip(result, source, strict=True)):
        change = np.abs(picture.astype(int) - plain).mean(axis=2)
        assert (change[50:150, 120:122].mean() > 30) == (12 <= number < 18), number
        assert change[65:95, 8:62].mean() < 8  # the car is not drawn


def test_confidence(clips, logged, tmp_path):
    redrawn(logged, BoxFilter(confidence=0.95), video=tmp_path / "out.mp4")
    pairs = zip(clips.decoded(tmp_path / "out.mp4"), clips.decoded(logged[0]), strict=True)
    assert all(np.abs(picture.astype(int) - plain).mean() < 4 for (_, picture), (_, plain) in pairs)


def test_crops_are_the_objects_without_boxes(clips, logged, tmp_path):
    redrawn(logged, BoxFilter(classes=("person",)), crops=tmp_path / "crops")
    files = sorted(path.relative_to(tmp_path / "crops").as_posix() for path in (tmp_path / "crops").rglob("*.jpg"))
    assert files == [f"person/frame_{number:06d}_0.jpg" for number in range(12, 18)]
    with Image.open(tmp_path / "crops" / files[0]) as crop:
        assert crop.size == (60, 100)
        assert np.abs(np.asarray(crop).astype(int) - clips.picture(12)[50:150, 120:180]).mean() < 8
    with pytest.raises(OutputError, match="is not empty"):
        redrawn(logged, crops=tmp_path / "crops")


def test_sheet(logged, tmp_path):
    pytest.importorskip("matplotlib")
    redrawn(logged, sheet=tmp_path / "sheet.png")
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.size == (1200, 1200)
        assert len(sheet.convert("RGB").getcolors(1 << 24)) > 100
    assert {0, 12, 18} <= set(eventful_frames(logged[1], BoxFilter(), count=9))  # something comes, or goes


def log_of(path, info, frames, boxes_of, *, ending=None):
    """The log of a run over these (number, seconds), with a box at a different place for each number."""
    record = RunRecord.of(info, model="m", model_sha256="0", settings={}, classes=NAMES)
    with contextlib.suppress(KeyboardInterrupt), FrameLog(path, record) as sink:
        for number, seconds in frames:
            frame = Frame(number, round(seconds * 90_000), Fraction(1, 90_000), np.zeros((2, 2, 3), np.uint8))
            sink.write(frame, boxes_of(place_of(number), names=NAMES))
        if ending:
            raise ending
    return path


def place_of(number):
    left = 4 + number * 29 % 170
    return left, 60, left + 40, 100


def check_boxes(clips, video, plain, numbers):
    """That frame k of the video has the box of number `numbers[k]`, and none where that is None."""
    pairs = list(zip(clips.decoded(video), clips.decoded(plain), strict=True))
    assert len(pairs) == len(numbers)
    for number, ((_, picture), (_, before)) in zip(numbers, pairs, strict=True):
        changed = (np.abs(picture.astype(int) - before).mean(axis=2) > 25)[90:104]  # below its label
        if number is None:
            assert not changed.any()
            continue
        left, _, right, _ = place_of(number)
        columns = np.flatnonzero(changed.any(axis=0))
        assert abs(columns.min() - left) <= 3 and abs(columns.max() - right) <= 3, number


LIVE = [0, 1, 3, 7, 8, 12, 20, 21, 30, 44]
"""The frames of a live source that were not dropped."""


@pytest.mark.parametrize(("name", "late"), [("in.mp4", 0), ("in.mkv", 0), ("in.mp4", 1000), ("in.webm", 0)])
def test_recording_of_a_live_run_that_dropped_frames(clips, tmp_path, boxes_of, name, late):
    """It contains the frames that were not dropped; its clock may start at 0 although the source's did not."""
    seconds = [late + number * 0.0333 + number % 3 / 700 for number in LIVE]
    codec = "libvpx-vp9" if name.endswith("webm") else "libx264"
    recording = clips.make(
        tmp_path / name, [round((at - late) * 90_000) for at in seconds], time_base=Fraction(1, 90_000), codec=codec
    )
    info = VideoInfo("camera 0", clips.width, clips.height, Fraction(1, 90_000), live=True)
    ending = KeyboardInterrupt()
    log = log_of(tmp_path / "log.jsonl", info, zip(LIVE, seconds, strict=True), boxes_of, ending=ending)
    redrawn((recording, log), video=tmp_path / "out.mp4", crops=tmp_path / "crops")
    check_boxes(clips, tmp_path / "out.mp4", recording, LIVE)
    crops = sorted(path.name for path in (tmp_path / "crops").rglob("*.jpg"))
    assert crops == [f"frame_{number:06d}_0.jpg" for number in LIVE]


def test_source_of_a_live_run_that_dropped_frames(clips, tmp_path, boxes_of):
    source = clips.make(tmp_path / "in.mp4", range(50))
    info = VideoInfo(str(source), clips.width, clips.height, Fraction(1, 25), live=True)
    kept = [3, 4, 7, 20, 49]  # the first were dropped too
    log = log_of(tmp_path / "log.jsonl", info, [(number, number / 25) for number in kept], boxes_of)
    redrawn((source, log), video=tmp_path / "out.mp4")
    check_boxes(clips, tmp_path / "out.mp4", source, [number if number in kept else None for number in range(50)])


def test_recording_made_by_the_program_itself(clips, tmp_path, boxes_of):
    """A file in a camera's place, a slow detector, --buffer latest; then the boxes again, on the recording."""
    source = clips.make(tmp_path / "in.mp4", range(50))
    plain, log = tmp_path / "plain.mp4", tmp_path / "log.jsonl"
    order = iter(range(1000))

    def detect(picture):
        sleep(0.1)
        return boxes_of(place_of(next(order)), names=NAMES)

    with open_camera(source) as camera:
        record = RunRecord.of(camera.info, model="m", model_sha256="0", settings={}, classes=NAMES)
        summary = run(
            camera, detect, [FrameLog(log, record), VideoWriter(plain, camera.info)], LoopOptions(buffer="latest")
        )
    assert summary.dropped > 10
    redrawn((plain, log), video=tmp_path / "out.mp4")
    check_boxes(clips, tmp_path / "out.mp4", plain, list(range(summary.frames)))


def test_log_of_a_run_that_was_interrupted_or_killed(clips, tmp_path, boxes_of):
    source = clips.make(tmp_path / "in.mp4", range(20))
    info = VideoInfo(str(source), clips.width, clips.height, Fraction(1, 25))
    frames = [(number, number / 25) for number in range(12)]
    log = log_of(tmp_path / "log.jsonl", info, frames, boxes_of, ending=KeyboardInterrupt())
    redrawn((source, log), video=tmp_path / "out.mp4")
    check_boxes(clips, tmp_path / "out.mp4", source, [*range(12), *[None] * 8])
    # Killed: no line says how it ended, and the recording may lack the last frames.
    log.write_text("".join(log.read_text().splitlines(keepends=True)[:-1]))
    part = clips.make(tmp_path / "part.mp4", range(10))
    redrawn((part, log), video=tmp_path / "out2.mp4")
    check_boxes(clips, tmp_path / "out2.mp4", part, list(range(10)))


@pytest.mark.parametrize(
    ("pts", "message"),
    [
        pytest.param(range(29), "ends before the log's frame at 1.160 s", id="a frame short"),
        pytest.param(range(31), "the log ends before its frame at 1.200 s", id="a frame long"),
        pytest.param(range(300), "the log ends before its frame at 1.200 s", id="long"),
        pytest.param(range(2), "the log's last frame is at 1.16 s, the video's near 0.08 s", id="short"),
        pytest.param(range(0, 60, 2), "has no frame at|last frame is at", id="half the rate"),
        pytest.param([index * 0.97 for index in range(30)], "has no frame at", id="another rate"),
    ],
)
def test_another_video_of_the_same_size_is_recognised(clips, logged, tmp_path, pts, message):
    ticks = [round(index * 3600) for index in pts]
    other = clips.make(tmp_path / "other.mp4", ticks, time_base=Fraction(1, 90_000))
    with pytest.raises(LogError, match=rf"in\.jsonl: is not the log of .*other\.mp4: .*({message}).*in\.mp4"):
        redrawn((other, logged[1]), video=tmp_path / "out.mp4", sheet=tmp_path / "sheet.png")
    assert not (tmp_path / "out.mp4").exists() and not (tmp_path / "sheet.png").exists()


def test_refused_options(clips, logged, tmp_path):
    with pytest.raises(SettingsError, match="nothing to make"):
        redrawn(logged)
    with pytest.raises(SettingsError, match="'cat' is not one of"):
        redrawn(logged, BoxFilter(blur=("cat",)), video=tmp_path / "out.mp4")
    other = clips.make(tmp_path / "other.mp4", range(3), size=(320, 240))
    with pytest.raises(LogError, match="is of a video of 224x160"):
        redrawn((other, logged[1]), video=tmp_path / "out.mp4")
    assert not (tmp_path / "out.mp4").exists()


def test_redraw_command(logged, tmp_path, capsys):
    redraw_verb(*logged, tmp_path / "out.mp4", blur="person", quiet=True)
    assert capsys.readouterr() == (f"Wrote {tmp_path / 'out.mp4'}\n", "")


def test_a_log_that_ends_early_gives_a_note(clips, tmp_path):
    source, log = clips.make(tmp_path / "in.mp4", range(20)), tmp_path / "log.jsonl"
    with VideoFile(source) as video:
        record = RunRecord.of(video.info, model="m", model_sha256="0", settings={}, classes=("car",))
        sink = FrameLog(log, record)
        with sink:
            for frame in video:
                sink.write(frame, Detections.empty(("car",)))
    log.write_text("".join(line + "\n" for line in log.read_text().splitlines()[:6]))  # killed after five frames
    options = RedrawOptions(source, log, video=tmp_path / "out.mp4")
    summary = redraw_video(options, bar=lambda _: contextlib.nullcontext())
    assert any("ends 15 frames before the video" in note for note in summary.notes)


def blurred(clips, path, wanted):
    """Which of the frames no longer show their number."""
    pictures = [picture for _, picture in clips.decoded(path)]
    return [number for number, picture in enumerate(pictures) if clips.number(picture) != wanted(number)]


def test_frames_without_a_log_line_are_hidden_completely(clips, tmp_path):
    source, log = clips.make(tmp_path / "in.mp4", range(1, 31)), tmp_path / "log.jsonl"
    with VideoFile(source) as video:
        record = RunRecord.of(video.info, model="m", model_sha256="0", settings={}, classes=("person",))
        with FrameLog(log, record) as sink:
            for frame in video:
                if frame.index % 3 != 1:  # as of a camera whose detector dropped frames
                    sink.write(frame, Detections.empty(("person",)))
    options = RedrawOptions(source, log, BoxFilter(blur=("person",)), video=tmp_path / "out.mp4")
    result = redraw_video(options, bar=lambda _: contextlib.nullcontext())
    shown = [clips.number(picture) for _, picture in clips.decoded(source)]
    gone = blurred(clips, tmp_path / "out.mp4", lambda number: shown[number])
    assert gone == [number for number in range(30) if number % 3 == 1]
    assert result.status is RunStatus.TRUNCATED
    assert "has no line for 10 frames of the video; they were hidden completely" in result.notes[-1]


def test_two_frames_without_a_box_are_hidden_as_the_ones_around_them(clips, tmp_path, boxes_of):
    source, log = clips.make(tmp_path / "in.mp4", [number + 100 for number in range(20)]), tmp_path / "log.jsonl"
    everything = boxes_of((0, 0, 224, 60), names=("person",))
    with VideoFile(source) as video:
        record = RunRecord.of(video.info, model="m", model_sha256="0", settings={}, classes=("person",))
        with FrameLog(log, record) as sink:
            for frame in video:
                sink.write(frame, everything[:0] if frame.index in (9, 10) else everything)
    redrawn((source, log), BoxFilter(blur=("person",)), video=tmp_path / "out.mp4")
    shown = [clips.number(picture) for _, picture in clips.decoded(source)]
    assert {9, 10} <= set(blurred(clips, tmp_path / "out.mp4", lambda number: shown[number]))


def test_boxes_of_one_frame_are_not_drawn_smoothly_but_still_hidden(clips, tmp_path, boxes_of):
    source = clips.make(tmp_path / "in.mp4", range(8))
    info = VideoInfo(str(source), clips.width, clips.height, Fraction(1, 25))
    log = tmp_path / "in.jsonl"
    with FrameLog(log, RunRecord.of(info, model="m", model_sha256="0", settings={}, classes=NAMES)) as sink:
        for frame in clips.frames(8):
            sink.write(frame, boxes_of(*[(0, 0, 190, 140)] if frame.index == 3 else [], names=NAMES))
    changes = {}
    for name, boxes in (("plain", ALL), ("hidden", BoxFilter(blur=("car",)))):
        for smooth in (False, True):
            redrawn((source, log), boxes, video=tmp_path / f"{name}{smooth}.mp4", smooth=smooth)
            shown, plain = clips.decoded(tmp_path / f"{name}{smooth}.mp4")[3][1], clips.decoded(source)[3][1]
            changes[name, smooth] = np.abs(shown.astype(int) - plain).mean()
    assert changes["plain", False] > 2 * changes["plain", True]
    assert changes["hidden", True] == changes["hidden", False] > 2 * changes["plain", True]
