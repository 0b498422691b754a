import os
import subprocess
import sys

import pytest

from detector.errors import SettingsError
from detector.video.writing.window import Window

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="displays are X's here")


@linux
def test_no_display(monkeypatch):
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    with pytest.raises(SettingsError, match=r"no display .*--no-window"):
        Window()


@linux
def test_display_that_refuses_connections(monkeypatch, capfd):
    monkeypatch.setenv("DISPLAY", ":4711")
    with pytest.raises(SettingsError, match="--no-window"):
        Window()
    assert capfd.readouterr() == ("", "")


SCRIPT = """
from fractions import Fraction
import numpy as np
from detector.detections import Detections
from detector.video.frames import Frame
from detector.video.writing.video_writer import VideoWriter
from detector.video.writing.window import Window

captions = []

def caption(picture, text):
    captions.append(text)
    picture[:] = 0

with Window(caption=caption) as window:
    for index in range(3):
        frame = Frame(index, index, Fraction(1, 25), np.full((160, 224, 3), 50 + index, np.uint8))
        window.write(frame, Detections.empty())
        assert (frame.picture == 50 + index).all()
print(window.closed, len(captions), captions[-1].endswith(" frames/s"))
"""


@linux
@pytest.mark.skipif(not os.environ.get("DISPLAY"), reason="needs a display")
def test_window_shows_frames_without_changing_them():
    """In a separate process, where only this project decides the order of imports."""
    told = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=30, check=True)
    assert (told.stdout, told.stderr) == ("False 3 True\n", "")
