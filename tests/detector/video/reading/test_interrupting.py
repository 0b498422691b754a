import socket
import subprocess
import sys
import threading

import pytest

from detector.video.reading.interrupting import interruptible

OPEN = """
import os, signal, sys, threading
signal.signal(signal.SIGINT, signal.default_int_handler)
from detector.video.reading.opening import open_video
threading.Timer(1, os.kill, (os.getpid(), signal.SIGINT)).start()
try:
    open_video(sys.argv[1])
except KeyboardInterrupt:
    print("interrupted")
"""


def test_results_and_errors_of_the_work_are_passed_on():
    assert interruptible(lambda: 3) == 3
    with pytest.raises(ZeroDivisionError):
        interruptible(lambda: 1 // 0)


def test_in_another_thread_it_is_a_plain_call():
    found = []
    thread = threading.Thread(target=lambda: found.append(interruptible(threading.current_thread)))
    thread.start()
    thread.join()
    assert found == [thread]


def test_ctrl_c_ends_a_wait_for_a_silent_server():
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"http://127.0.0.1:{server.getsockname()[1]}/a.mp4"
        told = subprocess.run([sys.executable, "-c", OPEN, address], capture_output=True, timeout=120, check=False)
    assert told.stdout == b"interrupted\n"
