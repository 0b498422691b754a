"""The frame loop: frames from a source, through a detector, to sinks, in order and overlapped.

Three threads, joined by two short pipes, so that memory does not grow with the video:

    reader thread            main thread              writer thread
    frames of the source  →  detect                →  annotate, then every sink

The main thread may share detecting out among several others (`workers`), a frame each: on a processor small networks
leave less undone that way than with all cores on one frame.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from threading import Event, Thread
from time import monotonic
from typing import Literal, Protocol

from detector.detections import Detections
from detector.errors import StreamError
from detector.pipeline.pipe import Pipe
from detector.profiling import Stage, Stopwatch
from detector.video.frames import Frame, Image, Sink, Source
from detector.video.status import RunStatus, Stopped

_PIPE_FRAMES = 3
_WAKE_SECONDS = 1.0

Detect = Callable[[Image], Detections]
Annotate = Callable[[Frame, Detections], object]


class Progress(Protocol):
    """What the loop needs of a tqdm bar."""

    def update(self, n: int = 1, /) -> object:
        """Count `n` more frames done."""
        ...


@dataclass(frozen=True)
class RunResult:
    """What a run did."""

    frames: int
    """Frames that every sink has taken."""

    boxes: int
    """Boxes in them."""

    seconds: float
    """From the first step to the last file closed."""

    status: RunStatus
    """How it ended; never `FAILED`, which is raised instead."""

    dropped: int = 0
    """Frames of a live source that gave way to newer ones."""

    workers: int = 1
    """Threads that detected, each in a frame of its own."""

    received: int = 0
    """Frames that came from the source: done or dropped."""

    stages: Mapping[str, float] = field(default_factory=dict)
    """Seconds that each stage took, summed over the frames; the stages of different threads overlap."""

    notes: tuple[str, ...] = ()
    """What the user should know, a line each: what source and sinks noted, and why the source broke off if it did."""

    @property
    def frames_per_second(self) -> float:
        """Frames done per second, all stages together."""
        return self.frames / self.seconds if self.seconds else 0.0


def run(
    source: Source,
    detect: Detect,
    sinks: Sequence[Sink] = (),
    *,
    annotate: Annotate | None = None,
    progress: Progress | None = None,
    stop: Callable[[], bool] | None = None,
    buffer: Literal["all", "latest"] = "all",
    interrupted: Callable[[], bool] = lambda: False,
    stopwatch: Stopwatch | None = None,
    workers: int = 1,
) -> RunResult:
    """Detect in every frame and hand frame and detections to every sink; call it from the main thread.

    `annotate` draws on the frame's own image once it has been detected in, before any sink sees it. `stop` is asked
    before each frame, and so is `interrupted`, for a loop in a thread that Ctrl-C does not reach. `buffer="latest"`
    drops frames that the detector is too slow for, which suits a live source. `stopwatch` is the detector's, if it has
    one: the loop adds its own stages. With several `workers` as many frames are detected in at a time, in threads of
    their own; their order stays. Sinks are entered in the order given and left in reverse, so a log given first also
    records how the rest ended.

    Ctrl-C, `stop` and a source that breaks off end the run properly: every sink is finished, which further Ctrl-C do
    not disturb, and the summary's `status` says what happened. Any other exception, of the source, the detector or a
    sink, reaches the caller after all sinks were told of it and both threads have ended.
    """
    started = monotonic()
    frames: Pipe[Frame] = Pipe(1 if buffer == "latest" else _PIPE_FRAMES, latest=buffer == "latest")
    stopwatch = stopwatch or Stopwatch()
    reader = _Worker("frame-reader", lambda: _read(source, frames, stopwatch["decode"]))
    work = _Work(sinks, annotate, progress, stopwatch, ahead=1 if buffer == "latest" else _PIPE_FRAMES)
    error: BaseException | None = None
    try:
        work.open()
        reader.start()
        wanted = _until(frames, stop, interrupted)
        each = _in_order(wanted, detect, workers) if workers > 1 else ((frame, detect(frame.image)) for frame in wanted)
        with closing(each):
            for frame, detections in each:
                if not work.take(frame, detections):
                    break
                if buffer == "latest":
                    work.wait_for_room()  # so that the frame taken next is new when it is written
    except BaseException as caught:  # noqa: BLE001 - it is raised below, once everything is closed
        error = caught
    waiting = frames.dropped
    frames.abandon()
    dropped = frames.dropped if buffer == "latest" else waiting
    hush = getattr(source, "stop", None)
    if hush is not None:
        hush()  # it may be waiting to try again
    error = work.close(error)
    # Only now: a source may take seconds to notice, and by now every file is whole.
    reader.wait()
    status = RunStatus.of(error)
    if status is RunStatus.FAILED:
        assert error is not None
        raise error
    notes = [*getattr(source, "notes", ()), *(note for sink in sinks for note in sink.notes)]
    if isinstance(error, StreamError):
        notes.append(str(error))
    return RunResult(
        frames=work.frames,
        boxes=work.boxes,
        seconds=monotonic() - started,
        status=status,
        dropped=dropped,
        received=work.frames + dropped,
        stages=stopwatch.seconds,
        workers=workers,
        notes=tuple(notes),
    )


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


def _until(
    frames: Iterable[Frame], stop: Callable[[], bool] | None, interrupted: Callable[[], bool]
) -> Iterator[Frame]:
    """The frames until somebody has had enough."""
    for frame in frames:
        if stop is not None and stop():
            raise Stopped
        if interrupted():
            raise KeyboardInterrupt
        yield frame


def _in_order(frames: Iterable[Frame], detect: Detect, workers: int) -> Generator[tuple[Frame, Detections]]:
    """Frames with their detections, made in several threads; an error of the source comes after the frames before."""
    under_way: deque[tuple[Frame, Future[Detections]]] = deque()
    broken: Exception | None = None
    each = iter(frames)
    with ThreadPoolExecutor(workers, "frame-detector") as pool:
        try:
            while broken is None or under_way:
                try:
                    while broken is None and len(under_way) <= workers:  # one more than at work, so that none waits
                        frame = next(each)
                        under_way.append((frame, pool.submit(detect, frame.image)))
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
    """What happens to a frame once it was detected in: annotate, the sinks, the tally."""

    def __init__(
        self,
        sinks: Sequence[Sink],
        annotate: Annotate | None,
        progress: Progress | None,
        stopwatch: Stopwatch,
        *,
        ahead: int,
    ) -> None:
        self._sinks = sinks
        self._annotate = annotate
        self._progress = progress
        self._stopwatch = stopwatch
        self._shown: list[Sink] = []
        self._written: list[Sink] = []
        self._results: Pipe[tuple[Frame, Detections]] = Pipe(ahead)
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
        """Pass a frame on; False if the writer has failed."""
        if self._shown:
            # What the main thread shows must be drawn by then.
            self._draw(frame, detections)
            self._hand_out(self._shown, frame, detections)
        return self._results.put((frame, detections))

    def wait_for_room(self) -> None:
        """Return when the writer has no more before it than the frame at hand."""
        self._results.wait_for_room()

    def close(self, error: BaseException | None) -> BaseException | None:
        """Let the writer finish, leave the sinks, and return the error to end with."""
        self._results.end(error)
        self._writer.wait(through_interrupts=True)
        if error is not self._error:
            self._error = _worse(error, self._error)
        self._leave(self._shown)
        return self._error

    def _write(self) -> None:
        """The writer thread; it also leaves the sinks, as Ctrl-C does not reach it in the middle of that."""
        try:
            for frame, detections in self._results:
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
    """A thread that can be waited for through Ctrl-C, after which `Thread.join` may no longer know it (bpo-45274)."""

    def __init__(self, name: str, work: Callable[[], None]) -> None:
        self._work = work
        self._done = Event()
        self._thread = Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def wait(self, *, through_interrupts: bool = False) -> None:
        """Return when the work is done, at once if it never began."""
        if self._thread.ident is None:
            return
        while not self._done.is_set():
            try:
                self._done.wait(_WAKE_SECONDS)
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
    """The error to report of two: the earlier, unless only the later is a failure."""
    if second is None:
        return first
    if first is None or RunStatus.of(first).keeps_output:
        return second
    first.add_note(f"Then also: {second!r}")
    return first
