"""Runs that are killed and resumed."""

import contextlib
import json
import random
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from convert.files import lock_outputs
from detector.detections import Detections
from detector.errors import OutputError, SettingsError, WriteError
from detector.logs.frame_log import FrameRecord, pending_log, read_log, read_log_progress
from detector.pipeline.annotate_video import VideoOptions, annotate_video
from detector.pipeline.outputs import Outputs
from detector.settings import Settings
from detector.tracking.frame_skipping import FrameSkipping
from detector.video.status import RunStatus
from detector.video.writing.parts import kept_of, part_path, parts_left
from tests.detector.clips import Clips, FakeDetector

RUN = """
import contextlib, json, sys, time
from pathlib import Path
import numpy as np
from detector.detections import Detections
from detector.settings import Settings
from detector.pipeline.annotate_video import VideoOptions, annotate_video
from detector.pipeline.outputs import Outputs
from detector.tracking.frame_skipping import EVERY_FRAME, FrameSkipping

class Brightest:
    names = ("red", "green", "blue")
    workers = 1
    def prepare(self, info): pass
    def detect_frame(self, frame):
        time.sleep(PAUSE)
        number = int(np.asarray(frame.image)[:24, :192:24].mean())
        box = np.array([[number % 50, 40, number % 50 + 30, 90]], np.float32)
        return Detections(box, np.array([0.5 + number / 1000], np.float32), np.array([number % 3]), self.names)

PAUSE = float(sys.argv[4])
source, model, out = map(Path, sys.argv[1:4])
class Bar:
    def update(self, n=1): print("done", flush=True)
summary = annotate_video(
    VideoOptions(
        source, model, Settings(), Outputs(
            out, out.with_suffix(".jsonl"), overwrite="overwrite" in sys.argv, resume="resume" in sys.argv
        ),
        skipping=FrameSkipping(4, skip_still=True) if "sparse" in sys.argv else EVERY_FRAME,
    ),
    bar=lambda total: contextlib.nullcontext(Bar()), open_detector=lambda *_, **__: Brightest(),
)
print(json.dumps([str(summary.status), summary.frames]))
"""


def start(source, model, out, *words, pause=0.0, code=RUN):
    return subprocess.Popen(
        [sys.executable, "-c", code, str(source), str(model), str(out), str(pause), *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(*arguments, **options):
    running = start(*arguments, **options)
    out, err = running.communicate(timeout=60)
    assert (running.returncode, err) == (0, ""), err
    return json.loads(out.splitlines()[-1])


def kill_after(running, frames, more_seconds=0.0):
    for _ in range(frames):
        if not running.stdout.readline().startswith("done"):
            break
    time.sleep(more_seconds)
    running.kill()
    running.communicate()


def resumed_as_unbroken(clips, colour_model, folder, moments, *words, ending=".mp4"):
    source = clips.make(folder / "in.mp4", [40 * index + index % 7 for index in range(120)], sound="aac")
    whole, out = folder / f"whole{ending}", folder / f"out{ending}"
    assert finish(source, colour_model, whole, *words) == ["complete", 120]
    for number, (frames, seconds) in enumerate(moments):
        again = ["resume"] * bool(number)
        kill_after(start(source, colour_model, out, *words, *again, pause=0.004), frames, seconds)
        left = parts_left(out)
        if out.exists():
            assert len(clips.decoded(out)) == 120
            continue
        if not left:
            continue
        done = read_log_progress(out.with_suffix(".jsonl")).frames
        kept = kept_of(left)
        # The encoder holds back some frames; all others are there, and play.
        assert sum(part.frames for part in kept) >= done - 60
        for part in kept:
            assert len(clips.decoded(part.path)) >= part.frames
    finish(source, colour_model, out, "resume", *words)
    assert sorted(path.name for path in folder.iterdir()) == sorted(
        ["in.mp4", "out.jsonl", "whole.jsonl", out.name, whole.name]
    )
    log, unbroken = ((folder / name).read_text() for name in ("out.jsonl", "whole.jsonl"))
    assert log == unbroken
    result, expected = clips.decoded(out), clips.decoded(whole)
    assert [time for time, _ in result] == [time for time, _ in expected]
    assert [clips.number(picture) for _, picture in result] == list(range(120))
    assert clips.sound_packets(out) == clips.sound_packets(whole)


@pytest.mark.parametrize(
    ("moments", "ending"),
    [
        pytest.param([(1, 0)], ".mp4", id="at once"),
        pytest.param([(70, 0.01), (3, 0), (25, 0)], ".mp4", id="three times"),
        pytest.param([(60, 0)], ".mkv", id="matroska"),
        pytest.param([(120, 0.02)], ".mp4", id="at the end"),
    ],
)
def test_killed_run_is_resumed(clips, colour_model, tmp_path, moments, ending):
    resumed_as_unbroken(clips, colour_model, tmp_path, moments, ending=ending)


class Wandering(Clips):
    """Frames in which an object moves from left to right, and stands still for a while."""

    texture = np.random.default_rng(4).integers(0, 255, (12, 12, 3), np.uint8).repeat(5, 0).repeat(5, 1)

    def picture(self, number, **size):
        picture = super().picture(number, **size)
        left = round(1.7 * min(number % 60, 40))
        picture[40:100, left : left + 60] = self.texture
        return picture


@pytest.mark.parametrize("moments", [[(70, 0)], [(33, 0), (21, 0), (4, 0)]])
def test_killed_run_with_skipped_frames_is_resumed(colour_model, tmp_path, moments):
    resumed_as_unbroken(Wandering(), colour_model, tmp_path, moments, "sparse")
    log = [record for record in read_log(tmp_path / "out.jsonl") if isinstance(record, FrameRecord)]
    assert 20 < sum(not record.propagated for record in log) < 60
    looked, carried = ({item.detections[0].box for item in log if item.propagated is word} for word in (False, True))
    assert len(carried - looked) > 10  # boxes do move, so that a log which is the same says something


@pytest.mark.slow
@pytest.mark.parametrize("words", [(), ("sparse",)])
@pytest.mark.parametrize("seed", range(20))
def test_killed_at_random_moments(clips, colour_model, tmp_path, seed, words):
    dice = random.Random(seed)
    moments = [(dice.randrange(120), dice.random() * 0.1) for _ in range(dice.randrange(1, 4))]
    resumed_as_unbroken(Wandering() if words else clips, colour_model, tmp_path, moments, *words)


class Nothing(FakeDetector):
    def __init__(self, *, fail_at=None):
        super().__init__()
        self.count, self.fail_at = 0, fail_at

    def detect(self, picture):
        if self.count == self.fail_at:
            raise WriteError("no room")
        self.count += 1
        return Detections.empty()


def annotate(source, model, outputs, settings=None, *, finder=None):
    finder = finder or Nothing()
    options = VideoOptions(source, model, settings or Settings(), outputs)
    return annotate_video(options, bar=lambda total: contextlib.nullcontext(None), open_detector=finder.opened)


def test_failed_run_without_a_log_is_resumed(clips, colour_model, tmp_path):
    source, out = clips.make(tmp_path / "in.mp4", range(80)), tmp_path / "out.mp4"
    with pytest.raises(WriteError):
        annotate(source, colour_model, Outputs(out), finder=Nothing(fail_at=60))
    assert {path.name for path in tmp_path.iterdir()} == {
        "in.mp4",
        "out.mp4.yolo3-part1.mp4",
        "out.mp4.yolo3-part1.jsonl",
    }
    with pytest.raises(OutputError, match="pass --overwrite"):
        annotate(source, colour_model, Outputs(out))

    finder = Nothing()
    summary = annotate(source, colour_model, Outputs(out, resume=True), finder=finder)

    assert finder.count == 20  # what the journal holds is not looked for again
    assert summary.status is RunStatus.COMPLETE
    assert summary.notes[0].startswith("continued at frame ")
    assert [clips.number(picture) for _, picture in clips.decoded(out)] == list(range(80))
    assert {path.name for path in tmp_path.iterdir()} == {"in.mp4", "out.mp4"}


@pytest.mark.parametrize("video", ["out.mp4", None])
def test_interrupted_run_is_resumed(clips, colour_model, tmp_path, video):
    source = clips.make(tmp_path / "in.mp4", range(50), sound="aac")
    out, log = video and tmp_path / video, tmp_path / "out.jsonl"

    class Interrupted(Nothing):
        def detect(self, picture):
            if self.count == 30:
                raise KeyboardInterrupt
            return super().detect(picture)

    assert annotate(source, colour_model, Outputs(out, log), finder=Interrupted()).status is RunStatus.INTERRUPTED
    finder = Nothing()
    assert annotate(source, colour_model, Outputs(out, log, resume=True), finder=finder).status is RunStatus.COMPLETE
    assert finder.count == 20
    assert [record.frame for record in list(read_log(log))[1:-1]] == list(range(50))
    if out:
        assert [clips.number(picture) for _, picture in clips.decoded(out)] == list(range(50))
        assert clips.sound_packets(out) == clips.sound_packets(source)
    again = annotate(source, colour_model, Outputs(out, log, resume=True))
    assert again.frames == 0 and "is already complete" in again.notes[0]


class Numbers(Nothing):
    def detect(self, picture):
        super().detect(picture)
        number = Clips().number(picture)
        box = np.array([[number, 50, number + 20, 90]], np.float32)
        return Detections(box, np.array([0.9], np.float32), np.array([0]), ("car",))


@pytest.mark.parametrize("with_video", [True, False])
@pytest.mark.parametrize("broken_at", [1, 2, 4, 5])
@pytest.mark.parametrize(
    "sparse", [FrameSkipping(3, carry="still"), FrameSkipping(3), FrameSkipping(2, skip_still=True)]
)
def test_skipped_frames_after_resuming(colour_model, tmp_path, sparse, broken_at, with_video):
    source = Wandering().make(tmp_path / "in.mp4", range(24))

    told = []

    def run(name, finder, **how):
        outputs = Outputs(tmp_path / f"{name}.mp4" if with_video else None, tmp_path / f"{name}.jsonl", **how)
        options = VideoOptions(source, colour_model, Settings(), outputs, skipping=sparse)
        bar = lambda total: contextlib.nullcontext(None)  # noqa: E731
        return annotate_video(options, bar=bar, on_note=told.append, open_detector=finder.opened)

    finder = Numbers()
    run("whole", finder)
    assert told == [f"detected in {finder.count} of 24 frames"]
    with pytest.raises(WriteError):
        run("out", Numbers(fail_at=broken_at))
    run("out", Numbers(), resume=True)
    assert (tmp_path / "out.jsonl").read_text() == (tmp_path / "whole.jsonl").read_text()
    lines = [record for record in read_log(tmp_path / "out.jsonl") if isinstance(record, FrameRecord)]
    assert sum(not line.propagated for line in lines) == finder.count < 20
    if sparse.carry == "still":
        assert [line.detections[0].box[0] for line in lines] == [index // 3 * 3 for index in range(24)]
        assert [line.propagated for line in lines] == [bool(index % 3) for index in range(24)]
    if with_video:
        numbers = [Clips().number(picture) for _, picture in Clips().decoded(tmp_path / "out.mp4")]
        assert numbers == list(range(24))
    with pytest.raises(OutputError, match=r"its every was [23], not None"):
        annotate(source, colour_model, Outputs(None, tmp_path / "out.jsonl", resume=True))


def test_nothing_to_resume_is_a_start(clips, colour_model, tmp_path):
    source, out = clips.make(tmp_path / "in.mp4", range(5)), tmp_path / "out.mp4"
    assert annotate(source, colour_model, Outputs(out, resume=True)).frames == 5
    with pytest.raises(OutputError, match="there is no log"):
        annotate(source, colour_model, Outputs(out, resume=True))
    with pytest.raises(SettingsError, match="choose one"):
        annotate(source, colour_model, Outputs(out, resume=True, overwrite=True))


def test_another_run_is_not_resumed(clips, colour_model, tmp_path):
    source, log = clips.make(tmp_path / "in.mp4", range(5)), tmp_path / "out.jsonl"
    annotate(source, colour_model, Outputs(None, log))
    with pytest.raises(OutputError, match=r"its confidence was 0\.25, not 0\.5"):
        annotate(source, colour_model, Outputs(None, log, resume=True), Settings(confidence=0.5))
    other = clips.make(tmp_path / "other.mp4", range(5))
    with pytest.raises(OutputError, match="its source was"):
        annotate(other, colour_model, Outputs(None, log, resume=True))


def test_another_file_in_place_of_the_video_of_a_log_is_refused(clips, colour_model, tmp_path):
    source, log, video = clips.make(tmp_path / "in.mp4", range(20)), tmp_path / "log.jsonl", tmp_path / "out.mp4"
    annotate(source, colour_model, Outputs(log=log))
    video.write_text("mine")

    with pytest.raises(OutputError, match=r"out\.mp4: is not the video of .*log\.jsonl: it has no frame"):
        annotate(source, colour_model, Outputs(video, log, resume=True))
    assert video.read_text() == "mine"

    video.unlink()
    assert annotate(source, colour_model, Outputs(video, log, resume=True)).frames == 20
    assert "is already complete" in annotate(source, colour_model, Outputs(video, log, resume=True)).notes[0]


def test_second_run_on_the_same_output_refuses(clips, colour_model, tmp_path):
    source, out = clips.make(tmp_path / "in.mp4", range(100)), tmp_path / "out.mp4"
    first = start(source, colour_model, out, pause=0.05)
    assert first.stdout.readline() == "done\n"
    for outputs in (Outputs(out, resume=True), Outputs(out, overwrite=True)):
        with pytest.raises(OutputError, match="another run is writing to it"):
            annotate(source, colour_model, outputs)
    first.send_signal(signal.SIGINT)
    first.communicate(timeout=20)
    assert first.returncode == 0
    with lock_outputs(out):
        pass


def test_old_video_stays_until_the_resumed_one_is_complete(clips, colour_model, tmp_path):
    source, out, log = clips.make(tmp_path / "in.mp4", range(60)), tmp_path / "out.mp4", tmp_path / "out.jsonl"
    out.write_text("old")
    log.write_text("old")
    with pytest.raises(WriteError):
        annotate(source, colour_model, Outputs(out, log, overwrite=True), finder=Nothing(fail_at=40))
    assert out.read_text() == "old"
    assert annotate(source, colour_model, Outputs(out, log, resume=True)).status is RunStatus.COMPLETE
    assert len(clips.decoded(out)) == 60


class Interrupted(Nothing):
    """Ctrl-C at a frame."""

    def detect(self, picture):
        if self.count == self.fail_at:
            raise KeyboardInterrupt
        return super().detect(picture)


@pytest.mark.parametrize("ends", ["failed", "interrupted"])
@pytest.mark.parametrize("with_video", [True, False])
def test_the_old_pair_stays_until_the_new_one_is_complete(clips, colour_model, tmp_path, ends, with_video):
    source = clips.make(tmp_path / "in.mp4", range(60))
    out, log = (tmp_path / "out.mp4" if with_video else None), tmp_path / "out.jsonl"
    annotate(source, colour_model, Outputs(out, log))
    pair = [path for path in (out, log) if path]
    before = [path.read_bytes() for path in pair]
    files = set(tmp_path.iterdir())
    new = Settings(confidence=0.5)
    if ends == "failed":
        with pytest.raises(WriteError):
            annotate(source, colour_model, Outputs(out, log, overwrite=True), new, finder=Nothing(fail_at=40))
    else:
        finder = Interrupted(fail_at=40)
        result = annotate(source, colour_model, Outputs(out, log, overwrite=True), new, finder=finder)
        assert (result.status, result.kept_earlier) == (RunStatus.INTERRUPTED, True)
        notes = " ".join(result.notes)
        assert f"{log}: is still the earlier log; the new one is in {pending_log(log)}" in notes
        assert out is None or f" frames are kept in {part_path(out)}" in notes
        assert "--resume continues it" in notes
    assert [path.read_bytes() for path in pair] == before
    assert read_log_progress(pending_log(log)).frames == 40
    with pytest.raises(OutputError, match="exists already"):
        annotate(source, colour_model, Outputs(out, log), new)

    again = Interrupted(fail_at=5)
    result = annotate(source, colour_model, Outputs(out, log, resume=True), new, finder=again)
    assert result.kept_earlier and [path.read_bytes() for path in pair] == before
    finder = Nothing()
    result = annotate(source, colour_model, Outputs(out, log, resume=True), new, finder=finder)
    assert (result.status, finder.count, result.kept_earlier) == (RunStatus.COMPLETE, 15, False)
    assert set(tmp_path.iterdir()) == files
    assert read_log_progress(log).run.settings["confidence"] == 0.5
    if out:
        assert [clips.number(picture) for _, picture in clips.decoded(out)] == list(range(60))


def test_killed_overwriting_run_leaves_the_old_pair_and_is_resumed(clips, colour_model, tmp_path):
    source, out = clips.make(tmp_path / "in.mp4", range(80)), tmp_path / "out.mp4"
    assert finish(source, colour_model, out) == ["complete", 80]
    before = [path.read_bytes() for path in (out, out.with_suffix(".jsonl"))]
    kill_after(start(source, colour_model, out, "overwrite", pause=0.01), 30)
    assert [path.read_bytes() for path in (out, out.with_suffix(".jsonl"))] == before
    assert len(parts_left(out)) == 1
    assert finish(source, colour_model, out, "resume")[0] == "complete"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.mp4", "out.jsonl", "out.mp4"]
    assert out.with_suffix(".jsonl").read_bytes() == before[1]


def test_the_log_behind_a_link_is_replaced_and_the_link_stays(clips, colour_model, tmp_path):
    source, log = clips.make(tmp_path / "in.mp4", range(8)), tmp_path / "link.jsonl"
    (tmp_path / "elsewhere").mkdir()
    real = tmp_path / "elsewhere" / "real.jsonl"
    real.write_text("old")
    log.symlink_to(real)
    with pytest.raises(WriteError):
        annotate(source, colour_model, Outputs(None, log, overwrite=True), finder=Nothing(fail_at=4))
    assert real.read_text() == "old"
    annotate(source, colour_model, Outputs(None, log, overwrite=True))
    assert log.is_symlink() and read_log_progress(real).status is RunStatus.COMPLETE
    assert list(real.parent.iterdir()) == [real]


def test_a_damaged_part_is_made_again(clips, colour_model, tmp_path):
    source, out, log = clips.make(tmp_path / "in.mp4", range(60)), tmp_path / "out.mp4", tmp_path / "out.jsonl"
    with pytest.raises(WriteError):
        annotate(source, colour_model, Outputs(out, log), finder=Nothing(fail_at=50))
    part_path(out).write_bytes(b"\0" * 5000)
    finder = Nothing()
    annotate(source, colour_model, Outputs(out, log, resume=True), finder=finder)
    assert finder.count == 10
    assert [clips.number(picture) for _, picture in clips.decoded(out)] == list(range(60))


def test_full_disk_then_room(clips, colour_model, tmp_path):
    source, out = clips.make(tmp_path / "in.mp4", range(120), sound="aac"), tmp_path / "out.mp4"
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (30000, 30000))\n"
    running = start(source, colour_model, out, code=limit + RUN)
    _, err = running.communicate(timeout=60)
    assert running.returncode == 1
    lines = err.splitlines()
    assert any(line.endswith(f"{out}: could not be written: File too large") for line in lines)
    assert "kept in" in lines[-1]
    assert list(read_log(tmp_path / "out.jsonl"))[-1].status is RunStatus.FAILED
    assert finish(source, colour_model, out, "resume")[0] == "complete"
    assert [clips.number(picture) for _, picture in clips.decoded(out)] == list(range(120))
    assert len(clips.sound_packets(out)) == len(clips.sound_packets(source))
