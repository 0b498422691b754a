"""A video or a camera through a detector: source, loop and sinks put together."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, Protocol, cast

from convert.model_file import read_description
from convert.weights import sha256
from detector.detections import Detections
from detector.detector import Detector
from detector.draw import draw, draw_caption
from detector.errors import OutputError, SettingsError
from detector.settings import Settings
from detector.video.cameras import open_camera
from detector.video.endings import Ending
from detector.video.frames import Picture, Sink, VideoInfo
from detector.video.log import FrameLog, RunRecord
from detector.video.loop import Progress, Summary, run
from detector.video.outputs import held, same_file
from detector.video.resume import Onward, Progressed, find_progress, journal_path, replayed
from detector.video.sinks import VideoWriter
from detector.video.sources import VideoFile
from detector.video.window import Window

Bar = Callable[[int | None], contextlib.AbstractContextManager[Progress | None]]
"""Opens a progress bar for so many frames; None where the number is not known."""

Tell = Callable[[str], None]


def _nobody(note: str) -> None:
    """Hears the notes that nobody asked for."""


class Finder(Protocol):
    """What is used of a `Detector`."""

    def detect(self, picture: Picture, /) -> Detections:
        """Find objects in a picture."""
        ...


@dataclass(frozen=True)
class Outputs:
    """What to make of a stream."""

    video: Path | None = None
    log: Path | None = None
    overwrite: bool = False
    resume: bool = False
    """Go on where a run that was broken off left these files; from the start where there is none."""


def annotate_video(
    source: str | Path,
    model: Path,
    settings: Settings,
    outputs: Outputs,
    *,
    bar: Bar,
    tell: Tell = _nobody,
    open_detector: Callable[[Path, Settings], Finder] | None = None,
) -> Summary:
    """Detect in every frame of a video file; the sound goes with it. `tell` gets the notes of `Detector.open`.

    Raises the errors of `detector.errors`; what is wrong with the files is known before the network is opened.
    """
    if outputs.video is None and outputs.log is None:
        raise SettingsError("nothing to make: name an OUT.mp4, or a frame log with --log")
    if outputs.overwrite and outputs.resume:
        raise SettingsError("--overwrite starts anew, --resume goes on; choose one")
    journal = outputs.log or journal_path(cast(Path, outputs.video))
    with VideoFile(source) as video, held(*(path for path in (outputs.video, outputs.log) if path)):
        _refuse_model(model, outputs)
        record = _record(video.info, model, settings)
        done = find_progress(outputs.video, journal, record) if outputs.resume else Progressed()
        if done.complete:
            note = f"{outputs.video or outputs.log}: is complete already"
            return Summary(frames=0, boxes=0, seconds=0.0, status=Ending.COMPLETE, notes=(note,))
        overwrite = outputs.overwrite or outputs.resume
        sinks: list[Sink] = [FrameLog(journal, record, overwrite=overwrite, inputs=[model], goes_on_from=done.journal)]
        if outputs.video:
            writer = VideoWriter(
                outputs.video, video.info, sound_from=source, overwrite=overwrite, resumable=True, kept=done.parts
            )
            sinks.append(writer)
        detector: Finder = (
            open_detector(model, settings) if open_detector else Detector.open(model, settings, tell=tell)
        )
        with bar(video.info.frame_count) as progress, done.found(journal) as found:
            if progress is not None and done.frames:
                progress.update(done.frames)
            summary = run(
                Onward(video, done.frames),
                replayed(found, detector.detect, record.classes),
                sinks,
                annotate=draw if outputs.video else None,
                progress=progress,
            )
    if journal != outputs.log:
        journal.unlink(missing_ok=True)
    if done.frames:
        summary = replace(summary, notes=(f"continued at frame {done.frames}", *summary.notes))
    return summary


def watch_camera(
    camera: str,
    model: Path,
    settings: Settings,
    outputs: Outputs,
    *,
    bar: Bar,
    tell: Tell = _nobody,
    window: bool = True,
    buffer: Literal["latest", "all"] = "latest",
) -> Summary:
    """Detect in a live source until it ends, is closed or interrupted.

    `camera` is an index, an address, or a video file played at its own pace. Frames that come while the detector is
    busy give way to newer ones, unless `buffer` is `all`. Raises `CameraError` that says why a camera does not open.
    """
    screen = Window(f"yolo3: {camera}", caption=draw_caption) if window else None
    with open_camera(camera) as source:
        sinks: list[Sink] = list(_files(source.info, model, settings, outputs))
        if screen:
            sinks.append(screen)
        detector = Detector.open(model, settings, tell=tell)
        with bar(None) as progress:
            return run(
                source,
                detector.detect,
                sinks,
                annotate=draw if screen or outputs.video else None,
                progress=progress,
                stop=(lambda: screen.closed) if screen else None,
                buffer=buffer,
            )


def _files(info: VideoInfo, model: Path, settings: Settings, outputs: Outputs) -> Iterator[Sink]:
    """The log first: it then also records how the video ended."""
    _refuse_model(model, outputs)
    if outputs.log:
        yield FrameLog(outputs.log, _record(info, model, settings), overwrite=outputs.overwrite)
    if outputs.video:
        yield VideoWriter(outputs.video, info, overwrite=outputs.overwrite)


def _refuse_model(model: Path, outputs: Outputs) -> None:
    named = [path for path in (outputs.video, outputs.log) if path]
    for path in named:
        if same_file(path, model):
            raise OutputError(f"{path}: is the model; name another file for the output")
    if len(named) == 2 and same_file(*named):
        raise OutputError(f"{outputs.log}: is the video too; name another file for the log")


def _record(info: VideoInfo, model: Path, settings: Settings) -> RunRecord:
    names = read_description(model).names  # first, as it says in words what is wrong with a model
    return RunRecord.of(
        info,
        model=str(model),
        model_sha256=sha256(model),
        settings=settings.as_json(),
        classes=names,
    )
