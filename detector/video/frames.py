"""Frames, what is known of them beforehand, and the two ends they flow between: a source and a sink."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from types import TracebackType
from typing import ClassVar, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from detector.detections import Detections
from detector.images.addresses import without_credentials
from detector.images.planes import Planes

Picture = NDArray[np.uint8]
"""(height, width, 3), RGB, as displayed."""

Image = Picture | Planes
"""What a frame shows: RGB, or the planes in which its source stores it."""

UNSPECIFIED = 2
"""The code by which a video says nothing about one of its colour properties (ISO/IEC 23091-2)."""


@dataclass(frozen=True)
class Colours:
    """How a video's numbers stand for colours, in the codes of ISO/IEC 23091-2 that files and FFmpeg use."""

    matrix: int = UNSPECIFIED
    """YUV to RGB: 1 is BT.709, 5 and 6 are BT.601, 9 is BT.2020."""

    full_range: bool = False
    """Whether 0 to 255 is black to white (as in JPEG) instead of 16 to 235 (as in television)."""

    primaries: int = UNSPECIFIED
    """Which red, green and blue."""

    transfer: int = UNSPECIFIED
    """The gamma curve; 16 and 18 are HDR."""


RGB = Colours(matrix=0, full_range=True)
"""Colours of a video whose frames are stored as red, green and blue."""


@dataclass(frozen=True)
class VideoInfo:
    """What a source knows of its frames before the first is used."""

    source: str
    """What the user called it: a path, an address without the credentials in it, `camera 0`."""

    width: int
    """Pixels across, as displayed."""

    height: int
    """Pixels down, as displayed."""

    time_base: Fraction
    """Seconds per tick of the frames' timestamps."""

    frame_rate: Fraction | None = None
    """Frames per second on average; None where the source does not say."""

    frame_count: int | None = None
    """How many frames to expect: the file's own claim, or its duration times its rate. For progress only."""

    duration_seconds: Fraction | None = None
    """How long it claims to last; None for a camera or a stream."""

    start_seconds: Fraction = Fraction(0)
    """Where the source's clock stands at the start of its earliest stream, sound included."""

    begin_seconds: Fraction | None = None
    """Where that clock stands at the start of the section that was asked for, which a copy counts from; None where
    it is the start of the video."""

    end_seconds: Fraction | None = None
    """Where that clock stands at the end of that section; None where it is the end of the video."""

    pixel_aspect: Fraction = Fraction(1)
    """Width of a pixel over its height, as displayed."""

    pixel_format: str = "rgb24"
    """FFmpeg's name of the layout in which the frames are stored."""

    colours: Colours = RGB
    """How the source stores colours, so that a copy of it can do the same."""

    live: bool = False
    """Whether frames come when they happen (a camera) and not when they are asked for (a file)."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "source", without_credentials(self.source))


@dataclass(eq=False, repr=False)
class Frame:
    """One picture of a video and its place in it.

    Whoever is given a frame owns it and may draw on its image: a source never yields memory that it will use again.
    """

    index: int
    """Place in the source, from 0."""

    pts: int
    """The frame's own timestamp, in ticks of `time_base`; greater than that of the frame before."""

    time_base: Fraction
    """Seconds per tick."""

    image: Image
    """What it shows, as displayed: rotation applied. Planes where the source stores such, RGB otherwise."""

    duration: int = 0
    """How long the frame is shown, in ticks; 0 where the source does not say."""

    arrived: float | None = None
    """When it came, by `time.monotonic`; None unless the source is live."""

    pixel_aspect: Fraction = Fraction(1)
    """Width of a pixel over its height, as displayed."""

    detections: Detections | None = None
    """What it is known to show, as where a log is replayed; None where that is yet to be detected."""

    propagated: bool = False
    """Whether its boxes come from an earlier frame, because no detector was run on this one."""

    @property
    def picture(self) -> Picture:
        """The image in RGB, to look at: drawing goes onto `image`, or onto what `to_rgb` gives."""
        return self.image.rgb if isinstance(self.image, Planes) else self.image

    def to_rgb(self) -> Picture:
        """Make the image one of RGB, to change as one likes."""
        self.image = self.picture
        return self.image

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels, as displayed."""
        height, width = self.image.shape[:2]
        return width, height

    @property
    def time(self) -> Fraction:
        """The frame's own timestamp in seconds, exactly."""
        return self.pts * self.time_base

    def __repr__(self) -> str:
        width, height = self.size
        return f"Frame(index={self.index}, time={float(self.time):.6f} s, {width}x{height})"


@dataclass(frozen=True)
class Gap:
    """A time in which a live source gave nothing."""

    after_frame: int
    """The last frame before it; -1 where there was none."""

    time: float
    """The timestamp of that frame in seconds."""

    seconds: float
    """How long it took until the source was back, or the run ended."""

    reason: str


class Source(Protocol):
    """Frames in order of time.

    Iterating raises `StreamError` after the last frame if the source broke off before its end; the frames before
    it are good. The next frame, or an error, must come within seconds even when the other side has gone silent,
    so that a run can always be ended.

    Classes that derive from this protocol inherit defaults for a source that ends by itself and has no gaps.
    """

    @property
    def notes(self) -> Sequence[str]:
        """What the user should know of the frames yielded so far, a line each."""
        return ()

    def __iter__(self) -> Iterator[Frame]:
        """Iterate over the frames, once."""
        ...

    def stop(self) -> None:
        """End the iteration soon; called from another thread than the one that iterates."""
        return

    def take_gaps(self) -> Sequence[Gap]:
        """The interruptions that ended, or were cut short by `stop`, since this was last called."""
        return ()


class OpenedSource(Source, Protocol):
    """A source that is open within its `with` block."""

    info: VideoInfo
    """What is known of its frames."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class OpenedVideo(OpenedSource, Protocol):
    """A source that ends by itself: a video file, a folder of pictures, an animation."""

    files: Sequence[str]
    """What is read, and so must not be written."""

    audio_from: str | None
    """The video whose audio and subtitles are carried over; None where there is none."""


Detect = Callable[[Frame], Detections]
"""Finds the objects in a frame; may set `Frame.propagated`."""


class Sink(ABC):
    """Takes frames with their detections, in order, and makes something of them.

    Leaving its `with` block finishes what was made. Left through an exception, a sink keeps what it has if
    `Ending.of(exception).keeps_output`, and otherwise leaves nothing under the final name.
    """

    main_thread: ClassVar[bool] = False
    """Whether `write` must be called from the main thread, as windows must."""

    stage: ClassVar[str] = "write"
    """What a run calls the time that `write` takes."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        """What the user should know about the result, a line each; complete when the sink is closed."""

    def __enter__(self) -> Self:
        return self

    @abstractmethod
    def write(self, frame: Frame, detections: Detections) -> None:
        """Take the next frame, which is not to be changed."""

    def on_gap(self, gap: Gap) -> None:
        """Take note of an interruption of the source; it comes after the last frame before it."""
        return

    @abstractmethod
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
