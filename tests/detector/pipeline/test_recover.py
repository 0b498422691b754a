import os
import signal
import subprocess
import sys
from fractions import Fraction

import pytest

from detector.detections import Detections
from detector.errors import OutputError, VideoError
from detector.pipeline.recover import recover
from detector.video.frames import VideoInfo
from detector.video.writing.codecs import VideoSettings
from detector.video.writing.parts import kept_of, part_path
from detector.video.writing.video_writer import VideoWriter

FAST = VideoSettings(preset="ultrafast")


def fail(clips, path, count, *, first=0, kept=(), settings=FAST, digest="a"):
    """A run that fails after so many frames; what it leaves."""
    info = VideoInfo("made", clips.width, clips.height, Fraction(1, 25))
    with (
        pytest.raises(ZeroDivisionError),
        VideoWriter(path, info, settings=settings, kept=kept, overwrite=True, run_digest=digest) as writer,
    ):
        for frame in clips.frames(count):
            if frame.index >= first:
                writer.write(frame, Detections.empty())
        raise ZeroDivisionError
    return part_path(path, len(kept) + 1)


@pytest.mark.parametrize("ending", [".mp4", ".mov", ".mkv"])
def test_all_frames_come_back_with_their_times(clips, tmp_path, ending):
    part = fail(clips, tmp_path / "out.mp4", 30)
    target = tmp_path / f"ein Film ∞{ending}"
    found = recover(part, target)
    assert (found.frames, found.parts) == (30, (part,))
    assert [clips.number(picture) for _, picture in clips.decoded(target)] == list(range(30))
    assert clips.times(target) == [Fraction(number, 25) for number in range(30)]
    assert part.exists()
    with pytest.raises(OutputError, match="exists already"):
        recover(part, target)
    recover(part, target, overwrite=True)
    assert sorted(tmp_path.iterdir()) == sorted([part, target])


def test_the_parts_of_a_resumed_run_belong_together(clips, tmp_path):
    first = fail(clips, tmp_path / "out.mp4", 10)
    second = fail(clips, tmp_path / "out.mp4", 25, kept=kept_of([first]))
    assert recover(second, tmp_path / "out.mp4").frames == 25
    assert [clips.number(picture) for _, picture in clips.decoded(tmp_path / "out.mp4")] == list(range(25))


def test_a_part_of_another_run_is_left_out(clips, tmp_path):
    first = fail(clips, tmp_path / "out.mp4", 10)
    fail(clips, tmp_path / "out.mp4", 25, kept=kept_of([first]), digest="b")
    assert recover(first, tmp_path / "saved.mp4").frames == 10


@pytest.mark.parametrize("digest", ["", "a"])
def test_a_video_that_no_run_left_is_never_called_unneeded(clips, tmp_path, digest):
    with pytest.raises(VideoError, match=r"holiday\.mp4: is not a part of an unfinished run"):
        recover(clips.make(tmp_path / "holiday.mp4"), tmp_path / "saved.mp4")
    renamed = fail(clips, tmp_path / "out.mp4", 10, digest=digest).rename(tmp_path / "renamed.mp4")
    assert recover(renamed, tmp_path / "saved.mp4").frames == 10


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no such signal here")
def test_after_a_kill(clips, tmp_path):
    code = f"""
import os, signal
from fractions import Fraction
from detector.detections import Detections
from detector.video.frames import VideoInfo
from detector.video.writing.codecs import VideoSettings
from detector.video.writing.video_writer import VideoWriter
from tests.detector.clips import Clips
info = VideoInfo("made", Clips.width, Clips.height, Fraction(1, 25))
with VideoWriter({str(tmp_path / "out.mp4")!r}, info, settings=VideoSettings(preset="ultrafast")) as writer:
    for frame in Clips().frames(60):
        writer.write(frame, Detections.empty())
    os.kill(os.getpid(), signal.SIGKILL)
"""
    told = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, timeout=120)
    assert told.returncode == -signal.SIGKILL, told.stderr
    found = recover(part_path(tmp_path / "out.mp4"), tmp_path / "out.mp4")
    assert found.frames > 20  # the encoder held the others
    assert [clips.number(picture) for _, picture in clips.decoded(tmp_path / "out.mp4")] == list(range(found.frames))


def test_parts_that_cannot_be_recovered(clips, tmp_path):
    part = fail(clips, tmp_path / "out.mp4", 5)
    with pytest.raises(VideoError, match="no such file"):
        recover(tmp_path / "none.mp4", tmp_path / "a.mp4")
    with pytest.raises(OutputError, match="is the input"):
        recover(part, part, overwrite=True)
    with pytest.raises(OutputError, match="without a suffix"):
        recover(part, tmp_path / "a")
    with pytest.raises(OutputError, match="cannot hold h264"):
        recover(part, tmp_path / "a.webm")
    junk = tmp_path / "junk.mp4"
    junk.write_bytes(os.urandom(3000))
    with pytest.raises(VideoError):
        recover(junk, tmp_path / "a.mp4")
    assert not (tmp_path / "a.mp4").exists() and part.exists()
