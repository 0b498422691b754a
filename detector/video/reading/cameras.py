"""Open live sources: cameras by number, streams by address, and video files played in real time."""

from __future__ import annotations

import errno
import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from threading import Lock
from time import monotonic, sleep
from types import TracebackType
from typing import Any, Protocol, Self

import cv2
import numpy as np
from cv2.utils import logging

from detector.errors import CameraError, StreamError, VideoError
from detector.video.frames import Frame, OpenedSource, Picture, VideoInfo
from detector.video.reading.containers import is_address
from detector.video.reading.interrupting import TIMEOUT_SECONDS as TIMEOUT_SECONDS
from detector.video.reading.interrupting import interruptible
from detector.video.reading.network_stream import Memory, NetworkStream
from detector.video.reading.reconnecting import Connection, LiveStream
from detector.video.reading.video_file import ARRIVAL_TICK_SECONDS, VideoFile
from detector.video.timeline import Timeline

_LONGEST_PAUSE_SECONDS = 1.0
_INDICES_TRIED = 5
_CLOSE_SECONDS = 1.0


class Capture(Protocol):
    """The members of `cv2.VideoCapture` that are used."""

    def isOpened(self) -> bool:  # noqa: N802 - OpenCV's name
        """Return whether the camera is open."""
        ...

    def read(self) -> tuple[bool, Any]:
        """Return whether an image came, and the image, BGR."""
        ...

    def get(self, property_id: int, /) -> float:
        """Return a property, 0 if it is unknown."""
        ...

    def release(self) -> None:
        """Release the camera."""
        ...


class Camera(Connection):
    """A camera of this machine; iterate for its frames, timestamped on arrival.

    Raise `CameraError`, which says why it does not open.
    """

    def __init__(self, index: int, *, open_capture: Callable[[int], Capture] | None = None) -> None:
        self._index = index
        self._reading = Lock()
        with _quiet():
            self._capture = (open_capture or _open_capture)(index)
            first = self._read() if self._capture.isOpened() else None
        if first is None:
            self._capture.release()
            raise CameraError(f"camera {index}: {why_not(index)}")
        self._first: Picture | None = first
        height, width = first.shape[:2]
        rate = self._capture.get(cv2.CAP_PROP_FPS)
        self.notes: list[str] = []
        self.info = VideoInfo(
            source=f"camera {index}",
            width=width,
            height=height,
            time_base=ARRIVAL_TICK_SECONDS,
            frame_rate=Fraction(rate).limit_denominator(1001) if 0 < rate < 1000 else None,
            live=True,
        )

    def __iter__(self) -> Iterator[Frame]:
        timeline = Timeline(ARRIVAL_TICK_SECONDS, step=1)
        started = monotonic()
        picture, self._first = self._first, None
        index = 0
        while picture is not None:
            ticks = round((monotonic() - started) / ARRIVAL_TICK_SECONDS)
            yield Frame(
                index=index,
                pts=timeline.place(ticks),
                time_base=ARRIVAL_TICK_SECONDS,
                image=picture,
                arrived=monotonic(),
            )
            index += 1
            with self._reading, _quiet():
                picture = self._read()
        raise StreamError(f"camera {self._index}: delivers no more pictures; was it unplugged?")

    def _read(self) -> Picture | None:
        try:
            read, picture = self._capture.read()
        except cv2.error:  # as of bytes on the wire that make no picture
            return None
        return np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), dtype=np.uint8) if read else None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Release the camera."""
        # If a thread still waits for an image, leave the camera to it: releasing it now would crash.
        if self._reading.acquire(timeout=_CLOSE_SECONDS):
            self._capture.release()
            self._reading.release()


class PacedFile(VideoFile):
    """A video file whose frames come when they are due, as those of a camera do."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        super().__init__(path)
        self.info = replace(self.info, live=True)

    def __iter__(self) -> Iterator[Frame]:
        started: float | None = None
        for frame in super().__iter__():
            if started is None:
                started = monotonic() - float(frame.time)
            # Pauses are kept short so that a run can be ended during one.
            sleep(min(max(started + float(frame.time) - monotonic(), 0), _LONGEST_PAUSE_SECONDS))
            frame.arrived = monotonic()
            yield frame


def open_camera(
    which: int | str | os.PathLike[str] = 0,
    *,
    paced: bool = True,
    timeout_seconds: float = TIMEOUT_SECONDS,
    on_note: Callable[[str], object] = lambda note: None,
) -> OpenedSource:
    """Open the camera of this number, the stream of this address, or a video file played in real time.

    A file is played at its own speed unless `paced` is false. `timeout_seconds` limits the wait for a stream to open
    and for each of its frames. A camera or stream that is lost is opened again until the run ends; `on_note` is called
    with a line when it is lost and when it is back. Raise `CameraError` if nothing opens, or `VideoError` for a file
    that is not a video.
    """
    name = str(which) if isinstance(which, int) else os.fspath(which)
    number = re.fullmatch(r"(?:/dev/video)?([0-9]{1,4})", name)
    if number:
        index = int(number[1])
        return LiveStream(lambda: Camera(index), on_note=on_note)
    if is_address(name):
        memory = Memory()
        try:
            return LiveStream(
                lambda: interruptible(lambda: NetworkStream(name, timeout_seconds=timeout_seconds, memory=memory)),
                on_note=on_note,
            )
        except VideoError as error:
            raise CameraError(str(error)) from None
    if not Path(name).exists():
        raise CameraError(
            f"{name}: no such camera; give a number (0 is the first), an address such as rtsp://…, or a video file"
        )
    return PacedFile(name) if paced else VideoFile(name)


def why_not(index: int, *, devices: Path = Path("/dev")) -> str:
    """Return why a camera does not open, and what to do; `devices` is where Linux lists them."""
    if not sys.platform.startswith("linux"):
        found = [str(other) for other in range(_INDICES_TRIED) if other != index and _answers(other)]
        if found:
            return f"does not open; these do: {', '.join(found)}"
        return "does not open, nor does any other; is one connected, and may this program use it (privacy settings)?"
    present = sorted(int(path.name[5:]) for path in devices.glob("video*") if path.name[5:].isdigit())
    if not present:
        return f"this machine has no camera (no {devices / 'video*'}); connect one, or give an address or a video file"
    if index not in present:
        return f"no such camera; there are {', '.join(map(str, present))}"
    device = devices / f"video{index}"
    if not os.access(device, os.R_OK | os.W_OK):
        return f"{device} may not be used (permission denied); `sudo usermod -aG video $USER`, then log in again"
    try:
        os.close(os.open(device, os.O_RDWR | os.O_NONBLOCK))
    except OSError as error:
        if error.errno == errno.EBUSY:
            return f"{device} is busy: another program uses it"
        return f"{device} does not open: {error.strerror}"
    others = [str(other) for other in present if other != index]
    hint = f"; try {' or '.join(others)}" if others else ""
    return f"{device} opens but delivers no picture: another program uses it, or it is not a camera{hint}"


def _open_capture(index: int) -> Capture:
    backend = cv2.CAP_V4L2 if sys.platform.startswith("linux") else cv2.CAP_ANY
    return cv2.VideoCapture(index, backend)


def _answers(index: int) -> bool:
    with _quiet():
        capture = cv2.VideoCapture(index)
        try:
            return capture.isOpened()
        finally:
            capture.release()


@contextmanager
def _quiet() -> Iterator[None]:
    """Suppress OpenCV's own messages on the terminal."""
    before = logging.getLogLevel()
    logging.setLogLevel(logging.LOG_LEVEL_SILENT)
    try:
        yield
    finally:
        logging.setLogLevel(before)
