"""A video or a camera through a detector: source, loop and sinks put together."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from convert.model_file import read_description
from convert.weights import sha256
from detector.detector import Detector
from detector.draw import draw, draw_caption
from detector.errors import OutputError, SettingsError
from detector.settings import Settings
from detector.video.cameras import open_camera
from detector.video.frames import Sink, VideoInfo
from detector.video.log import FrameLog, RunRecord
from detector.video.loop import Progress, Summary, run
from detector.video.sinks import VideoWriter
from detector.video.sources import VideoFile
from detector.video.window import Window

Bar = Callable[[int | None], contextlib.AbstractContextManager[Progress | None]]
"""Opens a progress bar for so many frames; None where the number is not known."""


@dataclass(frozen=True)
class Outputs:
    """What to make of a stream."""

    video: Path | None = None
    log: Path | None = None
    overwrite: bool = False


def annotate_video(source: Path, model: Path, settings: Settings, outputs: Outputs, *, bar: Bar) -> Summary:
    """Detect in every frame of a video file; the sound goes with it.

    Raises the errors of `detector.errors`; what is wrong with the files is known before the network is opened.
    """
    if outputs.video is None and outputs.log is None:
        raise SettingsError("nothing to make: name an OUT.mp4, or a frame log with --log")
    with VideoFile(source) as video:
        sinks = list(_files(video.info, model, settings, outputs, sound_from=source))
        detector = Detector.open(model, settings)
        with bar(video.info.frame_count) as progress:
            annotate = draw if outputs.video else None
            return run(video, detector.detect, sinks, annotate=annotate, progress=progress)


def watch_camera(
    camera: str,
    model: Path,
    settings: Settings,
    outputs: Outputs,
    *,
    bar: Bar,
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
        detector = Detector.open(model, settings)
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


def _files(
    info: VideoInfo, model: Path, settings: Settings, outputs: Outputs, *, sound_from: Path | None = None
) -> Iterator[Sink]:
    """The log first: it then also records how the video ended."""
    if model == outputs.video or model == outputs.log:
        raise OutputError(f"{model}: is the model; name another file for the output")
    if outputs.log:
        record = RunRecord.of(
            info,
            model=str(model),
            model_sha256=sha256(model),
            settings=settings.as_json(),
            classes=read_description(model).names,
        )
        yield FrameLog(outputs.log, record, overwrite=outputs.overwrite)
    if outputs.video:
        yield VideoWriter(outputs.video, info, sound_from=sound_from, overwrite=outputs.overwrite)
