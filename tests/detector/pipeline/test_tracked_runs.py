"""Whole runs with tracks: their events are those of their logs, and an interrupted run ends as an unbroken one."""

import contextlib
import json

import numpy as np
import pytest

from detector.pipeline.annotate_video import VideoOptions, annotate_video
from detector.pipeline.live_tracking import TrackingOptions
from detector.pipeline.log_events import EventOptions, write_events
from detector.pipeline.outputs import Outputs
from detector.settings import Settings
from detector.video.status import RunStatus
from detector.video.writing.codecs import VideoSettings
from tests.detector.clips import FakeDetector
from tests.detector.pipeline.test_track_log import no_bar

pytest.importorskip("trackers")

FRAMES = 60
ZONES = """[[zone]]
name = "middle"
polygon = [[0.3, 0], [0.7, 0], [0.7, 1], [0.3, 1]]
[[line]]
name = "half"
from = [0.5, 1]
to = [0.5, 0]
"""


class Detector(FakeDetector):
    """Detects two objects that pass each other; interrupted at a frame."""

    def __init__(self, clips, boxes_of, stops_at=None):
        super().__init__()
        self.clips, self.boxes_of, self.stops_at, self.asked = clips, boxes_of, stops_at, 0

    def detect(self, image):
        number = self.clips.number(image)
        self.asked += 1
        if number == self.stops_at:
            raise KeyboardInterrupt
        boxes = [(10 + 2.3 * number, 30, 50 + 2.3 * number, 70), (180 - 2.1 * number, 80, 220 - 2.1 * number, 140)]
        return self.boxes_of(*boxes[: 1 if 20 <= number < 24 else 2], names=("red", "green", "blue"))


@pytest.fixture
def run(clips, colour_model, tmp_path, boxes_of):
    source = clips.make(tmp_path / "in.mp4", range(FRAMES))
    (tmp_path / "zones.toml").write_text(ZONES)

    def tracked(name, *, tracker="bytetrack", stops_at=None, **how):
        detector = Detector(clips, boxes_of, stops_at)
        folder = tmp_path / name
        options = VideoOptions(
            source,
            colour_model,
            Settings(),
            Outputs(folder / "out.mp4", folder / "log.jsonl", VideoSettings(crf=0), **how),
            tracking=TrackingOptions(tracker, 1.0, tmp_path / "zones.toml", folder / "events.jsonl"),
        )
        bar = lambda total: contextlib.nullcontext(None)  # noqa: E731
        return annotate_video(options, bar=bar, open_detector=detector.opened), detector, folder

    return tracked


@pytest.mark.parametrize("tracker", ["bytetrack", "botsort", "ocsort", "sort"])
def test_events_of_a_run_are_those_of_its_log(run, tmp_path, tracker):
    _, _, folder = run("run", tracker=tracker)

    options = EventOptions(folder / "log.jsonl", tmp_path / "zones.toml", tmp_path / "later.jsonl")
    write_events(options, bar=no_bar)

    events = [json.loads(line)["event"] for line in (folder / "events.jsonl").read_text().splitlines()]
    assert events.count("crossed") == 2
    assert (folder / "events.jsonl").read_bytes() == (tmp_path / "later.jsonl").read_bytes()


@pytest.mark.parametrize("stops_at", [1, 22, 41])
def test_an_interrupted_run_ends_as_an_unbroken_one(run, clips, stops_at):
    _, _, whole = run("whole")

    first, _, broken = run("broken", stops_at=stops_at)
    second, detector, _ = run("broken", resume=True)

    assert (first.status, second.status) == (RunStatus.INTERRUPTED, RunStatus.COMPLETE)
    assert detector.asked <= FRAMES - stops_at
    assert (broken / "log.jsonl").read_bytes() == (whole / "log.jsonl").read_bytes()
    assert (broken / "events.jsonl").read_bytes() == (whole / "events.jsonl").read_bytes()
    pictures = [
        np.stack([picture for _, picture in clips.decoded(folder / "out.mp4")]).astype(int)
        for folder in (broken, whole)
    ]
    assert np.abs(pictures[0] - pictures[1]).max() <= 2
