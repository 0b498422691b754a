"""Videos of which only some moments are written."""

import contextlib

import numpy as np
import pytest

from detector.errors import OutputError, SettingsError, ZonesError
from detector.pipeline.annotate_moments import MomentOptions, annotate_moments
from detector.pipeline.annotate_video import VideoOptions
from detector.pipeline.live_tracking import TrackingOptions
from detector.pipeline.moments import Wanted
from detector.pipeline.outputs import Outputs
from detector.settings import Settings
from tests.detector.clips import FakeDetector

ZONE = '[[zone]]\nname = "right"\npolygon = [[0.5, 0], [1, 0], [1, 1], [0.5, 1]]\n'


class Detector(FakeDetector):
    """Detects a red object in frames with certain numbers."""

    def __init__(self, clips, boxes_of):
        super().__init__()
        self.clips, self.boxes_of, self.asked = clips, boxes_of, 0

    def detect(self, image):
        self.asked += 1
        number = self.clips.number(image)
        there = 5 <= number < 8 or number == 15
        boxes = [(120, 50, 180, 150)] if there else []
        return self.boxes_of(*boxes, names=("red", "green", "blue"))


@pytest.fixture
def source(clips, tmp_path):
    return clips.make(tmp_path / "in.mp4", range(20), sound="aac")


@pytest.fixture
def annotated(clips, source, colour_model, tmp_path, boxes_of):
    def run(when="red", *, zones=None, pad=0.04, tracker=None, **outputs):
        detector = Detector(clips, boxes_of)
        outputs = Outputs(**{"video": tmp_path / "out.mp4", **outputs})
        video = VideoOptions(source, colour_model, Settings(), outputs, tracking=TrackingOptions(tracker))
        result = annotate_moments(
            MomentOptions(video, Wanted(when, pad, zones)),
            bar=lambda total: contextlib.nullcontext(None),
            open_detector=detector.opened,
        )
        return result, detector

    return run


def test_only_the_moments_are_written(clips, annotated, tmp_path):
    annotated()

    frames = clips.decoded(tmp_path / "out.mp4")
    assert [clips.number(picture) for _, picture in frames] == [4, 5, 6, 7, 8, 14, 15, 16]
    assert abs(clips.samples(tmp_path / "out.mp4").shape[1] / 44100 - 8 / 25) < 0.1
    drawn = [np.abs(picture[100, 120].astype(int) - picture[100, 110]).sum() > 60 for _, picture in frames]
    assert drawn == [False, True, True, True, False, False, True, False]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.mp4", "out.mp4"]


def test_the_log_is_that_of_the_whole_video(annotated, tmp_path):
    annotated(log=tmp_path / "log.jsonl")

    assert len((tmp_path / "log.jsonl").read_text().splitlines()) == 22


def test_resume_does_not_detect_again(clips, annotated, tmp_path):
    _, first = annotated(log=tmp_path / "log.jsonl")
    (tmp_path / "out.mp4").unlink()

    _, second = annotated(log=tmp_path / "log.jsonl", resume=True)

    assert (first.asked, second.asked) == (20, 0)
    assert [clips.number(picture) for _, picture in clips.decoded(tmp_path / "out.mp4")][:2] == [4, 5]


def test_zones_without_identities(annotated, tmp_path):
    (tmp_path / "zones.toml").write_text(ZONE)
    result, _ = annotated("red in right", zones=tmp_path / "zones.toml")
    assert (tmp_path / "out.mp4").exists()
    (tmp_path / "out.mp4").unlink()
    result, _ = annotated("red and not red in right", zones=tmp_path / "zones.toml")
    assert any("no frame meets the condition" in note for note in result.notes)
    assert not (tmp_path / "out.mp4").exists()


@pytest.mark.parametrize(
    ("when", "outputs", "error", "said"),
    [
        ("rd", {}, ZonesError, "'rd' is not one of the 3: red, green, blue"),
        ("red appeared", {}, ZonesError, "pass --track too"),
        ("red", {"video": None}, SettingsError, r"name an OUT\.mp4"),
        ("red in yard", {}, ZonesError, "there is no zone 'yard'"),
    ],
)
def test_wrong_options_are_reported_before_the_network_runs(annotated, tmp_path, when, outputs, error, said):
    with pytest.raises(error, match=said):
        annotated(when, **outputs)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.mp4"]


def test_an_existing_video_stays(annotated, tmp_path):
    (tmp_path / "out.mp4").write_text("mine")
    with pytest.raises(OutputError, match="exists already"):
        annotated()
    assert (tmp_path / "out.mp4").read_text() == "mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.mp4", "out.mp4"]


def test_events_of_tracks(annotated, clips, tmp_path):
    pytest.importorskip("trackers")
    annotated("red appeared", tracker="bytetrack", pad=0.0)

    first = [clips.number(picture) for _, picture in clips.decoded(tmp_path / "out.mp4")]
    assert first[0] in (5, 6, 7)
