"""Run frames from a source through a detector to sinks, in order, with the three stages overlapping.

Three threads, joined by two short pipes, so that memory does not grow with the video:

    reader thread            main thread              writer thread
    frames of the source  →  detect                →  annotate, then every sink

The main thread may hand frames to several `workers`: on a CPU small networks run faster with one frame per core than
with all cores on one frame.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from math import inf
from threading import Event, Thread
from time import monotonic
from typing import Literal, Protocol

from convert.text import without_credentials
from detector.detections import Detections
from detector.errors import StreamError
from detector.pipeline.pipe import Pipe
from detector.profiling import Stage, Stopwatch
from detector.video.frames import Detect, Frame, Gap, Sink, Source
from detector.video.status import RunStatus, Stopped

_PIPE_FRAMES = 3
_WAKE_SECONDS = 1.0

_LEAVE_SECONDS = 1.0
"""How long a run that has ended waits for its source: a silent server is left to the reader thread."""

Annotate = Callable[[Frame, Detections], object]


class Progress(Protocol):
    """The members of a tqdm bar that the loop uses."""

    def update(self, n: int = 1, /) -> object:
        """Count `n` more frames."""
        ...


@dataclass(frozen=True)
class RunResult:
    """The result of a run."""

    frames: int
    """Number of frames that every sink has processed."""

    boxes: int
    """Boxes in them."""

    seconds: float
    """Seconds from the first step to the last file closed."""

    status: RunStatus
    """How it ended; never `FAILED`, which is raised instead."""

    dropped: int = 0
    """Number of frames of a live source that were dropped in favour of newer ones."""

    workers: int = 1
    """Number of frames that were processed concurrently."""

    received: int = 0
    """Number of frames received from the source: processed or dropped."""

    stages: Mapping[str, float] = field(default_factory=dict)
    """Total seconds of each stage; stages of different threads overlap."""

    notes: tuple[str, ...] = ()
    """Notes for the user: those of source and sinks, and why the source broke off if it did."""

    kept_earlier: bool = False
    """Whether the outputs are still those of an earlier run, because this one was interrupted before it could replace
    them."""

    @property
    def frames_per_second(self) -> float:
        """Frames processed per second."""
        return self.frames / self.seconds if self.seconds else 0.0


@dataclass(frozen=True)
class LoopOptions:
    """Options of a run."""

    annotate: Annotate | None = None
    """Draws on a frame's own image after detection and before any sink receives it."""

    refine: Callable[[Frame, Detections], Detections] | None = None
    """Called with every frame in order, whatever the number of workers; its result is passed on. A tracker, for
    example."""

    progress: Progress | None = None
    """Counts the finished frames."""

    stop: Callable[[], bool] = lambda: False
    """Called before each frame: whether the user has closed the window."""

    interrupted: Callable[[], bool] = lambda: False
    """Called before each frame and while waiting for one, for a loop in a thread that Ctrl-C does not reach."""

    buffer: Literal["all", "latest"] = "all"
    """`latest` drops frames if the detector is too slow, which suits a live source."""

    stopwatch: Stopwatch = field(default_factory=Stopwatch)
    """The detector's stopwatch, to which the loop adds its own stages."""

    workers: int = 1
    """Number of frames to detect in concurrently, each in its own thread; their order is kept."""


def run(source: Source, detect: Detect, sinks: Sequence[Sink] = (), options: LoopOptions | None = None) -> RunResult:
    """Detect in every frame and pass frame and detections to every sink; call it from the main thread.

    Sinks are entered in the order given and left in reverse, so a log given first also records how the rest ended.
    Ctrl-C, `stop` and a source that breaks off end the run properly: every sink is finished, undisturbed by further
    Ctrl-C, and the result's `status` says what happened. Any other exception, of the source, the detector or a sink, is
    raised after all sinks were closed with it and both threads have ended.
    """
    options = options or LoopOptions()
    started = monotonic()
    latest = options.buffer == "latest"
    frames: Pipe[Frame] = Pipe(1 if latest else _PIPE_FRAMES, latest=latest)
    reader = _Worker("frame-reader", lambda: _read(source, frames, options.stopwatch["decode"]))
    work = _Work(sinks, options, ahead=1 if latest else _PIPE_FRAMES)
    gaps: deque[Gap] = deque()
    error: BaseException | None = None
    try:
        work.open()
        reader.start()
        with closing(_detected(frames, detect, options)) as each:
            for frame, detections in each:
                gaps.extend(source.take_gaps())
                while gaps and gaps[0].after_frame < frame.index:
                    work.note_gap(gaps.popleft())
                if options.refine is not None:
                    detections = options.refine(frame, detections)
                if not work.take(frame, detections):
                    break
                if latest:
                    work.wait_for_room()  # so that the next frame is a recent one when it is written
    except BaseException as caught:  # noqa: BLE001 - it is raised below, once everything is closed
        error = caught
    waiting = frames.dropped
    frames.abandon()
    dropped = frames.dropped if latest else waiting
    source.stop()  # it may be waiting to reconnect
    for gap in (*gaps, *source.take_gaps()):
        work.note_gap(gap)
    error = work.close(error)
    # Last, because a source may take seconds to stop, and by now every file is complete.
    reader.wait(at_most_seconds=_LEAVE_SECONDS)
    status = RunStatus.of(error)
    if status is RunStatus.FAILED:
        assert error is not None
        raise error
    notes = [*source.notes, *(note for sink in sinks for note in sink.notes)]
    if isinstance(error, StreamError):
        notes.append(str(error))
    return RunResult(
        frames=work.frames,
        boxes=work.boxes,
        seconds=monotonic() - started,
        status=status,
        dropped=dropped,
        received=work.frames + dropped,
        stages=options.stopwatch.seconds,
        workers=options.workers,
        notes=tuple(map(without_credentials, notes)),
    )


def known_or(detect: Detect) -> Detect:
    """Return the detections that a frame came with, or else those of `detect`."""
    return lambda frame: detect(frame) if frame.detections is None else frame.detections


def _read(source: Source, frames: Pipe[Frame], stage: Stage) -> None:
    """The reader thread."""
    try:
        each = iter(source)
        while True:
            with stage:
                frame = next(each, None)
            if frame is None:
                break
            if not frames.put(frame):
                return
    except BaseException as error:  # noqa: BLE001 - raised again in the main thread
        frames.end(error)
    else:
        frames.end()


def _detected(frames: Pipe[Frame], detect: Detect, options: LoopOptions) -> Generator[tuple[Frame, Detections]]:
    """Yield the frames with their detections, until the user ends the run."""

    def check_interrupt() -> None:
        if options.interrupted():
            raise KeyboardInterrupt

    def wanted() -> Iterator[Frame]:
        for frame in frames.items(check_interrupt):
            if options.stop():
                raise Stopped
            yield frame

    if options.workers > 1:
        yield from _in_order(wanted(), detect, options.workers)
    else:
        for frame in wanted():
            yield frame, detect(frame)


def _in_order(frames: Iterable[Frame], detect: Detect, workers: int) -> Generator[tuple[Frame, Detections]]:
    """Yield frames with their detections, computed in several threads; raise the source's error after its frames."""
    under_way: deque[tuple[Frame, Future[Detections]]] = deque()
    broken: Exception | None = None
    each = iter(frames)
    with ThreadPoolExecutor(workers, "frame-detector") as pool:
        try:
            while broken is None or under_way:
                try:
                    while broken is None and len(under_way) <= workers:  # one more than there are threads
                        frame = next(each)
                        under_way.append((frame, pool.submit(detect, frame)))
                except Exception as error:  # noqa: BLE001 - raised below
                    broken = error
                if under_way:
                    frame, found = under_way.popleft()
                    yield frame, found.result()
        finally:
            pool.shutdown(cancel_futures=True)
    if broken is not None and not isinstance(broken, StopIteration):
        raise broken


class _Work:
    """Processes a frame after detection: annotates it, passes it to the sinks, counts it."""

    def __init__(self, sinks: Sequence[Sink], options: LoopOptions, *, ahead: int) -> None:
        self._sinks = sinks
        self._annotate = options.annotate
        self._progress = options.progress
        self._stopwatch = options.stopwatch
        self._shown: list[Sink] = []
        self._written: list[Sink] = []
        self._results: Pipe[tuple[Frame, Detections] | Gap] = Pipe(ahead)
        self._writer = _Worker("frame-writer", self._write)
        self._error: BaseException | None = None
        self.frames = 0
        self.boxes = 0

    def open(self) -> None:
        """Start the writer thread and enter the sinks."""
        self._writer.start()
        for sink in self._sinks:
            sink.__enter__()
            (self._shown if sink.main_thread else self._written).append(sink)

    def take(self, frame: Frame, detections: Detections) -> bool:
        """Pass a frame on; return False if the writer has failed."""
        if self._shown:
            # The main thread shows the frame, so boxes must be drawn first.
            self._draw(frame, detections)
            self._hand_out(self._shown, frame, detections)
        return self._results.put((frame, detections))

    def note_gap(self, gap: Gap) -> None:
        """Pass an interruption to the sinks, at its place among the frames."""
        for sink in self._shown:
            sink.on_gap(gap)
        self._results.put(gap)

    def wait_for_room(self) -> None:
        """Return when the writer has only one frame left to write."""
        self._results.wait_for_room()

    def close(self, error: BaseException | None) -> BaseException | None:
        """Wait for the writer, close the sinks, and return the error to end with."""
        self._results.end(error)
        self._writer.wait(through_interrupts=True)
        if error is not self._error:
            self._error = _worse(error, self._error)
        self._leave(self._shown)
        return self._error

    def _write(self) -> None:
        """Run in the writer thread, which also closes the sinks, because Ctrl-C does not interrupt it."""
        try:
            for item in self._results.items():
                if isinstance(item, Gap):
                    for sink in self._written:
                        sink.on_gap(item)
                    continue
                frame, detections = item
                if not self._shown:
                    self._draw(frame, detections)
                self._hand_out(self._written, frame, detections)
                self.frames += 1
                self.boxes += len(detections)
                if self._progress is not None:
                    self._progress.update(1)
        except BaseException as error:  # noqa: BLE001 - raised again in the main thread
            self._error = error
            self._results.abandon()
        self._leave(self._written)

    def _hand_out(self, sinks: Sequence[Sink], frame: Frame, detections: Detections) -> None:
        for sink in sinks:
            with self._stopwatch[sink.stage]:
                sink.write(frame, detections)

    def _leave(self, sinks: Sequence[Sink]) -> None:
        for sink in reversed(sinks):
            error = self._error
            try:
                sink.__exit__(type(error) if error else None, error, error.__traceback__ if error else None)
            except BaseException as another:  # noqa: BLE001 - the other sinks must still be told
                self._error = _worse(error, another)

    def _draw(self, frame: Frame, detections: Detections) -> None:
        if self._annotate is not None:
            with self._stopwatch["draw"]:
                self._annotate(frame, detections)


class _Worker:
    """A thread that can be awaited despite Ctrl-C, after which `Thread.join` may fail (bpo-45274)."""

    def __init__(self, name: str, work: Callable[[], None]) -> None:
        self._work = work
        self._done = Event()
        self._thread = Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def wait(self, *, through_interrupts: bool = False, at_most_seconds: float = inf) -> None:
        """Wait until the work is done, or for so long; return at once if it was never started."""
        if self._thread.ident is None:
            return
        until = monotonic() + at_most_seconds
        while not self._done.is_set():
            left = until - monotonic()
            if left <= 0:
                return
            try:
                self._done.wait(min(_WAKE_SECONDS, left))
            except KeyboardInterrupt:
                if not through_interrupts:
                    raise
        self._thread.join()

    def _run(self) -> None:
        try:
            self._work()
        finally:
            self._done.set()


def _worse(first: BaseException | None, second: BaseException | None) -> BaseException | None:
    """Return which of two errors to report: the first, unless only the second is a failure."""
    if second is None:
        return first
    if first is None or RunStatus.of(first).keeps_output:
        return second
    first.add_note(f"Then also: {second!r}")
    return first
