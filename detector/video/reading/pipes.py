"""Read videos from pipes: standard input, a named pipe."""

from __future__ import annotations

import os
import select
import stat
from threading import Event

from detector.errors import VideoError

_POLL_MS = 100

STANDARD_INPUT = "/dev/stdin"

PIPE_HINT = "an MP4 with its index at the end cannot be read from a pipe; save it to a file first"


def is_pipe(name: str) -> bool:
    """Return whether a path is a pipe, a socket, or standard input from a terminal, which can be read only once."""
    try:
        mode = os.stat(name).st_mode  # noqa: PTH116 - a str may hold what Path refuses
    except (OSError, ValueError):
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or (name == STANDARD_INPUT and stat.S_ISCHR(mode))


class PipeReader:
    """The bytes of a pipe as a file object whose waits `stop` can end.

    Raise `VideoError` if the pipe cannot be opened, or is a terminal.
    """

    def __init__(self, name: str) -> None:
        self._stopped = Event()
        try:
            # Without O_NONBLOCK, opening a named pipe waits for its writer and ignores signals.
            flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
            self._descriptor = os.dup(0) if name == STANDARD_INPUT else os.open(name, flags)
        except OSError as error:
            raise VideoError(f"{name}: cannot be opened: {error.strerror or error}") from None
        if os.isatty(self._descriptor):
            os.close(self._descriptor)
            raise VideoError(f"{name}: is a terminal, not a video; pipe or redirect a video into it")
        self._poll = select.poll()
        self._poll.register(self._descriptor, select.POLLIN)

    def read(self, size: int = -1) -> bytes:
        """Return up to `size` bytes, as soon as there are some; none at the end, and after `stop`."""
        while not self._stopped.is_set():
            if not self._poll.poll(_POLL_MS):
                continue  # no writer yet, or nothing written
            try:
                return os.read(self._descriptor, size if size > 0 else 1 << 16)
            except BlockingIOError:
                continue
        return b""

    def stop(self) -> None:
        """End a wait for bytes, from another thread."""
        self._stopped.set()

    def close(self) -> None:
        """Close the pipe."""
        self.stop()
        os.close(self._descriptor)
