"""HLS, recordings and MJPEG over HTTP, from servers on 127.0.0.1 that fail in realistic ways."""

import contextlib
import os
import subprocess
import sys
import threading
from fractions import Fraction
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from time import monotonic, sleep

import av
import cv2
import pytest

from detector.detections import Detections
from detector.errors import CameraError, StreamError
from detector.logs.frame_log import read_log
from detector.pipeline.loop import run
from detector.video.reading.cameras import open_camera
from detector.video.reading.network_stream import Memory, NetworkStream, Pace
from detector.video.reading.reconnecting import LiveStream, Patience
from detector.video.status import RunStatus

pytestmark = pytest.mark.real_time

SEGMENT_FRAMES = 10
"""At 50 a second; FFmpeg wants twenty before it calls a stream open."""

SEGMENTS = 21
WINDOW = 6
RARER = ("404 .m3u8", "404 .ts", "garbage .m3u8")
SOON = Patience(first_seconds=0.02, longest_seconds=0.1)


class Web:
    """A server whose answers a test can change; `stop` and `start` take it off its port and bring it back."""

    def __init__(self):
        self.answers = {}
        self.ill = None
        self.calls = 0
        self._port = 0
        self._server = None

    def start(self):
        web = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                web.calls += 1
                kind, _, path = (web.ill or "").partition(" ")
                answer = web.answers.get(self.path)
                if kind == "hangs":
                    sleep(1.5)
                elif answer is None or (kind == "404" and self.path.endswith(path)):
                    self.send_error(404)
                elif kind == "garbage" and self.path.endswith(path):
                    self.give(os.urandom(20_000))
                elif callable(answer):
                    answer(self)
                else:
                    self.give(answer)

            def give(self, content, *, claimed=None):
                self.send_response(200)
                self.send_header("Content-Length", str(claimed or len(content)))
                self.end_headers()
                with contextlib.suppress(ConnectionError):
                    self.wfile.write(content)

            def log_message(self, *args):
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request, client_address):
                """Ignore clients that disconnect."""

        self._server = Server(("127.0.0.1", self._port), Handler)
        self._port = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    def stop(self):
        if self._server is not None:
            self._server.shutdown()
            self._thread.join()
            self._server.server_close()
            self._server = None

    def url(self, path):
        return f"http://127.0.0.1:{self._port}/{path}"


@pytest.fixture
def web():
    server = Web()
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def segments(clips, tmp_path_factory):
    """What FFmpeg's HLS muxer makes of 210 numbered frames: segments of a fifth of a second."""
    folder = tmp_path_factory.mktemp("hls")
    options = {"hls_time": "0.2", "hls_list_size": "0", "hls_playlist_type": "vod"}
    with av.open(str(folder / "all.m3u8"), "w", format="hls", options=options) as output:
        encoder = {"preset": "ultrafast", "tune": "zerolatency", "g": str(SEGMENT_FRAMES)}
        stream = output.add_stream("libx264", rate=50, options=encoder)
        stream.width, stream.height, stream.pix_fmt = clips.width, clips.height, "yuv420p"
        for number in range(SEGMENTS * SEGMENT_FRAMES):
            frame = av.VideoFrame.from_ndarray(clips.picture(number))
            frame.pts, frame.time_base = number, Fraction(1, 50)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    assert len(list(folder.glob("*.ts"))) == SEGMENTS
    return folder


def playlist(first, last, *, ended):
    lines = ["#EXTM3U", "#EXT-X-VERSION:3", "#EXT-X-TARGETDURATION:0", f"#EXT-X-MEDIA-SEQUENCE:{first}"]
    for number in range(first, last):
        lines += ["#EXTINF:0.200000,", f"all{number}.ts"]
    return "\n".join([*lines, *(["#EXT-X-ENDLIST"] if ended else []), ""]).encode()


@pytest.fixture
def hls(web, segments):
    """A live playlist whose window slides on as time passes, from `hls.started` to `hls.last` segments."""

    class Live:
        url = web.url("live.m3u8")
        started = monotonic() - 0.2 * WINDOW
        last = SEGMENTS
        ends = True

        def answer(self, handler):
            last = min(int((monotonic() - self.started) / 0.2), self.last)
            handler.give(playlist(max(0, last - WINDOW), last, ended=self.ends and last == SEGMENTS))

    live = Live()
    web.answers = {f"/{path.name}": path.read_bytes() for path in segments.glob("*.ts")}
    web.answers["/live.m3u8"] = live.answer
    return live


def watch(url, *, timeout_seconds=0.8, **options):
    memory = Memory()
    return LiveStream(
        lambda: NetworkStream(url, timeout_seconds=timeout_seconds, memory=memory), patience=SOON, **options
    )


def nothing(frame):
    return Detections.empty()


def test_recording_in_hls_is_played_once_at_its_own_pace(web, segments, clips, record):
    web.answers = {f"/{path.name}": path.read_bytes() for path in segments.iterdir()}
    web.answers["/short.m3u8"] = playlist(0, 5, ended=True)  # of a second
    sink, started = record(), monotonic()
    with open_camera(web.url("short.m3u8"), timeout_seconds=3) as source:
        assert source.info.live and source.info.duration_seconds == 1
        summary = run(source, nothing, [sink])
    assert (summary.status, summary.notes) == (RunStatus.COMPLETE, ())
    assert [clips.number(picture) for picture in sink.pictures] == list(range(50))
    assert monotonic() - started > 0.9


def test_live_hls_comes_at_its_own_pace_and_ends_with_its_playlist(hls, clips):
    seen = []
    with watch(hls.url) as source:
        assert source.info.duration_seconds is None
        for frame in source:
            seen.append((clips.number(frame.picture), float(frame.time), monotonic()))
    first = seen[0][0]
    assert [number for number, _, _ in seen] == list(range(first, SEGMENTS * SEGMENT_FRAMES))
    assert first % SEGMENT_FRAMES == 0 and first <= (WINDOW + 5) * SEGMENT_FRAMES
    assert source.take_gaps() == []
    # A segment arrives at once; its frames must not.
    assert all(at - seen[0][2] > time - seen[0][1] - 0.05 for _, time, at in seen)


def test_playlist_of_playlists(web, hls, clips):
    web.answers["/master.m3u8"] = b"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=100000\nlive.m3u8\n"
    with watch(web.url("master.m3u8")) as source:
        numbers = [clips.number(frame.picture) for frame in source]
    assert numbers == list(range(numbers[0], SEGMENTS * SEGMENT_FRAMES))


def through(hls, clips, trouble):
    """Return the frame numbers and the gaps of a live playlist on which `trouble(source)` acts after ten frames."""
    numbers = []
    with watch(hls.url) as source:
        for frame in source:
            numbers.append(clips.number(frame.picture))
            if len(numbers) == 10:
                befall = threading.Thread(target=trouble, args=(source,))
                befall.start()
    befall.join()
    return numbers, source.take_gaps()


def wait_until_lost(source):
    """Wait for the stream to notice that it is lost, which takes longer on a busy machine, and half a second more."""
    patience = monotonic() + 10
    while source.gaps == 0 and monotonic() < patience:
        sleep(0.05)
    assert source.gaps == 1
    sleep(0.5)


def check_one_gap(numbers, gaps):
    assert len(gaps) == 1, gaps
    assert numbers == sorted(set(numbers))  # none twice, though playlists list them again
    assert numbers[-1] == SEGMENTS * SEGMENT_FRAMES - 1
    assert 0.3 < gaps[0].seconds < 6


@pytest.mark.parametrize("ill", ["garbage .ts", "hangs", *(pytest.param(ill, marks=pytest.mark.slow) for ill in RARER)])
def test_hls_server_with_temporary_errors(web, hls, clips, ill):
    def trouble(source):
        web.ill = ill
        wait_until_lost(source)
        web.ill = None

    numbers, gaps = through(hls, clips, trouble)
    check_one_gap(numbers, gaps)


def test_hls_server_that_is_temporarily_down(web, hls, clips):
    def trouble(source):
        web.stop()
        wait_until_lost(source)
        web.start()

    numbers, gaps = through(hls, clips, trouble)
    check_one_gap(numbers, gaps)
    assert "refused" in gaps[0].reason


def test_an_unchanged_hls_playlist_repeats_no_frame(hls, clips):
    def trouble(source):
        hls.last = int((monotonic() - hls.started) / 0.2)
        sleep(2)  # more than is buffered, and the timeout
        hls.started += 2.0  # it goes on where it stood
        hls.last = SEGMENTS

    numbers, gaps = through(hls, clips, trouble)
    check_one_gap(numbers, gaps)
    assert "no data arrived for 0.8 seconds" in gaps[0].reason
    assert numbers == list(range(numbers[0], numbers[-1] + 1))  # and passes over none that is still listed


def test_hls_that_ends_between_connections_ends_the_run(web, hls, clips):
    def trouble(source):
        hls.last = int((monotonic() - hls.started) / 0.2)
        sleep(0.5)
        web.stop()
        web.answers["/live.m3u8"] = playlist(max(0, hls.last - WINDOW), hls.last, ended=True)
        sleep(1)
        web.start()

    numbers, gaps = through(hls, clips, trouble)
    assert numbers == sorted(set(numbers)) and numbers[-1] == hls.last * SEGMENT_FRAMES - 1
    assert len(gaps) <= 1


def test_hls_that_ends_during_an_error_is_read_to_its_end(web, hls, clips):
    """Whoever asks next finds an end, and segments before it that were never read."""
    calls = []

    def trouble(source):
        last = int((monotonic() - hls.started) / 0.2)

        def answer(handler):
            calls.append(last)
            if len(calls) == 1:
                handler.send_error(404)
            else:
                handler.give(playlist(max(0, last - WINDOW), last + 5, ended=True))

        web.answers["/live.m3u8"] = answer

    numbers, gaps = through(hls, clips, trouble)
    assert len(gaps) == 1 and "404" in gaps[0].reason
    assert numbers == sorted(set(numbers)) and numbers[-1] == (calls[0] + 5) * SEGMENT_FRAMES - 1
    assert numbers == list(range(numbers[0], numbers[-1] + 1))


def test_the_command_watches_a_playlist_to_its_end(web, segments, colour_model, tmp_path):
    web.answers = {f"/{path.name}": path.read_bytes() for path in segments.iterdir()}
    web.answers["/short.m3u8"] = playlist(0, 4, ended=True)
    outputs = ["--out", tmp_path / "out.mp4", "--log", tmp_path / "out.jsonl", "--model", colour_model]
    command = [sys.executable, "-m", "detector", "webcam", web.url("short.m3u8"), "--no-window", *outputs]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    records = list(read_log(tmp_path / "out.jsonl"))
    assert records[-1].status is RunStatus.COMPLETE
    assert records[-2].frame == 39 and len(records) > 20  # at its own pace there is time for most of them


def test_hls_that_ends_during_the_timeout_is_read_to_its_end(web, hls, clips):
    """The reader that waits is told nothing new until it gives up; whoever looks why sees an end, further on."""
    lasts = []

    def trouble(source):
        lasts.append(int((monotonic() - hls.started) / 0.2))
        asked = []

        def answer(handler):
            asked.append(monotonic())
            still = asked[-1] - asked[0] < 0.7  # a little less than the timeout
            handler.give(playlist(max(0, lasts[0] - WINDOW), lasts[0] if still else lasts[0] + 5, ended=not still))

        web.answers["/live.m3u8"] = answer

    numbers, gaps = through(hls, clips, trouble)
    assert len(gaps) <= 1
    assert numbers == list(range(numbers[0], (lasts[0] + 5) * SEGMENT_FRAMES))


@pytest.mark.parametrize(
    ("content", "message"), [(None, "404"), (b"#EXTM3U\n", "cannot be read as a video"), (b"<html>", "cannot be read")]
)
def test_an_invalid_playlist(web, content, message):
    web.answers["/live.m3u8"] = content
    with pytest.raises(CameraError, match=message):
        open_camera(web.url("live.m3u8"), timeout_seconds=1)


def test_recording_over_http_is_played_once_at_its_own_pace(web, clips, tmp_path):
    web.answers["/a.mp4"] = clips.make(tmp_path / "a.mp4", range(25), options={"movflags": "faststart"}).read_bytes()
    started = monotonic()
    with open_camera(web.url("a.mp4"), timeout_seconds=3) as source:
        assert [clips.number(frame.picture) for frame in source] == list(range(25))
    assert monotonic() - started > 0.9


def test_recording_over_http_that_breaks_off_is_not_restarted(web, clips, tmp_path):
    path = clips.make(tmp_path / "a.mp4", range(50), options={"movflags": "faststart"})
    content = path.read_bytes()
    web.answers["/a.mp4"] = lambda handler: handler.give(content[: len(content) * 2 // 3], claimed=len(content))
    with open_camera(web.url("a.mp4"), timeout_seconds=3) as source:
        numbers = []
        with pytest.raises(StreamError, match="the stream broke off"):
            for frame in source:
                numbers.append(clips.number(frame.picture))
    assert numbers == list(range(len(numbers))) and 20 <= len(numbers) < 50


def mjpeg(clips, *ills):
    """Sends ten JPEG pictures to each client, then fails as the next of `ills` specifies."""
    waiting = list(ills)

    def answer(handler):
        handler.send_response(200)
        handler.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        handler.end_headers()
        for number in range(10):
            jpeg = cv2.imencode(".jpg", clips.picture(number)[:, :, ::-1])[1].tobytes()
            head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
            handler.wfile.write(head.encode() + jpeg + b"\r\n")
        ill = waiting.pop(0) if waiting else "hangs up"
        if ill == "freezes":
            sleep(1.5)
        elif ill == "garbage":
            handler.wfile.write(os.urandom(50_000))
            sleep(1.5)

    return answer


def test_mjpeg_that_freezes_sends_garbage_is_gone_and_hangs_up(web, clips):
    web.answers["/cam"] = mjpeg(clips, "freezes", "garbage")
    numbers = []
    with watch(web.url("cam")) as source:
        for frame in source:
            numbers.append(clips.number(frame.picture))
            if source.gaps == 2 and web.ill is None:
                web.ill = "404 cam"  # for whoever calls next
                threading.Timer(0.5, setattr, (web, "ill", "none")).start()
            if source.gaps == 3 and len(numbers) >= 35:
                break
    gaps = source.take_gaps()
    assert len(gaps) == 3
    assert numbers == [*range(10)] * 3 + [*range(5)]
    assert "no data arrived for 0.8 seconds" in gaps[0].reason
    assert [gap.after_frame for gap in gaps] == [9, 19, 29]


def test_pacing_keeps_time_and_resets_after_a_jump():
    pace, started = Pace(), monotonic()
    for index in range(6):
        pace.wait(100 + index / 20)
    assert 0.25 <= monotonic() - started < 1
    pace.wait(5000)  # an hour on: a second at most
    assert monotonic() - started < 2.5
    pace.wait(3)  # and back: at once, and from there on
    back = monotonic()
    assert back - started < 2.6
    pace.wait(3.2)
    assert monotonic() - back >= 0.19


def test_memory_recognises_read_packets_and_not_similar_ones(clips, tmp_path):
    def packets(pictures):
        still = tmp_path / "still.ts"
        with av.open(str(still), "w") as output:
            stream = output.add_stream("libx264", rate=25, options={"preset": "ultrafast", "tune": "zerolatency"})
            stream.width, stream.height, stream.pix_fmt = clips.width, clips.height, "yuv420p"
            for picture in pictures:
                output.mux(stream.encode(av.VideoFrame.from_ndarray(picture)))
            output.mux(stream.encode(None))
        with av.open(str(still)) as video:
            return [packet for packet in video.demux(video=0) if packet.size]

    # The same change to another picture is, after its keyframe, encoded to the same bytes.
    one, another = (packets([clips.picture(base + index % 2) for index in range(8)]) for base in (0, 128))
    assert any(bytes(a) == bytes(b) for a, b in zip(one, another, strict=True))
    memory = Memory()
    assert not any(memory.knows(packet) for packet in one)
    assert all(memory.knows(packet) for packet in one)
    assert not any(memory.knows(packet) for packet in another)
    assert all(before.pts < after.pts for before, after in pairwise(one))
    assert one[0].is_keyframe and not one[1].is_keyframe
