"""Reopen a live source whenever it is lost, until the run is stopped."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from threading import Event, Lock
from time import monotonic
from types import TracebackType
from typing import Protocol, Self

import cv2
import numpy as np

from detector.errors import InputError, StreamError
from detector.video.frames import Frame, Gap, Source, VideoInfo


class StreamFinished(Exception):  # noqa: N818 - it is no error
    """A source that was lost is back, and reports that it has reached its end."""


class Connection(Protocol):
    """An open source, usable until it is lost.

    If its `info` has a duration when its frames end, it has reached its end.
    """

    info: VideoInfo

    @property
    def starts_over(self) -> bool:
        """Whether another connection would begin at the first frame again, as for a recording."""
        return False

    def __iter__(self) -> Iterator[Frame]: ...

    def close(self) -> None:
        """Release the source."""
        ...


@dataclass(frozen=True)
class Patience:
    """Waits before reconnecting; each failed attempt doubles the wait."""

    first_seconds: float = 0.5
    longest_seconds: float = 15.0


@dataclass(frozen=True)
class _Loss:
    """An interruption in progress."""

    after_frame: int
    time: float
    at: float
    reason: str


class LiveStream(Source):
    """Frames of a source that `connect` opens again whenever it is lost; iterate once.

    Timestamps continue through a loss in real time. Images keep the first connection's size. `on_note` is called with a
    line when the source is lost and when it is back. A recording, which has an end, is played once, and one that breaks
    off is not started again.
    """

    def __init__(
        self,
        connect: Callable[[], Connection],
        *,
        patience: Patience = Patience(),
        on_note: Callable[[str], object] = lambda note: None,
    ) -> None:
        self._connect = connect
        self._patience = patience
        self._on_note = on_note
        self._stopped = Event()
        self._noting_gaps = Lock()
        self._gaps: list[Gap] = []
        self._lost: _Loss | None = None
        self._connection: Connection | None = connect()
        self.info = replace(self._connection.info, live=True)
        self.gaps = 0
        self._index = 0
        self._last_pts: int | None = None
        self._last_at = monotonic()

    @property
    def notes(self) -> list[str]:
        """How often the source was lost."""
        if not self.gaps:
            return []
        return [f"{self.info.source}: lost {self.gaps} {'time' if self.gaps == 1 else 'times'}"]

    def stop(self) -> None:
        """End the iteration as soon as the source answers or times out."""
        self._stopped.set()
        self._end_gap()

    def take_gaps(self) -> Sequence[Gap]:
        """Return the interruptions that ended, or were cut short by `stop`, since the last call."""
        with self._noting_gaps:
            taken, self._gaps = self._gaps, []
        return taken

    def close(self) -> None:
        """Release the source."""
        self.stop()
        self._disconnect()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __iter__(self) -> Iterator[Frame]:
        while not self._stopped.is_set() and self._connection is not None:
            why = "it ended"
            try:
                yield from self._frames(self._connection)
            except StreamError as error:
                if self._connection is not None and self._connection.starts_over:
                    raise
                why = str(error)
            else:
                if self._connection is None or self._connection.info.duration_seconds is not None:
                    return
            self._disconnect()
            if not self._stopped.is_set():
                self._reconnect(why)

    def _frames(self, connection: Connection) -> Iterator[Frame]:
        """Yield one connection's frames, with the timeline and size of the first connection."""
        time_base = self.info.time_base
        shift = None if self._last_pts is not None else 0
        anchor: tuple[float, int] | None = None
        for frame in connection:
            if self._stopped.is_set():
                return
            pts = round(frame.time / time_base)
            if shift is None:
                assert self._last_pts is not None
                shift = self._last_pts + max(1, round((monotonic() - self._last_at) / time_base)) - pts
            pts += shift
            if self._last_pts is not None:
                pts = max(pts, self._last_pts + 1)
            frame.index, frame.pts, frame.time_base = self._index, pts, time_base
            frame.duration = round(frame.duration * connection.info.time_base / time_base)
            size = (self.info.width, self.info.height)
            if (connection.info.width, connection.info.height) != size:
                frame.image = np.asarray(cv2.resize(frame.picture, size), dtype=np.uint8)
            now = monotonic()
            anchor = anchor or (now, pts)
            # Frames that the decoder returns after a loss come late; their timestamps say when they were due.
            due = anchor[0] + float((pts - anchor[1]) * time_base)
            self._last_pts, self._last_at = pts, min(now, max(due, self._last_at))
            self._index += 1
            yield frame

    def _reconnect(self, why: str) -> None:
        """Reconnect until the source is back or the run is stopped."""
        self.gaps += 1
        last = 0.0 if self._last_pts is None else float(self._last_pts * self.info.time_base)
        with self._noting_gaps:
            self._lost = _Loss(self._index - 1, last, self._last_at, why)
        self._on_note(f"{why}; trying again")
        pause = self._patience.first_seconds
        while not self._stopped.wait(pause):
            try:
                self._connection = self._connect()
                break
            except StreamFinished:
                break
            except (InputError, StreamError):
                pause = min(2 * pause, self._patience.longest_seconds)
        gap = self._end_gap()
        if gap is not None and self._connection is not None:
            self._on_note(f"{self.info.source}: back after {gap.seconds:.1f} s")

    def _end_gap(self) -> Gap | None:
        """Record the interruption in progress, once: when the source is back, or when the run is stopped."""
        with self._noting_gaps:
            lost, self._lost = self._lost, None
            if lost is None:
                return None
            gap = Gap(lost.after_frame, lost.time, monotonic() - lost.at, lost.reason)
            self._gaps.append(gap)
            return gap

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
