"""Latency of live video, as a Markdown table: `python -m benchmarks.latency [SECONDS]`.

Images contain their creation time, 25 per second, in black and white squares; the detector sleeps for 200 ms.
"""

from __future__ import annotations

import multiprocessing
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from fractions import Fraction
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from statistics import median
from time import monotonic, sleep
from typing import Literal

import cv2
import numpy as np

from detector.detections import Detections
from detector.pipeline.loop import LoopOptions, RunResult, run
from detector.video.ffmpeg import av
from detector.video.frames import Frame, Picture, Sink, Source, VideoInfo
from detector.video.reading.network_stream import NetworkStream
from detector.video.reading.reconnecting import LiveStream
from detector.video.writing.video_writer import VideoWriter

RATE = 25
DETECTOR_SECONDS = 0.2
_BITS = 24
_SQUARE = 24
_SIZE = (1280, 720)
_START_FRAMES = 3
"""Frames at the start that are not counted: encoders, decoders and threads are starting."""


def stamped(picture: Picture, milliseconds: int) -> Picture:
    """Write a time into the image's first rows."""
    for bit in range(_BITS):
        picture[:_SQUARE, bit * _SQUARE : (bit + 1) * _SQUARE] = 255 * (milliseconds >> bit & 1)
    return picture


def stamp_of(picture: Picture) -> int:
    """Return the time in an image, in milliseconds, which wraps around after some hours."""
    middles = picture[_SQUARE // 2, _SQUARE // 2 : _BITS * _SQUARE : _SQUARE].mean(axis=1)
    return sum(1 << bit for bit, middle in enumerate(middles) if middle > 128)


def pictures() -> Iterator[Picture]:
    """Images as a camera makes them, timestamped when they are delivered."""
    noise = np.random.default_rng(1)
    small = noise.integers(0, 255, (_SIZE[1] // 16, _SIZE[0] // 16, 3), np.uint8)
    scene = np.asarray(cv2.resize(small, _SIZE, interpolation=cv2.INTER_LINEAR), dtype=np.uint8)
    due = monotonic()
    while True:
        due += 1 / RATE
        sleep(max(0.0, due - monotonic()))
        yield stamped(np.roll(scene, round(due * 60) % _SIZE[0], axis=1), _now())


class Made(Source):
    """Frames that this program makes itself, for this many seconds."""

    def __init__(self, seconds: float) -> None:
        self._count = round(seconds * RATE)
        self.info = VideoInfo("made", *_SIZE, Fraction(1, RATE), frame_rate=Fraction(RATE), live=True)

    def __iter__(self) -> Iterator[Frame]:
        for index, picture in zip(range(self._count), pictures(), strict=False):
            yield Frame(index, index, Fraction(1, RATE), picture, arrived=monotonic())


class Ages(Sink):
    """Records how old each frame is, by its arrival and by the time in its image, in milliseconds."""

    def __init__(self) -> None:
        super().__init__()
        self.since_arrival: list[float] = []
        self.since_made: list[float] = []

    def write(self, frame: Frame, detections: Detections) -> None:
        """Note it."""
        assert frame.arrived is not None
        self.since_arrival.append(1000 * (monotonic() - frame.arrived))
        self.since_made.append(float((_now() - stamp_of(frame.picture)) % (1 << _BITS)))

    def __exit__(self, *ending: object) -> None:
        pass


class Screen(Ages):
    """The same in place of a window."""

    main_thread = True


def measure(source: Source, sinks: list[Sink], seconds: float) -> RunResult:
    """Run over the source for this many seconds."""
    end = monotonic() + seconds
    return run(source, _detect, sinks, LoopOptions(buffer="latest", stop=lambda: monotonic() > end))


def _detect(image: object) -> Detections:
    sleep(DETECTOR_SECONDS)
    return Detections.empty()


def _now() -> int:
    return round(monotonic() * 1000) % (1 << _BITS)  # one clock for all programs of a machine


def _serve_mjpeg(port: int) -> None:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
            self.end_headers()
            with suppress(ConnectionError):
                for picture in pictures():
                    jpeg = cv2.imencode(".jpg", picture)[1].tobytes()
                    head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
                    self.wfile.write(head.encode() + jpeg + b"\r\n")

        def log_request(self, code: object = "-", size: object = "-") -> None:
            pass

    ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()


def _publish_rtsp(port: int) -> None:
    while True:
        with suppress(av.FFmpegError), av.open(_rtsp(port), "w", format="rtsp", options=_TCP) as output:
            stream = output.add_stream("libx264", rate=RATE, options={"preset": "ultrafast", "tune": "zerolatency"})
            assert isinstance(stream, av.VideoStream)
            stream.width, stream.height = _SIZE
            stream.pix_fmt = "yuv420p"
            for picture in pictures():
                output.mux(stream.encode(av.VideoFrame.from_ndarray(picture)))
        sleep(0.1)


_TCP = {"rtsp_transport": "tcp"}


def _rtsp(port: int) -> str:
    return f"rtsp://127.0.0.1:{port}/live"


def _open_rtsp(port: int) -> NetworkStream:
    return NetworkStream(_rtsp(port), timeout_seconds=20, options={"rtsp_flags": "listen", "listen_timeout": "20"})


def _open_mjpeg(port: int) -> NetworkStream:
    for _ in range(100):  # until the other program listens
        with suppress(OSError):
            socket.create_connection(("127.0.0.1", port)).close()
            break
        sleep(0.1)
    return NetworkStream(f"http://127.0.0.1:{port}/", timeout_seconds=20)


@contextmanager
def _from_another_program(kind: Literal["mjpeg", "rtsp"]) -> Iterator[LiveStream]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    camera = _publish_rtsp if kind == "rtsp" else _serve_mjpeg
    opened: Callable[[int], NetworkStream] = _open_rtsp if kind == "rtsp" else _open_mjpeg
    program = multiprocessing.get_context("spawn").Process(target=camera, args=(port,))
    program.start()
    try:
        with LiveStream(partial(opened, port)) as stream:
            yield stream
    finally:
        program.kill()
        program.join()


def row(name: str, ages: Ages, summary: RunResult) -> str:
    """Return one line of the table."""
    cells = [name, str(summary.received), f"{summary.frames} + {summary.dropped}"]
    for values in (ages.since_arrival[_START_FRAMES:], ages.since_made[_START_FRAMES:]):
        cells += [f"{median(values):.0f}", f"{max(values):.0f}"]
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Print the table; each row takes the given number of seconds, 20 by default."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 20.0
    ages_of = "ms since arrival: median | maximum | ms since creation: median | maximum"
    print(f"| source | frames received | shown + dropped | {ages_of} |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    ages = Screen()
    print(row("generated, to a window", ages, measure(Made(seconds), [ages], seconds)), flush=True)
    with tempfile.TemporaryDirectory() as folder:
        ages, source = Screen(), Made(seconds)
        writer = VideoWriter(Path(folder) / "out.mp4", source.info)
        print(row("the same, also recorded", ages, measure(source, [writer, ages], seconds)), flush=True)
    for kind, name in (
        ("mjpeg", "MJPEG over HTTP from another program"),
        ("rtsp", "RTSP with H.264 from another program"),
    ):
        ages = Screen()
        with _from_another_program("rtsp" if kind == "rtsp" else "mjpeg") as stream:
            print(row(name, ages, measure(stream, [ages], seconds)), flush=True)


if __name__ == "__main__":
    main()
