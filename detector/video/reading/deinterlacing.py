"""Deinterlace frames whose odd and even rows were recorded at different moments."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from itertools import pairwise
from typing import Literal

from detector.video.ffmpeg import av

Deinterlace = Literal["auto", "off"]
"""`auto` deinterlaces the frames that are marked as interlaced."""

_FILTER = "mode=send_frame:deint=interlaced"
"""One image per frame, at the frame's own time; frames that are not interlaced are unchanged."""

_NO_CLOCK = Fraction(1, av.time_base)


class Deinterlacer:
    """Deinterlaces a video with FFmpeg's bwdif from its first interlaced frame on.

    The filter looks one frame ahead, so from then on frames come one later.
    """

    def __init__(self) -> None:
        self._graph: av.filter.Graph | None = None
        self._layout: tuple[int, int, str] | None = None
        self._time_base = _NO_CLOCK

    @property
    def in_use(self) -> bool:
        """Whether an interlaced frame has been seen."""
        return self._graph is not None

    def push(self, frame: av.VideoFrame) -> Iterator[av.VideoFrame]:
        """Process the next frame and yield those that are ready."""
        if self._graph is None and not frame.interlaced_frame:
            yield frame
            return
        layout = (frame.width, frame.height, frame.format.name)
        if layout != self._layout:
            yield from self.flush()
            self._graph, self._layout, self._time_base = _bwdif(frame), layout, frame.time_base or _NO_CLOCK
        assert self._graph is not None
        self._graph.push(frame)
        yield from self._ready()

    def flush(self) -> Iterator[av.VideoFrame]:
        """Yield the remaining frames, after the last one."""
        if self._graph is not None and self._layout is not None:
            self._graph.push(None)
            self._layout = None
            yield from self._ready()

    def _ready(self) -> Iterator[av.VideoFrame]:
        assert self._graph is not None
        while True:
            try:
                frame = self._graph.pull()
            except (av.error.BlockingIOError, av.error.EOFError):
                return
            assert isinstance(frame, av.VideoFrame)
            # The filter counts in half ticks.
            scale = (frame.time_base or _NO_CLOCK) / self._time_base
            frame.pts = None if frame.pts is None else round(frame.pts * scale)
            frame.duration = round(frame.duration * scale)
            frame.time_base = self._time_base
            yield frame


def _bwdif(frame: av.VideoFrame) -> av.filter.Graph:
    graph = av.filter.Graph()
    nodes = [
        graph.add_buffer(
            width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base or _NO_CLOCK
        ),
        graph.add("bwdif", _FILTER),
        graph.add("buffersink"),
    ]
    for node, following in pairwise(nodes):
        node.link_to(following)
    graph.configure()
    return graph
