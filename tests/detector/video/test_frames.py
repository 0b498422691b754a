import subprocess
import sys
from fractions import Fraction

import numpy as np

from detector.video.frames import Frame


def test_time_is_exact():
    frame = Frame(index=3, pts=3003, time_base=Fraction(1, 30000), image=np.zeros((4, 6, 3), np.uint8))
    assert frame.time == Fraction(1001, 10000)


def test_repr_shows_no_pixels():
    frame = Frame(index=3, pts=9, time_base=Fraction(1, 25), image=np.zeros((4, 6, 3), np.uint8))
    assert repr(frame) == "Frame(index=3, time=0.360000 s, 6x4)"


def test_the_loop_knows_nothing_of_files():
    code = (
        "import sys, detector.pipeline.loop, detector.logs.frame_log, detector.video.frames\n"
        "print(*{'av', 'PIL', 'tensorflow', 'keras'} & sys.modules.keys())"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert told.stdout == "\n"
