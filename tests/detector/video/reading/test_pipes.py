import os
import subprocess
import sys
import threading
import time

import pytest

from detector.errors import VideoError
from detector.video.reading.opening import open_video
from detector.video.reading.pipes import PipeReader, is_pipe
from detector.video.reading.video_file import VideoFile

pytestmark = pytest.mark.real_time

READ = """
import sys
from detector.errors import Yolo3Error
from detector.video.reading.opening import open_video
try:
    with open_video(sys.argv[1]) as video:
        print(sum(1 for frame in video), video.audio_from, *video.notes)
except Yolo3Error as error:
    print(type(error).__name__, error)
"""


@pytest.fixture
def fifo(tmp_path):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    return path


def feed(path, data):
    thread = threading.Thread(target=path.write_bytes, args=(data,))
    thread.start()
    return thread


@pytest.mark.parametrize("kind", [".mkv", ".ts", ".mp4"])
def test_a_named_pipe(clips, tmp_path, fifo, kind):
    options = {"movflags": "+frag_keyframe+empty_moov"} if kind == ".mp4" else {}
    sound = "libmp3lame" if kind == ".ts" else "aac"
    source = clips.make(tmp_path / f"a{kind}", range(12), sound=sound, options=options)
    writer = feed(fifo, source.read_bytes())
    with open_video(str(fifo)) as video:
        numbers = [clips.number(frame.picture) for frame in video]
        notes = video.notes
        assert video.audio_from is None
    writer.join()
    assert numbers == list(range(12))
    assert f"{fifo}: a pipe can be read only once, so its audio and subtitles are left out" in notes


@pytest.mark.parametrize("name", ["-", "/dev/stdin"])
@pytest.mark.parametrize("piped", [True, False], ids=["piped", "redirected"])
def test_standard_input(clips, tmp_path, name, piped):
    source = clips.make(tmp_path / "a.mkv", range(12), sound="aac")
    with source.open("rb") as file:
        data = {"input": source.read_bytes()} if piped else {"stdin": file}
        told = subprocess.run([sys.executable, "-c", READ, name], capture_output=True, timeout=120, check=True, **data)
    count, sound, *notes = told.stdout.decode().split(maxsplit=2)
    assert (count, sound) == ("12", "None" if piped else "/dev/stdin")
    assert bool(notes and "only once" in notes[0]) is piped


def test_an_mp4_that_cannot_be_read_from_a_pipe(clips, tmp_path, fifo):
    source = clips.make(tmp_path / "a.mp4", range(300))
    writer = feed(fifo, source.read_bytes())
    with pytest.raises(VideoError, match=r"pipe: .*index at the end cannot be read from a pipe"):
        VideoFile(fifo)
    writer.join()


def test_a_wait_for_a_writer_can_be_interrupted(fifo):
    reader = PipeReader(str(fifo))
    threading.Timer(0.3, reader.stop).start()
    started = time.monotonic()
    assert reader.read(100) == b""
    assert 0.2 < time.monotonic() - started < 30
    reader.close()


INTERRUPTED = """
import os, signal, sys, threading
from detector.video.reading.opening import open_video
signal.signal(signal.SIGINT, signal.default_int_handler)
threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()
try:
    open_video(sys.argv[1])
except KeyboardInterrupt:
    print("interrupted")
"""


def test_ctrl_c_ends_a_wait_for_a_pipe(fifo):
    """Nobody ever writes into it."""
    told = subprocess.run([sys.executable, "-c", INTERRUPTED, str(fifo)], capture_output=True, timeout=120, check=False)
    assert (told.stdout, told.stderr) == (b"interrupted\n", b"")


def test_recognising_a_pipe(tmp_path, fifo):
    (tmp_path / "a").write_text("x")
    assert is_pipe(str(fifo))
    assert not any(map(is_pipe, [str(tmp_path), str(tmp_path / "a"), str(tmp_path / "none"), "http://a.b/c", "\0"]))


def test_a_terminal_is_not_a_video():
    controller, terminal = os.openpty()
    try:
        with pytest.raises(VideoError, match="is a terminal, not a video"):
            PipeReader(os.ttyname(terminal))
    finally:
        os.close(controller)
        os.close(terminal)
