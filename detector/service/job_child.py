"""One video job in a process of its own: `python -m detector.service.job_child FOLDER` does or continues it.

The ordinary frame loop runs in the job's folder, with its log as the journal. Progress and the result go to standard
output as JSON, a line each. The process ends, in an orderly way, when its standard input does: with the server.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from time import monotonic, sleep
from typing import Any

from convert.files import lock_outputs
from detector.errors import OutputError, Yolo3Error
from detector.pipeline.annotate_video import VideoOptions, annotate_video
from detector.pipeline.live_tracking import TrackingOptions
from detector.pipeline.outputs import Outputs
from detector.service.job_store import LOG, VIDEO, ZONES, Job
from detector.settings import Settings
from detector.video.reading.containers import Confinement, confined
from detector.video.status import RunStatus

_REPORT_SECONDS = 0.2
_LOCK_SECONDS = 60.0
_NICE = 5
"""Requests that somebody waits for come before videos."""

_MOST_MEMORY = 8 << 30


class _Progress:
    """Reports how many frames are done."""

    def __init__(self) -> None:
        self.done = 0
        self._reported = 0.0

    def update(self, n: int = 1, /) -> None:
        """Count `n` more frames."""
        self.done += n
        now = monotonic()
        if now - self._reported >= _REPORT_SECONDS:
            self._reported = now
            report(done=self.done)


def report(**fields: Any) -> None:
    """Tell the server."""
    print(json.dumps(fields), flush=True)


@contextmanager
def _bar(total: int | None) -> Iterator[_Progress]:
    report(total=total)
    progress = _Progress()
    yield progress
    report(done=progress.done)


def run_job(job: Job) -> None:
    """Do a job, or go on with it; the current folder is the job's."""
    tracking = TrackingOptions(job.options.track, zones=Path(ZONES) if Path(ZONES).exists() else None)
    options = VideoOptions(
        source=job.upload,
        model=Path(job.model_file),
        settings=Settings(
            confidence=job.options.confidence,
            nms=job.options.nms,
            classes=job.options.classes,
        ),
        outputs=Outputs(Path(VIDEO), Path(LOG), resume=True),
        tracking=tracking,
    )
    with confined(Confinement(job.container, job.max_pixels)):
        result = annotate_video(options, bar=_bar, on_note=lambda note: None)
    report(result=result.status.value, notes=list(result.notes))


def main() -> None:
    """Do the job of the folder that the command line names."""
    _end_with_the_server()
    _limit()
    folder = Path(sys.argv[1])
    os.chdir(folder)
    try:
        job = Job.read(Path())
        with _only_process(Path("job")):
            run_job(job)
    except Yolo3Error as error:
        report(error=str(error))
    except KeyboardInterrupt:
        report(result=RunStatus.INTERRUPTED.value)


@contextmanager
def _only_process(path: Path) -> Iterator[None]:
    """Wait until the process of an earlier server has ended."""
    deadline = monotonic() + _LOCK_SECONDS
    with ExitStack() as held:
        while True:
            try:
                held.enter_context(lock_outputs(path))
                break
            except OutputError:
                if monotonic() > deadline:
                    raise
                sleep(0.2)
        yield


def _end_with_the_server() -> None:
    """Take the end of standard input, which the server holds open, for Ctrl-C."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)

    def watch() -> None:
        sys.stdin.buffer.read()
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=watch, name="server-watch", daemon=True).start()


def _limit() -> None:
    import resource

    os.nice(_NICE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        resource.setrlimit(resource.RLIMIT_AS, (_MOST_MEMORY, _MOST_MEMORY))


if __name__ == "__main__":
    main()
