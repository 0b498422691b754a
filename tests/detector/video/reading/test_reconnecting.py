"""Live sources that are dropped, freeze and send garbage, from servers on 127.0.0.1."""

import contextlib
import json
import random
import socket
import subprocess
import sys
import threading
from fractions import Fraction
from itertools import islice
from time import monotonic, sleep

import numpy as np
import pytest

from detector.detections import Detections
from detector.errors import CameraError, StreamError, VideoError
from detector.logs.frame_log import FrameLog, FrameRecord, RunRecord, read_log
from detector.pipeline.loop import LoopOptions, RunResult, run
from detector.pipeline.outputs import Outputs
from detector.pipeline.watch import CameraOptions, watch_cameras
from detector.settings import Settings
from detector.video.frames import Frame, Gap, Sink, Source, VideoInfo
from detector.video.reading.network_stream import NetworkStream
from detector.video.reading.reconnecting import Connection, LiveStream, Patience
from detector.video.reading.video_file import VideoFile
from detector.video.status import RunStatus
from tests.detector.clips import FakeDetector

pytestmark = pytest.mark.real_time

SOON = Patience(first_seconds=0.02, longest_seconds=0.1)


class Server:
    """Gives each client the next of some answers: bytes to send before it disconnects, or keeps the connection open."""

    def __init__(self, *answers: tuple[bytes, bool]) -> None:
        self._answers = answers
        self._closing = threading.Event()
        self.calls = 0
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"tcp://127.0.0.1:{self._socket.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        lock_outputs = []
        while True:
            caller, _ = self._socket.accept()
            if self._closing.is_set():
                caller.close()
                break
            content, hangs_up = self._answers[min(self.calls, len(self._answers) - 1)]
            self.calls += 1
            with contextlib.suppress(OSError):
                caller.sendall(content)
            if hangs_up:
                caller.close()
            else:
                lock_outputs.append(caller)
        for caller in lock_outputs:
            caller.close()

    def close(self) -> None:
        self._closing.set()
        socket.create_connection(self._socket.getsockname()).close()
        self._thread.join()
        self._socket.close()


@pytest.fixture
def serve():
    servers = []

    def start(*answers):
        servers.append(Server(*answers))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


@pytest.fixture
def stream(clips, tmp_path):
    return clips.make(
        tmp_path / "ten.ts", [3600 * index for index in range(10)], time_base=Fraction(1, 90000)
    ).read_bytes()


def live(url, *, timeout_seconds=1.0, **options):
    return LiveStream(lambda: VideoFile(url, timeout_seconds=timeout_seconds, live=True), patience=SOON, **options)


def logged(source, path, count, clips):
    """A log of so many frames of a live source, as `yolo3 webcam` writes it."""
    record = RunRecord.of(source.info, model="m", model_sha256="0", settings={}, classes=())
    seen = []

    class Until(Sink):
        def write(self, frame, detections):
            seen.append((frame.index, frame.time, clips.number(frame.picture)))

        def __exit__(self, *ending):
            pass

    log = FrameLog(path, record)
    with source:
        options = LoopOptions(stop=lambda: len(seen) >= count)
        summary = run(source, lambda frame: Detections.empty(), [log, Until()], options)
    return summary, seen


def test_a_stream_dropped_ten_times_is_reopened(clips, serve, stream, tmp_path):
    server = serve((stream, True))
    _, seen = logged(live(server.url), tmp_path / "log.jsonl", 101, clips)
    assert [number for _, _, number in seen[:101]] == [*list(range(10)) * 10, 0]
    assert [index for index, _, _ in seen] == list(range(len(seen)))
    times = [time for _, time, _ in seen]
    assert times == sorted(set(times))
    gaps = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines() if '"gap"' in line]
    assert [gap["after_frame"] for gap in gaps[:10]] == list(range(9, 100, 10))
    assert len(gaps) - 10 in (0, 1)  # what was read ahead of the end
    assert all(gap["seconds"] < 2 and gap["reason"] for gap in gaps)
    frames = [record for record in read_log(tmp_path / "log.jsonl") if isinstance(record, FrameRecord)]
    assert len(frames) >= 101


def test_a_frozen_stream(clips, serve, stream):
    server = serve((stream, False), (stream, True))
    with live(server.url, timeout_seconds=0.5) as source:
        frames = list(islice(source, 12))
    gaps = source.take_gaps()
    assert len(gaps) == 1
    assert "no data arrived for 0.5 seconds" in gaps[0].reason
    assert [clips.number(frame.picture) for frame in frames] == [*range(10), 0, 1]


def test_a_stream_of_garbage(clips, serve, stream):
    noise = random.Random(1).randbytes(400_000)
    server = serve(
        (stream, True), (noise, True), (noise, False), (b"", True), (stream[:3000] + noise, True), (stream, True)
    )
    with live(server.url, timeout_seconds=0.5) as source:
        seen = []
        for frame in source:
            seen.append(clips.number(frame.picture))
            if server.calls >= 6 and seen[-10:] == list(range(10)):
                break
            assert len(seen) < 200
    assert 1 <= len(source.take_gaps()) <= 6


def test_stopping_does_not_wait_for_the_source(serve, stream):
    server = serve((stream, True), (b"", True))
    told = []
    source = LiveStream(
        lambda: VideoFile(server.url, timeout_seconds=1, live=True),
        patience=Patience(first_seconds=60),
        on_note=told.append,
    )
    threading.Timer(0.5, source.stop).start()
    started = monotonic()
    with source:
        list(source)
    (gap,) = source.take_gaps()
    assert gap.after_frame == 9 and gap.seconds < 5
    assert monotonic() - started < 5
    assert "trying again" in told[0] and source.notes == [f"{server.url}: lost 1 time"]


def test_timestamps_continue_through_a_loss():
    class Connected(Connection):
        info = VideoInfo("camera", 8, 8, Fraction(1, 1000))

        def __iter__(self):
            for index in range(3):
                yield Frame(index, 7000 + 10 * index, Fraction(1, 1000), np.zeros((8, 8, 3), np.uint8))
                sleep(0.01)
            sleep(0.3)
            raise StreamError("silent")

        def close(self):
            pass

    with LiveStream(Connected, patience=SOON) as source:
        frames = list(islice(source, 6))
    gaps = source.take_gaps()
    assert [frame.index for frame in frames] == list(range(6))
    assert [frame.pts for frame in frames[:3]] == [7000, 7010, 7020]
    assert 300 <= frames[3].pts - 7020 < 2000
    assert 0.3 <= gaps[0].seconds < 2 and gaps[0].reason == "silent"


def test_recording_is_played_once(clips, tmp_path):
    path = clips.make(tmp_path / "a.mp4", range(5))
    with LiveStream(lambda: VideoFile(path)) as source:
        assert len(list(source)) == 5
    with pytest.raises(VideoError):
        LiveStream(lambda: VideoFile(tmp_path / "nothing.mp4"))


def test_another_size_after_a_loss_is_fitted(clips, tmp_path):
    paths = iter(
        [
            clips.make(tmp_path / "a.h264", range(5), kind="h264"),
            clips.make(tmp_path / "b.h264", range(5), kind="h264", size=(320, 240)),
        ]
    )
    with LiveStream(lambda: VideoFile(next(paths), live=True), patience=SOON) as source:
        assert {frame.picture.shape for frame in islice(source, 10)} == {(160, 224, 3)}


PUBLISHER = """
import sys, time
import av, numpy as np
while True:  # a camera that calls its recorder, again and again
    try:
        with av.open(sys.argv[1], "w", format="rtsp", options={"rtsp_transport": "tcp"}) as output:
            options = {"preset": "ultrafast", "tune": "zerolatency", "g": "5"}
            video = output.add_stream("libx264", rate=25, options=options)
            video.width, video.height, video.pix_fmt = 224, 160, "yuv420p"
            noise = np.random.default_rng(1)
            while True:
                picture = noise.integers(0, 255, (160, 224, 3), np.uint8)
                output.mux(video.encode(av.VideoFrame.from_ndarray(picture)))
                time.sleep(0.02)
    except (av.FFmpegError, OSError):
        time.sleep(0.05)
"""

LINE = """
import os, select, socket, sys, time
# The line between camera and recorder; each call suffers the next of some faults after half a second of pictures.
door, recorder, *faults = sys.argv[1:]
door = socket.create_server(("127.0.0.1", int(door)))

def dial():
    while True:
        try:
            return socket.create_connection(("127.0.0.1", int(recorder)))
        except OSError:
            time.sleep(0.02)

def carry(camera, listener, fault):
    began = sent = 0
    while True:
        for end in select.select([camera, listener], [], [], 0.05)[0]:
            data = end.recv(65536)
            if not data:
                return
            (listener if end is camera else camera).sendall(data)
            sent += len(data) if end is camera else 0
            if sent > 100_000 and not began:
                began = time.monotonic()
        if fault and began and time.monotonic() - began > 0.5:
            break
    listener.setblocking(True)
    while fault != "drop" and not select.select([listener], [], [], 0.05)[0]:  # until the recorder hangs up
        if fault == "garbage":
            listener.sendall(os.urandom(4096))

while True:
    camera, _ = door.accept()
    listener = dial()
    try:
        carry(camera, listener, faults[0] if faults else None)
    except OSError:
        pass
    camera.close()
    listener.close()
    if faults:
        print(faults.pop(0), flush=True)
"""


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@pytest.fixture
def program():
    """Starts Python programs, which end with the test."""
    started = []

    def start(code, *arguments):
        command = [sys.executable, "-c", code, *map(str, arguments)]
        started.append(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.mark.parametrize(
    "faults",
    [
        ["drop", "freeze", "garbage"],
        pytest.param([*["drop"] * 10, "freeze", "garbage"], marks=pytest.mark.slow, id="ten drops"),
    ],
)
def test_rtsp_dropped_frozen_and_fed_garbage(tmp_path, program, faults):
    door, recorder = free_port(), free_port()
    line = program(LINE, door, recorder, *faults)
    # In processes of their own, as PyAV holds on to Python's lock while it greets the listener.
    program(PUBLISHER, f"rtsp://127.0.0.1:{door}/live")
    source = LiveStream(
        lambda: NetworkStream(
            f"rtsp://127.0.0.1:{recorder}/live",
            timeout_seconds=2,
            options={"rtsp_flags": "listen", "listen_timeout": "5"},
        ),
        patience=SOON,
    )
    indices, suffered, pressed = [], [], []

    class Frames(Sink):
        """Goes on for twenty frames after the last fault, and then presses Ctrl-C."""

        def write(self, frame, detections):
            indices.append(frame.index)
            if source.gaps == len(faults) and not suffered:
                suffered.append(frame.index)
            if suffered and frame.index == suffered[0] + 20:
                pressed.append(1)

        def __exit__(self, *ending):
            pass

    record = RunRecord.of(source.info, model="m", model_sha256="0", settings={}, classes=())
    log = FrameLog(tmp_path / "log.jsonl", record)
    with source:
        options = LoopOptions(interrupted=lambda: bool(pressed))
        summary = run(source, lambda frame: Detections.empty(), [log, Frames()], options)
    assert summary.status is RunStatus.INTERRUPTED
    assert [line.stdout.readline().strip() for _ in faults] == faults
    records = list(read_log(tmp_path / "log.jsonl"))
    gaps = [record for record in records if isinstance(record, Gap)]
    assert len(gaps) == len(faults), gaps
    assert all(gap.seconds < 10 and gap.reason for gap in gaps)
    assert records[-1].status is RunStatus.INTERRUPTED
    assert indices == list(range(len(indices)))
    times = [record.time for record in records if isinstance(record, FrameRecord)]
    assert times == sorted(set(times)) and len(times) == len(indices)


class Ticking(Source):
    """A source of 25 frames a second."""

    def __init__(self, count):
        self.count = count
        self.given = 0

    def __iter__(self):
        started = monotonic()
        for index in range(self.count):
            sleep(max(0, started + index / 25 - monotonic()))
            self.given = index
            yield Frame(index, index, Fraction(1, 25), np.zeros((8, 8, 3), np.uint8), arrived=monotonic())


class Taken(Sink):
    """Records each frame's age and number, slowly."""

    def __init__(self, seconds=0.0):
        super().__init__()
        self.seconds = seconds
        self.ages = []
        self.indices = []

    def write(self, frame, detections):
        self.ages.append(monotonic() - frame.arrived)
        self.indices.append(frame.index)
        sleep(self.seconds)

    def __exit__(self, *ending):
        pass


def oldest(detect_seconds, write_seconds):
    """The greatest age after the first frames, in the best of three runs: a busy machine may hold up one."""
    found = []

    def detect(frame):
        sleep(detect_seconds)
        return Detections.empty()

    for _ in range(3):
        source, sink = Ticking(60), Taken(write_seconds)
        summary = run(source, detect, [sink], LoopOptions(buffer="latest"))
        assert summary.received == summary.frames + summary.dropped == source.count
        assert 5 <= summary.frames <= 2.4 / max(detect_seconds, write_seconds) + 5
        found.append(max(sink.ages[2:]))
    return min(found)


def test_latest_frames_are_recent_and_all_are_counted():
    """Behind a detector of 200 ms, of 25 frames a second: some 0.21 s on an idle machine, the oldest too."""
    assert oldest(0.2, 0.0) < 0.3


def test_frames_do_not_grow_old_before_a_slow_writer():
    assert oldest(0.01, 0.1) < 0.3


def test_the_detector_gets_the_newest_frame():
    source, newest, sink = Ticking(40), [], Taken()

    def detect(frame):
        newest.append(source.given)
        sleep(0.1)
        return Detections.empty()

    run(source, detect, [sink], LoopOptions(buffer="latest"))
    # One may be on its way into the pipe at that very moment.
    assert all(latest - index <= 1 for latest, index in zip(newest, sink.indices, strict=True))


def test_several_sources_share_a_detector_and_a_dead_one_does_not_affect_others(clips, colour_model, tmp_path):
    first = clips.make(tmp_path / "first.mp4", range(10))
    second = clips.make(tmp_path / "second.mp4", range(20))
    opened, told = [], []

    def open_detector(model, settings, **how):
        opened.append(model.path)
        return FakeDetector()

    options = CameraOptions(
        (str(first), "garage", str(second)),
        colour_model,
        Settings(),
        Outputs(tmp_path / "out.mp4", tmp_path / "out.jsonl"),
        buffer="all",
    )
    answers = watch_cameras(
        options, bar=lambda total: contextlib.nullcontext(None), on_note=told.append, open_detector=open_detector
    )
    assert opened == [colour_model]
    assert isinstance(answers[1], CameraError) and "garage" in told[0]
    assert [answer.frames for answer in answers if isinstance(answer, RunResult)] == [10, 20]
    for number, count in ((1, 10), (3, 20)):
        read = clips.decoded(tmp_path / f"out-{number}.mp4")
        assert [clips.number(picture) for _, picture in read] == list(range(count))
        assert len(list(read_log(tmp_path / f"out-{number}.jsonl"))) == count + 2
    assert not (tmp_path / "out-2.mp4").exists()


def test_gap_lines_are_read_back(tmp_path):
    info = VideoInfo("x", 2, 2, Fraction(1, 25))
    gap = Gap(0, 0.0, 1.5, "it ended")
    picture = np.zeros((2, 2, 3), np.uint8)
    with FrameLog(
        tmp_path / "a.jsonl", RunRecord.of(info, model="m", model_sha256="0", settings={}, classes=())
    ) as log:
        log.write(Frame(0, 0, Fraction(1, 25), picture), Detections.empty())
        log.on_gap(gap)
        log.write(Frame(1, 1, Fraction(1, 25), picture), Detections.empty())
    assert list(read_log(tmp_path / "a.jsonl"))[2] == gap
