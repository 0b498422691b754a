"""Define what a run writes, and what it must not overwrite."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path

from convert.files import is_special, same_file
from detector.errors import OutputError
from detector.logs.frame_log import STANDARD_STREAM, pending_log
from detector.pipeline.loop import Progress
from detector.video.writing.codecs import USUAL, VideoSettings

Bar = Callable[[int | None], AbstractContextManager[Progress | None]]
"""Opens a progress bar for this many frames; None if the number is unknown."""

OnNote = Callable[[str], object]
"""Called with a line for the user."""


def ignore_note(note: str) -> None:
    """Discard a note."""


@dataclass(frozen=True)
class Outputs:
    """What to write for a stream."""

    video: Path | None = None
    log: Path | None = None
    encoding: VideoSettings = USUAL
    overwrite: bool = False
    profile: bool = False
    """Whether the log's last line contains the time of each stage."""
    resume: bool = False
    """Continue an interrupted run; start a new one if there is none."""

    @property
    def paths(self) -> tuple[Path, ...]:
        """The requested output files."""
        log = None if self.log == STANDARD_STREAM else self.log
        return tuple(path for path in (self.video, log) if path)

    @property
    def replaces(self) -> bool:
        """Whether files of an earlier run are to be replaced."""
        return self.overwrite and any(path.exists() and not is_special(path) for path in self.paths)

    def numbered(self, number: int) -> Outputs:
        """Return the outputs of one of several sources: `OUT.mp4` becomes `OUT-1.mp4`."""

        def name(path: Path | None) -> Path | None:
            return path if path == STANDARD_STREAM else path and path.with_name(f"{path.stem}-{number}{path.suffix}")

        return replace(self, video=name(self.video), log=name(self.log))

    def refuse_model(self, model: Path) -> None:
        """Raise `OutputError` if an output is the model, or one file is both video and log."""
        for path in self.paths:
            if same_file(path, model):
                raise OutputError(f"{path}: is the model; name another file for the output")
        if self.video and self.log and same_file(self.video, self.log):
            raise OutputError(f"{self.log}: is the video too; name another file for the log")

    def refuse_existing(self, source: str | Path) -> None:
        """Raise `OutputError` if an output exists and is neither to be replaced nor resumed."""
        if self.overwrite or self.resume:
            return
        for path in self.paths:
            if path.is_file() and not same_file(path, source):
                raise OutputError(
                    f"{path}: exists already; move it away, pass --overwrite, or --resume to continue an "
                    "interrupted run"
                )
            if path == self.log and pending_log(path).exists():
                raise OutputError(
                    f"{pending_log(path)}: was left by an unfinished run; continue that run with --resume, or delete "
                    "it with --overwrite"
                )
