"""Write the frames of a video as image files, under the names that the exports of its log use."""

from __future__ import annotations

import re
from pathlib import Path
from types import TracebackType

from convert.folders import replacing_folder
from detector.detections import Detections
from detector.errors import SettingsError
from detector.images.reading import write_picture
from detector.logs.exports import frame_name
from detector.logs.replay import LogIndex, LogReplay
from detector.pipeline.loop import LoopOptions, RunResult, known_or, run
from detector.pipeline.outputs import Bar
from detector.pipeline.redraw import open_logged
from detector.video.frames import Frame, Sink

SUFFIX = ".jpg"


class FrameFiles(Sink):
    """Writes one of `every` frames to a folder, if the log has a line for it."""

    def __init__(self, folder: Path, *, every: int = 1) -> None:
        super().__init__()
        self._folder = folder
        self._every = every
        self.count = 0

    def write(self, frame: Frame, detections: Detections) -> None:
        """Write the frame unchanged, without boxes."""
        if frame.detections is None or frame.index % self._every:
            return
        write_picture(self._folder / frame_name(frame.index, SUFFIX), frame.picture)
        self.count += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass


def write_frames(
    source: Path, log: Path, folder: Path, *, bar: Bar, every: int = 1, overwrite: bool = False
) -> tuple[RunResult, int]:
    """Write the images that an export of the log names, and return how many; `every` as in `ExportChoice`.

    The folder appears when all are written; after Ctrl-C it contains those written so far. Raise the errors of
    `detector.errors`, such as `LogError` if the log is of another video.
    """
    if every < 1:
        raise SettingsError(f"every {every} is out of range; expected 1 or more")
    logged = LogIndex(log)
    with (
        replacing_folder(folder, overwrite=overwrite, is_ours=_is_frame) as fresh,
        open_logged(source, logged) as video,
    ):
        sink = FrameFiles(fresh, every=every)
        nothing = Detections.empty(logged.run.classes)
        with bar(video.info.frame_count) as progress:
            options = LoopOptions(progress=progress)
            result = run(LogReplay(video, logged), known_or(lambda frame: nothing), [sink], options)
    return result, sink.count


def _is_frame(name: str) -> bool:
    return re.fullmatch(r"frame_\d{6,}\.jpg", name) is not None
