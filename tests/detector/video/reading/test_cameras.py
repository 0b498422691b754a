import os
import socket
import sys
import threading
from fractions import Fraction
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import islice
from time import monotonic, sleep

import cv2
import numpy as np
import pytest

from detector.detections import Detections
from detector.errors import CameraError, StreamError, VideoError
from detector.logs.frame_log import FrameLog, FrameRecord, RunRecord, read_log
from detector.pipeline.loop import LoopOptions, run
from detector.video.frames import Gap, Sink
from detector.video.reading import cameras
from detector.video.reading.cameras import Camera, open_camera, why_not
from detector.video.reading.reconnecting import LiveStream, Patience
from detector.video.status import RunStatus

pytestmark = pytest.mark.real_time

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /dev")


class Capture:
    """A camera that gives a few blue pictures (BGR) and is then unplugged."""

    def __init__(self, count, *, opens=True):
        self.count, self.opens = count, opens
        self.released = False

    def isOpened(self):  # noqa: N802
        return self.opens

    def read(self):
        self.count -= 1
        sleep(0.01)
        if self.count < 0:
            return False, None
        return True, np.full((4, 6, 3), (255, 0, 0), np.uint8)

    def get(self, property_id):
        return {cv2.CAP_PROP_FPS: 29.97}.get(property_id, 0.0)

    def release(self):
        self.released = True


def test_camera_frames_are_rgb_and_timestamped_on_arrival():
    capture, frames = Capture(5), []
    with Camera(2, open_capture=lambda index: capture) as camera:
        assert (camera.info.source, camera.info.width, camera.info.height) == ("camera 2", 6, 4)
        assert camera.info.live and camera.info.frame_count is None
        assert float(camera.info.frame_rate) == pytest.approx(29.97)
        with pytest.raises(StreamError, match="camera 2: delivers no more pictures"):
            for frame in camera:
                frames.append(frame)
    assert capture.released
    assert [frame.index for frame in frames] == [0, 1, 2, 3, 4]
    assert frames[0].time == 0
    assert 0.04 <= frames[-1].time < 1
    assert [frame.pts for frame in frames] == sorted({frame.pts for frame in frames})
    assert (frames[0].picture == (0, 0, 255)).all()


@pytest.mark.parametrize("capture", [Capture(0), Capture(5, opens=False)], ids=["no picture", "not opened"])
def test_a_camera_that_does_not_open_is_reported_and_released(capture):
    with pytest.raises(CameraError, match="camera 7: "):
        Camera(7, open_capture=lambda index: capture)
    assert capture.released


class Broken(Capture):
    def read(self):
        if self.count == 1:
            raise cv2.error("a frame that cannot be decoded")
        return super().read()


class Wide(Capture):
    def read(self):
        read, picture = super().read()
        return read, picture if picture is None else np.repeat(picture, 2, axis=1)


def test_camera_that_is_unplugged_comes_back_under_its_number(monkeypatch, tmp_path):
    """Unplugged, missing for two tries, back and giving rubbish, back as another camera of another size."""
    plugged = [Capture(5), Capture(0), Capture(3, opens=False), Broken(4), Wide(6)]
    asked, told, indices, pressed = [], [], [], []

    def open_capture(index):
        asked.append(index)
        return plugged[len(asked) - 1] if len(asked) <= len(plugged) else Capture(0)

    monkeypatch.setattr(cameras, "_open_capture", open_capture)
    soon = Patience(first_seconds=0.02, longest_seconds=0.05)
    monkeypatch.setattr(cameras, "LiveStream", partial(LiveStream, patience=soon))

    class Until(Sink):
        def write(self, frame, detections):
            assert frame.picture.shape == (4, 6, 3)
            indices.append(frame.index)
            if len(indices) == 13:
                pressed.append(1)

        def __exit__(self, *ending):
            pass

    with open_camera(2, on_note=told.append) as source:
        record = RunRecord.of(source.info, model="m", model_sha256="0", settings={}, classes=())
        log = FrameLog(tmp_path / "log.jsonl", record)
        options = LoopOptions(interrupted=lambda: bool(pressed))
        summary = run(source, lambda frame: Detections.empty(), [log, Until()], options)
    assert set(asked) == {2} and all(capture.released for capture in plugged)
    assert summary.status is RunStatus.INTERRUPTED
    assert "camera 2: delivers no more pictures; was it unplugged?; trying again" in told
    records = list(read_log(tmp_path / "log.jsonl"))
    assert [gap.after_frame for gap in records if isinstance(gap, Gap)][:2] == [4, 7]
    times = [line.time for line in records if isinstance(line, FrameRecord)]
    assert len(times) >= 13 and times == sorted(set(times))
    assert indices == list(range(len(indices)))


@linux
def test_why_a_camera_does_not_open(tmp_path):
    assert "this machine has no camera" in why_not(0, devices=tmp_path)
    for name in ("video0", "video2", "video10", "videodev"):
        (tmp_path / name).touch()
    assert why_not(1, devices=tmp_path) == "no such camera; there are 0, 2, 10"
    assert why_not(2, devices=tmp_path).endswith(
        "delivers no picture: another program uses it, or it is not a camera; try 0 or 10"
    )


@linux
@pytest.mark.skipif(hasattr(os, "geteuid") and os.geteuid() == 0, reason="permissions do not bind this user")
def test_camera_without_permission(tmp_path):
    (tmp_path / "video0").touch(mode=0)
    assert "usermod -aG video" in why_not(0, devices=tmp_path)


@linux
@pytest.mark.skipif(os.path.exists("/dev/video0"), reason="there is a camera")  # noqa: PTH110
@pytest.mark.parametrize("which", [0, "0", "/dev/video0"])
def test_no_camera_here(which, capfd):
    with pytest.raises(CameraError, match="camera 0: this machine has no camera"):
        open_camera(which)
    assert capfd.readouterr() == ("", "")  # OpenCV's own complaints stay away


def test_a_file_played_as_a_camera_keeps_time(clips, tmp_path):
    path = clips.make(tmp_path / "a.mp4", [0, 50, 300, 310], time_base=Fraction(1, 1000))
    with open_camera(path) as camera:
        assert camera.info.live
        arrivals = [(frame.time, monotonic()) for frame in camera]
    (_, first), *rest = arrivals
    assert [float(time) for time, _ in arrivals] == [0, 0.05, 0.3, 0.31]
    for time, arrival in rest:
        assert float(time) - 0.02 <= arrival - first < float(time) + 0.2


def test_file_without_pacing(clips, tmp_path):
    path = clips.make(tmp_path / "a.mp4", range(200))
    started = monotonic()
    with open_camera(str(path), paced=False) as camera:
        assert len(list(camera)) == 200
    assert monotonic() - started < 4


def test_sources_that_are_not_cameras(tmp_path):
    with pytest.raises(CameraError, match="garage: no such camera; give a number"):
        open_camera("garage")
    (tmp_path / "text.mp4").write_text("no video" * 100)
    with pytest.raises(VideoError, match="cannot be read as a video"):
        open_camera(tmp_path / "text.mp4")


@pytest.fixture
def mjpeg_server(clips):
    """A network camera as cheap ones are: JPEG pictures without timestamps, one after another."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
            self.end_headers()
            for number in range(12):
                jpeg = cv2.imencode(".jpg", clips.picture(number)[:, :, ::-1])[1].tobytes()
                head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
                self.wfile.write(head.encode() + jpeg + b"\r\n")
                sleep(0.05)

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/stream.mjpg"
    server.shutdown()
    thread.join()
    server.server_close()


def test_network_camera(mjpeg_server, clips):
    told: list[str] = []
    with open_camera(mjpeg_server, timeout_seconds=5, on_note=told.append) as camera:
        assert camera.info.live
        # The server hangs up after 12 frames and gives them again to whoever comes again.
        frames = list(islice(camera, 14))
        assert "the stream broke off; 12 frames could be read" in told[0]
        assert "back after" in told[1]
        assert clips.number(frames[12].picture) == 0
        frames = frames[:12]
    numbers = [clips.number(frame.picture) for frame in frames]
    assert numbers == list(range(12))
    # No fixed rate is made up: a recording lasts as long as what it shows.
    assert 0.45 < frames[-1].time - frames[0].time < 1.5


def test_nobody_listens():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(CameraError, match=f"http://127.0.0.1:{port}/x: .*refused"):
        open_camera(f"http://127.0.0.1:{port}/x", timeout_seconds=3)


@pytest.mark.parametrize("scheme", ["http", "rtsp"])
def test_server_that_never_answers(scheme):
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        started = monotonic()
        with pytest.raises(CameraError, match=r"no data arrived within 0\.5 seconds"):
            open_camera(f"{scheme}://127.0.0.1:{silent.getsockname()[1]}/x", timeout_seconds=0.5)
        assert monotonic() - started < 3
