"""A video or a camera through a detector: source, loop and sinks put together."""

from __future__ import annotations

import contextlib
import functools
import signal
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from threading import Event, Lock, Thread, current_thread, main_thread
from time import monotonic
from typing import Literal, Protocol, cast

from convert.files import file_sha256, lock_outputs, same_file
from convert.model_file import read_description
from detector.detections import Detections
from detector.detector import Detector
from detector.drawing.boxes import draw, draw_caption
from detector.engines import available_cores
from detector.errors import CameraError, OutputError, SettingsError, Yolo3Error
from detector.logs.frame_log import FrameLog, RunRecord
from detector.pipeline.loop import Detect, Progress, RunResult, run
from detector.pipeline.resume import Onward, Progressed, find_progress, journal_path, last_looked_into, replayed
from detector.profiling import Stopwatch
from detector.settings import Settings
from detector.tracking.frame_skipping import EACH_FRAME, FrameSkipping, FrameSkippingDetector, Watched
from detector.video.frames import Frame, Image, Sink, Source, VideoInfo
from detector.video.reading.cameras import TIMEOUT_SECONDS, open_camera
from detector.video.reading.opening import OpenedVideo, open_video
from detector.video.reading.reconnecting import LiveStream
from detector.video.reading.video_file import VideoFile
from detector.video.section import WHOLE, Section
from detector.video.status import RunStatus
from detector.video.writing.codecs import USUAL, VideoSettings
from detector.video.writing.video_writer import VideoWriter
from detector.video.writing.window import Window

Bar = Callable[[int | None], contextlib.AbstractContextManager[Progress | None]]
"""Opens a progress bar for so many frames; None where the number is not known."""

Tell = Callable[[str], None]

_LARGEST_SHARED_OUT = 64 << 20
_MOST_WORKERS = 4


def _ignore_note(note: str) -> None:
    """Hears the notes that nobody asked for."""


class Finder(Protocol):
    """What is used of a `Detector`."""

    def detect(self, picture: Image, /, *, pixel_aspect: float = 1.0) -> Detections:
        """Find objects in a picture whose pixels are so many times as wide as high."""
        ...


@dataclass(frozen=True)
class Outputs:
    """What to make of a stream."""

    video: Path | None = None
    log: Path | None = None
    encoding: VideoSettings = USUAL
    overwrite: bool = False
    profile: bool = False
    """Whether the log's last line says how long each stage took."""
    resume: bool = False
    """Go on where a run that was broken off left these files; from the start where there is none."""


def annotate_video(
    source: str | Path,
    model: Path,
    settings: Settings,
    outputs: Outputs,
    *,
    bar: Bar,
    sparse: FrameSkipping = EACH_FRAME,
    section: Section = WHOLE,
    fps: Fraction | None = None,
    on_note: Tell = _ignore_note,
    open_detector: Callable[[Path, Settings], Finder] | None = None,
) -> RunResult:
    """Detect in every frame of a video, or in those that `sparse` says; its sound and subtitles go with it.

    `source` may be a folder or glob of pictures too, shown at `fps`, or an animation (see `open_video`). `on_note` gets
    the notes of `Detector.open`, and with `sparse` how many frames were looked into. Raises the errors of
    `detector.errors`; what is wrong with the files is known before the network is opened.
    """
    if outputs.video is None and outputs.log is None:
        raise SettingsError("nothing to make: name an OUT.mp4, or a frame log with --log")
    if outputs.overwrite and outputs.resume:
        raise SettingsError("--overwrite starts anew, --resume goes on; choose one")
    journal = outputs.log or journal_path(cast(Path, outputs.video))
    darknet = settings.interpolation == "darknet"
    opened = open_video(source, section=section, fps=fps, as_darknet=darknet)
    with opened as video, lock_outputs(*(path for path in (outputs.video, outputs.log) if path)):
        _refuse_model(model, outputs)
        _refuse_existing(source, outputs)
        record = _record(video.info, model, settings, sparse)
        record = replace(record, settings={**record.settings, **section.as_json()})
        done = find_progress(outputs.video, journal, record) if outputs.resume else Progressed()
        if done.complete:
            note = f"{outputs.video or outputs.log}: is complete already"
            return RunResult(frames=0, boxes=0, seconds=0.0, status=RunStatus.COMPLETE, notes=(note,))
        overwrite = outputs.overwrite or outputs.resume
        stopwatch = Stopwatch()
        frame_log = FrameLog(
            journal,
            record,
            overwrite=overwrite,
            inputs=[model, *video.files],
            goes_on_from=done.journal,
            stopwatch=stopwatch if outputs.profile else None,
        )
        sinks: list[Sink] = [frame_log]
        if outputs.video:
            writer = VideoWriter(
                outputs.video,
                video.info,
                sound_from=video.sound_from,
                settings=outputs.encoding,
                overwrite=overwrite,
                resumable=True,
                kept=done.parts,
            )
            sinks.append(writer)
        workers = 1 if open_detector or done.frames or not sparse.everything else workers_for(model, settings)
        detector: Finder = (
            open_detector(model, settings)
            if open_detector
            else Detector.open(model, settings, on_note=on_note, stopwatch=stopwatch, workers=workers)
        )
        if isinstance(detector, Detector):
            workers = detector.workers
            detector.prepare(video.info.width, video.info.height)
        with bar(video.info.frame_count) as progress, done.found(journal) as found:
            if progress is not None and done.frames:
                progress.update(done.frames)
            whole = as_displayed(detector, video.info.pixel_aspect)
            frames, detect = _sparsely(video, whole, sparse, done, journal, record.classes)
            summary = run(
                Onward(frames, done.frames),
                replayed(found, detect, record.classes),
                sinks,
                annotate=draw_boxes if outputs.video else None,
                progress=progress,
                stopwatch=stopwatch,
                workers=workers,
            )
    if journal != outputs.log:
        journal.unlink(missing_ok=True)
    if isinstance(detect, FrameSkippingDetector):
        on_note(detect.note)
    if done.frames:
        summary = replace(summary, notes=(f"continued at frame {done.frames}", *summary.notes))
    return summary


def as_displayed(detector: Finder, pixel_aspect: Fraction) -> Callable[[Image], Detections]:
    """`detector.detect` that sees a picture in the shape in which a player shows it: its pixels are not all square."""
    if pixel_aspect == 1:
        return detector.detect
    return functools.partial(detector.detect, pixel_aspect=float(pixel_aspect))


def watch_camera(
    camera: str,
    model: Path,
    settings: Settings,
    outputs: Outputs,
    *,
    bar: Bar,
    on_note: Tell = _ignore_note,
    window: bool = True,
    buffer: Literal["latest", "all"] = "latest",
    timeout_seconds: float = TIMEOUT_SECONDS,
    sparse: FrameSkipping = EACH_FRAME,
) -> RunResult:
    """Detect in a live source until it ends, is closed or interrupted.

    `camera` is an index, an address, or a video file played at its own pace. Frames that come while the detector is
    busy give way to newer ones, unless `buffer` is `all`. A lost stream is opened again, with a note.
    Raises `CameraError` that says why a camera does not open.
    """
    screen = Window(f"yolo3: {camera}", caption=draw_caption) if window else None
    stopwatch = Stopwatch()
    with open_camera(camera, timeout_seconds=timeout_seconds) as source:
        sinks = _live_files(source, model, settings, outputs, on_note, sparse, stopwatch)
        if screen:
            sinks.append(screen)
        detect: Detect = Detector.open(model, settings, on_note=on_note, stopwatch=stopwatch).detect
        with bar(None) as progress:
            return run(
                source,
                detect if sparse.everything else FrameSkippingDetector(detect, sparse, monotonic),
                sinks,
                annotate=draw_boxes if screen or outputs.video else None,
                progress=progress,
                stop=(lambda: screen.closed) if screen else None,
                buffer=buffer,
                stopwatch=stopwatch,
            )


def watch_cameras(
    cameras: Sequence[str],
    model: Path,
    settings: Settings,
    outputs: Outputs,
    *,
    bar: Bar,
    buffer: Literal["latest", "all"] = "latest",
    timeout_seconds: float = TIMEOUT_SECONDS,
    on_note: Callable[[str], object],
    sparse: FrameSkipping = EACH_FRAME,
    open_detector: Callable[[Path, Settings], Finder] = Detector.open,
) -> list[RunResult | Yolo3Error]:
    """Detect in several live sources at once with one detector, until all have ended or Ctrl-C.

    The outputs of the first are `OUT-1.mp4` and so on. What goes wrong with one is its answer, and the others go on.
    """
    detector = open_detector(model, settings)
    turn = Lock()

    def detect(picture: Image) -> Detections:
        with turn:
            return detector.detect(picture)

    answers: list[RunResult | Yolo3Error] = [CameraError(f"{camera}: was not opened") for camera in cameras]
    sources: list[LiveStream | VideoFile] = []
    done = [Event() for _ in cameras]
    pressed: list[int] = []

    def watch(number: int) -> None:
        try:
            with open_camera(cameras[number], timeout_seconds=timeout_seconds) as source:
                sources.append(source)
                if pressed:
                    return
                sinks = _live_files(source, model, settings, numbered(outputs, number + 1), on_note, sparse)
                with bar(None) as progress:
                    answers[number] = run(
                        source,
                        detect if sparse.everything else FrameSkippingDetector(detect, sparse, monotonic),
                        sinks,
                        annotate=draw_boxes if outputs.video else None,
                        progress=progress,
                        buffer=buffer,
                        interrupted=lambda: bool(pressed),
                    )
        except Yolo3Error as error:
            answers[number] = error
            on_note(str(error))
        finally:
            done[number].set()

    threads = [Thread(target=watch, args=(number,), name=f"camera-{number + 1}") for number in range(len(cameras))]
    with _signals_noted(pressed):
        for thread in threads:
            thread.start()
        while not all(event.wait(0.2) for event in done):
            for source in list(sources) if pressed else ():
                if isinstance(source, LiveStream):
                    source.stop(KeyboardInterrupt())
    for thread in threads:
        thread.join()
    return answers


@contextlib.contextmanager
def _signals_noted(pressed: list[int]) -> Iterator[None]:
    """Let Ctrl-C, as often as it comes, and a polite kill be noted in a list rather than raised wherever we are."""
    before = {}
    if current_thread() is main_thread():  # no other is told of signals
        for number in (signal.SIGINT, signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGINT)):
            if signal.getsignal(number) is signal.default_int_handler:
                before[number] = signal.signal(number, lambda number, _: pressed.append(number))
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def workers_for(model: Path, settings: Settings) -> int:
    """How many frames of a video to detect in at a time: small networks are quicker with one on each core.

    A lane holds the weights anew, and large networks keep all cores busy with one frame.
    """
    if settings.engine not in ("auto", "litert") or model.stat().st_size > _LARGEST_SHARED_OUT:
        return 1
    return min(settings.threads or available_cores(), _MOST_WORKERS)


def draw_boxes(frame: Frame, detections: Detections) -> None:
    """Draw boxes and their labels onto a frame."""
    draw(frame.image, detections)


def numbered(outputs: Outputs, number: int) -> Outputs:
    """The outputs of one of several sources: `OUT.mp4` becomes `OUT-1.mp4`."""

    def name(path: Path | None) -> Path | None:
        return path and path.with_name(f"{path.stem}-{number}{path.suffix}")

    return replace(outputs, video=name(outputs.video), log=name(outputs.log))


def _sparsely(
    video: OpenedVideo, detect: Detect, sparse: FrameSkipping, done: Progressed, journal: Path, names: tuple[str, ...]
) -> tuple[Source, Detect]:
    """The video, and what is asked about each of its frames that the journal does not hold."""
    if sparse.everything:
        return video, detect
    times: deque[float] = deque()
    looks = FrameSkippingDetector(detect, sparse, times.popleft, names)
    if done.journal is None:
        return Watched(video, looks, times), looks
    return Watched(video, looks, times, first=done.journal.frames, last=last_looked_into(journal)), looks


def _live_files(
    source: LiveStream | VideoFile,
    model: Path,
    settings: Settings,
    outputs: Outputs,
    on_note: Callable[[str], object] | None,
    sparse: FrameSkipping,
    stopwatch: Stopwatch | None = None,
) -> list[Sink]:
    sinks = list(_files(source.info, model, settings, outputs, sparse, stopwatch))
    if isinstance(source, LiveStream):
        source.on_note = on_note
        if sinks and isinstance(sinks[0], FrameLog):
            source.on_gap = sinks[0].gap
    return sinks


def _files(
    info: VideoInfo,
    model: Path,
    settings: Settings,
    outputs: Outputs,
    sparse: FrameSkipping,
    stopwatch: Stopwatch | None,
) -> Iterator[Sink]:
    """The log first: it then also records how the video ended."""
    _refuse_model(model, outputs)
    if outputs.log:
        yield FrameLog(
            outputs.log,
            _record(info, model, settings, sparse),
            overwrite=outputs.overwrite,
            stopwatch=stopwatch if outputs.profile else None,
        )
    if outputs.video:
        yield VideoWriter(outputs.video, info, settings=outputs.encoding, overwrite=outputs.overwrite)


def _refuse_model(model: Path, outputs: Outputs) -> None:
    named = [path for path in (outputs.video, outputs.log) if path]
    for path in named:
        if same_file(path, model):
            raise OutputError(f"{path}: is the model; name another file for the output")
    if len(named) == 2 and same_file(*named):
        raise OutputError(f"{outputs.log}: is the video too; name another file for the log")


def _refuse_existing(source: str | Path, outputs: Outputs) -> None:
    """Unlike other outputs, these can be gone on with."""
    for path in (outputs.video, outputs.log):
        if path and path.is_file() and not same_file(path, Path(source)) and not (outputs.overwrite or outputs.resume):
            raise OutputError(
                f"{path}: exists already; move it away, pass --overwrite, or --resume to go on where a run broke off"
            )


def _record(info: VideoInfo, model: Path, settings: Settings, sparse: FrameSkipping) -> RunRecord:
    names = read_description(model).names  # first, as it says in words what is wrong with a model
    return RunRecord.of(
        info,
        model=str(model),
        model_sha256=file_sha256(model),
        settings={**settings.as_json(), **sparse.as_json()},
        classes=names,
    )
