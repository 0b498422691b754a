"""Define frames, the description of a video, and the protocols of sources and sinks."""

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
from detector.errors import VideoError
from detector.images.addresses import without_credentials
from detector.images.planes import Planes

Picture = NDArray[np.uint8]
"""(height, width, 3), RGB, as displayed."""

Image = Picture | Planes
"""The image of a frame: RGB, or the planes in which its source stores it."""

UNSPECIFIED = 2
"""The code for an unspecified colour property (ISO/IEC 23091-2)."""


@dataclass(frozen=True)
class Colours:
    """How a video's values represent colours, in the codes of ISO/IEC 23091-2 that files and FFmpeg use."""

    matrix: int = UNSPECIFIED
    """Matrix from YUV to RGB: 1 is BT.709, 5 and 6 are BT.601, 9 is BT.2020."""

    full_range: bool = False
    """Whether 0 to 255 is black to white (as in JPEG) rather than 16 to 235 (as in television)."""

    primaries: int = UNSPECIFIED
    """Primaries: the exact red, green and blue."""

    transfer: int = UNSPECIFIED
    """Transfer curve (gamma); 16 and 18 are HDR."""


RGB = Colours(matrix=0, full_range=True)
"""Colours of a video whose frames are stored as red, green and blue."""


MAX_FRAME_PIXELS = 40_000_000
"""The largest frames of a video; 8K has 35 million pixels."""


def check_frame_size(name: str, width: int, height: int) -> None:
    """Raise `VideoError` for frames of which the dozens in decoder and encoder need gigabytes."""
    if width * height > MAX_FRAME_PIXELS:
        raise VideoError(
            f"{name}: has frames of {width}x{height} pixels; expected at most {MAX_FRAME_PIXELS // 10**6} million "
            "pixels, more than 8K video has. Make it smaller first, with FFmpeg for instance"
        )


@dataclass(frozen=True)
class VideoInfo:
    """What a source knows about its frames in advance."""

    source: str
    """The source as the user named it: a path, an address without its credentials, `camera 0`."""

    width: int
    """Width in pixels, as displayed."""

    height: int
    """Height in pixels, as displayed."""

    time_base: Fraction
    """Seconds per tick of the frames' timestamps."""

    frame_rate: Fraction | None = None
    """Frames per second on average; None if unknown."""

    frame_count: int | None = None
    """The expected number of frames: the file's own value, or its duration times its rate. For progress only."""

    duration_seconds: Fraction | None = None
    """Seconds that it claims to last; None for a camera or a stream."""

    start_seconds: Fraction = Fraction(0)
    """Time on the source's clock at the start of its earliest stream, audio included."""

    begin_seconds: Fraction | None = None
    """Time on that clock at the start of the requested section, from which a copy counts; None for the start of the
    video."""

    end_seconds: Fraction | None = None
    """Time on that clock at the end of that section; None for the end of the video."""

    pixel_aspect: Fraction = Fraction(1)
    """Width of a pixel divided by its height, as displayed."""

    pixel_format: str = "rgb24"
    """FFmpeg's name of the pixel format of the frames."""

    colours: Colours = RGB
    """How the source stores colours, so that a copy can use the same."""

    live: bool = False
    """Whether frames arrive in real time (a camera) rather than on request (a file)."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "source", without_credentials(self.source))
        check_frame_size(self.source, self.width, self.height)


@dataclass(eq=False, repr=False)
class Frame:
    """One image of a video and its position.

    The receiver of a frame owns it and may draw on its image: a source never yields memory that it will reuse.
    """

    index: int
    """Index in the source, from 0."""

    pts: int
    """The frame's own timestamp, in ticks of `time_base`; greater than that of the frame before."""

    time_base: Fraction
    """Seconds per tick."""

    image: Image
    """The image as displayed: rotation applied. Planes if the source stores planes, RGB otherwise."""

    duration: int = 0
    """Ticks for which the frame is shown; 0 if unknown."""

    arrived: float | None = None
    """Arrival time, by `time.monotonic`; None unless the source is live."""

    pixel_aspect: Fraction = Fraction(1)
    """Width of a pixel divided by its height, as displayed."""

    detections: Detections | None = None
    """Detections known in advance, as in the replay of a log; None if they are yet to be made."""

    propagated: bool = False
    """Whether its boxes are propagated from an earlier frame because no detector was run on this one."""

    @property
    def picture(self) -> Picture:
        """The image in RGB, read-only by convention: draw on `image`, or on the result of `to_rgb`."""
        return self.image.rgb if isinstance(self.image, Planes) else self.image

    def to_rgb(self) -> Picture:
        """Convert the image to RGB, which may be changed."""
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
    """A period in which a live source delivered nothing."""

    after_frame: int
    """Index of the last frame before it; -1 if there was none."""

    time: float
    """The timestamp of that frame in seconds."""

    seconds: float
    """Seconds until the source was back, or the run ended."""

    reason: str


class Source(Protocol):
    """Yields frames in order of time.

    Iterating raises `StreamError` after the last frame if the source broke off before its end; the frames before it are
    valid. The next frame, or an error, must come within seconds even when the other side has gone silent, so that a run
    can always be ended. Classes that derive from this protocol inherit defaults for a source that ends by itself and
    has no gaps.
    """

    @property
    def notes(self) -> Sequence[str]:
        """Notes for the user about the frames yielded so far, one line each."""
        return ()

    def __iter__(self) -> Iterator[Frame]:
        """Iterate over the frames, once."""
        ...

    def stop(self) -> None:
        """End the iteration soon; called from another thread than the iterating one."""
        return

    def take_gaps(self) -> Sequence[Gap]:
        """Return the interruptions that ended, or were cut short by `stop`, since the last call."""
        return ()


class OpenedSource(Source, Protocol):
    """A source that is open within its `with` block."""

    info: VideoInfo
    """The description of its frames."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class OpenedVideo(OpenedSource, Protocol):
    """A source that ends by itself: a video file, a folder of images, an animation."""

    files: Sequence[str]
    """The files that are read, which must not be overwritten."""

    audio_from: str | None
    """The video whose audio and subtitles are copied; None if there is none."""


Detect = Callable[[Frame], Detections]
"""Detects the objects in a frame; may set `Frame.propagated`."""


class Sink(ABC):
    """Takes frames with their detections, in order, and writes or shows them.

    Leaving its `with` block finishes the output. Left through an exception, a sink keeps its output if
    `Ending.of(exception).keeps_output`, and otherwise leaves nothing under the final name.
    """

    main_thread: ClassVar[bool] = False
    """Whether `write` must be called from the main thread, as windows require."""

    stage: ClassVar[str] = "write"
    """The name of the stage for the time that `write` takes."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        """Notes for the user about the result, one line each; complete when the sink is closed."""

    def __enter__(self) -> Self:
        return self

    @abstractmethod
    def write(self, frame: Frame, detections: Detections) -> None:
        """Write the next frame, which must not be modified."""

    def on_gap(self, gap: Gap) -> None:
        """Record an interruption of the source; called after the last frame before it."""
        return

    @abstractmethod
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
