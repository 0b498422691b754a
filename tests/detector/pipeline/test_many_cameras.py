"""`yolo3 webcam --config`: cameras that come, go and fail, and what the metrics say of them."""

import json
import shutil
import threading
import urllib.error
import urllib.request
from time import monotonic, sleep

import pytest

from detector.errors import SettingsError
from detector.pipeline import many_cameras
from detector.pipeline.camera_file import CameraEntry
from detector.pipeline.many_cameras import CameraState, ManyCameras, ManyCamerasOptions
from detector.pipeline.metrics_server import metrics_server, parse_address
from detector.settings import Settings
from tests.detector.clips import FakeDetector


class Found(FakeDetector):
    def __init__(self, boxes):
        super().__init__()
        self.boxes, self.opened_times = boxes, 0

    def detect(self, image):
        return self.boxes

    def opened(self, model, settings, **how):
        self.opened_times += 1
        return self


@pytest.fixture
def watching(tmp_path, colour_model, boxes_of, monkeypatch):
    """Cameras of these sources, and the notes about them."""
    monkeypatch.setattr(many_cameras, "_FIRST_PAUSE_SECONDS", 0.05)
    found = Found(boxes_of((1, 2, 3, 4), (2, 3, 4, 5)))

    def make(*sources, **options):
        entries = [CameraEntry(f"c{number}", str(source), None, Settings()) for number, source in enumerate(sources)]
        notes = []
        given = ManyCamerasOptions(
            entries, {entry.name: colour_model for entry in entries}, logs=tmp_path / "lo gs", **options
        )
        return ManyCameras(given, on_note=notes.append, open_detector=found.opened), notes, found

    return make


def test_every_source_is_watched_to_its_end_with_one_detector(watching, colour_clip, tmp_path):
    many, notes, found = watching(colour_clip, colour_clip, videos=tmp_path / "videos")
    many.run()

    assert found.opened_times == 1 and all(state.ended and not state.up for state in many.states)
    assert notes == []
    logs = sorted((tmp_path / "lo gs").iterdir())
    assert [log.name[:3] for log in logs] == ["c0-", "c1-"] and len(list((tmp_path / "videos").glob("c?-*.mp4"))) == 2
    frames = [json.loads(line)["type"] for line in logs[0].read_text("utf-8").splitlines()].count("frame")
    text = many.text()
    assert f'yolo3_camera_frames_total{{camera="c0"}} {frames}\n' in text
    assert f'yolo3_camera_boxes_total{{camera="c0"}} {2 * frames}\n' in text
    assert 'yolo3_camera_up{camera="c1"} 0\n' in text
    assert "# TYPE yolo3_camera_last_frame_age_seconds gauge" in text


def test_what_fails_is_started_again_and_the_others_go_on(watching, colour_clip, tmp_path):
    late = tmp_path / "late.mp4"
    many, notes, _ = watching(late, colour_clip)
    run = threading.Thread(target=many.run)
    run.start()
    deadline = monotonic() + 20
    while len(notes) < 2 and monotonic() < deadline:
        sleep(0.02)
    shutil.copy(colour_clip, tmp_path / "late.part")
    (tmp_path / "late.part").rename(late)
    run.join(20)

    assert not run.is_alive() and notes[0].startswith("camera c0: ") and "started again in 0.05 s" in notes[0]
    assert "started again in 0.1 s" in notes[1]
    assert many.text().count("yolo3_camera_frames_total{") == 2
    assert 'yolo3_camera_restarts_total{camera="c0"}' in many.text()
    assert 'yolo3_camera_restarts_total{camera="c1"}' not in many.text()


def test_a_fault_of_one_camera_does_not_end_the_others(watching, colour_clip, tmp_path, monkeypatch):
    many, notes, found = watching(colour_clip)
    monkeypatch.setattr(found, "detect", lambda image: 1 / 0)
    run = threading.Thread(target=many.run)
    run.start()
    deadline = monotonic() + 20
    while len(notes) < 2 and monotonic() < deadline:
        sleep(0.02)
    many.stop()
    run.join(20)
    assert not run.is_alive() and "ZeroDivisionError" in notes[0]


def test_the_rate_and_the_age_of_the_last_frame():
    now = 100.0
    state = CameraState("door", clock=lambda: now)
    for _ in range(50):
        now += 0.2
        state.count()
    assert state.frames_per_second == 5.0 and state.age_seconds == 0
    now += 7
    assert state.frames_per_second == pytest.approx(1.5) and state.age_seconds == 7


def test_metrics_are_served():
    with metrics_server("127.0.0.1", 0, lambda: "a 1\n") as port:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
            assert answer.read() == b"a 1\n" and answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/other")
        refused.value.close()
        with pytest.raises(SettingsError, match="cannot be opened"), metrics_server("127.0.0.1", port, str):
            pass


@pytest.mark.parametrize(("text", "address"), [("9100", ("127.0.0.1", 9100)), ("0.0.0.0:80", ("0.0.0.0", 80))])
def test_addresses(text, address):
    assert parse_address(text) == address


@pytest.mark.parametrize("text", ["", "x", "99999", "host:"])
def test_wrong_addresses(text):
    with pytest.raises(SettingsError, match="expected a port"):
        parse_address(text)
