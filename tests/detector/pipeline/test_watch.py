"""`yolo3 webcam URL1 URL2` in a separate process that is interrupted, and whose sources fail."""

import json
import signal
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from time import monotonic, sleep

import cv2
import numpy as np
import pytest

pytestmark = pytest.mark.real_time

SECONDS = 30
"""To end in; a busy machine takes some of them for closing Python alone."""


@pytest.fixture
def cameras():
    """Two network cameras that show red and green, and fail if their path is in `dead`."""
    dead = set()
    jpegs = {"/red": (220, 0, 0), "/green": (0, 220, 0)}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            if self.path in dead or self.path not in jpegs:
                self.send_error(404)
                return
            self.send_response(200)
            self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
            self.end_headers()
            picture = np.full((96, 96, 3), jpegs[self.path][::-1], np.uint8)
            jpeg = cv2.imencode(".jpg", picture)[1].tobytes()
            head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
            while self.path not in dead and not closing.is_set():
                self.wfile.write(head.encode() + jpeg + b"\r\n")
                sleep(0.04)

        def log_message(self, *args):
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        url = property(lambda self: f"http://127.0.0.1:{self.server_port}")

        def handle_error(self, request, client_address):
            """Ignore clients that disconnect."""

    closing = threading.Event()
    server = Server(("127.0.0.1", 0), Handler)
    server.dead = dead
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield server
    closing.set()
    server.shutdown()
    thread.join()
    server.server_close()


class Watching:
    """`yolo3 webcam` on some sources, with a recording and a log of each in a folder."""

    def __init__(self, model, folder, *sources):
        self._folder = folder
        outputs = ["--out", folder / "out.mp4", "--log", folder / "out.jsonl", "--model", model]
        command = [sys.executable, "-m", "detector", "webcam", *sources, "--no-window", "--timeout", "2", *outputs]
        self.process = subprocess.Popen(
            [str(word) for word in command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def lines(self, number):
        path = self._folder / f"out-{number}.jsonl"
        text = path.read_text() if path.exists() else ""
        return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]

    def until(self, number, has):
        deadline = monotonic() + 100
        while not has(self.lines(number)):
            assert self.process.poll() is None, self.process.communicate()
            assert monotonic() < deadline
            sleep(0.05)

    def end(self):
        _, err = self.process.communicate(timeout=SECONDS)
        assert "Traceback" not in err, err
        return self.process.returncode, err


@pytest.fixture
def watching(colour_model, tmp_path):
    started = []

    def start(*sources):
        started.append(Watching(colour_model, tmp_path, *sources))
        return started[-1]

    yield start
    for one in started:
        one.process.kill()
        one.process.communicate()


def many(lines):
    return len(lines) > 10


def check_interrupted(lines, video, clips, name):
    end = lines[-1]
    assert (end["type"], end["status"]) == ("end", "interrupted")
    frames = [line for line in lines if line["type"] == "frame"]
    assert end["frames"] == len(frames) > 5
    assert {box["name"] for frame in frames for box in frame["detections"]} == {name}
    assert len(clips.times(video)) == len(frames)


@pytest.mark.parametrize(
    "signals",
    [[signal.SIGINT], [signal.SIGTERM], [signal.SIGINT] * 4, [signal.SIGTERM, signal.SIGINT]],
    ids=["Ctrl-C", "kill", "Ctrl-C four times", "kill and Ctrl-C"],
)
def test_signals_leave_whole_files_of_all_sources(cameras, watching, clips, tmp_path, signals):
    run = watching(f"{cameras.url}/red", f"{cameras.url}/green")
    run.until(1, many)
    run.until(2, many)
    for number in signals:
        run.process.send_signal(number)
        sleep(0.02)
    code, _ = run.end()
    assert code == 130
    for number, name in ((1, "red"), (2, "green")):
        check_interrupted(run.lines(number), tmp_path / f"out-{number}.mp4", clips, name)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out-1.jsonl", "out-1.mp4", "out-2.jsonl", "out-2.mp4"]


def test_sources_that_die_or_never_lived_disturb_no_other(cameras, watching, clips, tmp_path):
    run = watching(f"{cameras.url}/red", f"{cameras.url}/nothing", f"{cameras.url}/green")
    run.until(1, many)
    run.until(3, many)
    cameras.dead.add("/red")
    so_far = len(run.lines(3))
    run.until(3, lambda lines: len(lines) > so_far + 40)
    run.process.send_signal(signal.SIGINT)  # while it tries to get the first back
    code, err = run.end()
    assert code == 130
    check_interrupted(run.lines(3), tmp_path / "out-3.mp4", clips, "green")
    assert run.lines(1)[-2]["type"] == "gap"
    check_interrupted(run.lines(1), tmp_path / "out-1.mp4", clips, "red")
    assert "/nothing: " in err and "404" in err
    assert "red: the stream broke off" in err
    times = [line["time"] for line in run.lines(3) if line["type"] == "frame"]
    assert max(later - earlier for earlier, later in pairwise(times)) < 1.5  # it went on all the while


def test_a_source_that_ends_ends_alone(cameras, watching, clips, tmp_path):
    short = clips.make(tmp_path / "short.mp4", range(10))
    run = watching(short, f"{cameras.url}/green")
    run.until(1, lambda lines: lines and lines[-1]["type"] == "end")
    so_far = len(run.lines(2))
    run.until(2, lambda lines: len(lines) > so_far + 20)
    run.process.send_signal(signal.SIGTERM)
    code, _ = run.end()
    assert code == 130
    assert run.lines(1)[-1]["status"] == "complete"
    check_interrupted(run.lines(2), tmp_path / "out-2.mp4", clips, "green")


@pytest.mark.parametrize("after", [0.2, 1.0, 2.0])
def test_interrupted_while_it_starts(cameras, watching, tmp_path, after):
    run = watching(f"{cameras.url}/red", f"{cameras.url}/green")
    sleep(after)
    run.process.send_signal(signal.SIGINT)
    code, _ = run.end()
    # Python itself is on its way up for the first tenths of a second, and ends as it does by a signal.
    assert code in ((130, -signal.SIGINT) if after < 1 else (130,))
