"""Runs the command many times a second: a process that has imported everything forks one child for each run.

    python -m benchmarks.torture.fork_server < jobs > endings

Jobs and endings are lines of JSON (`Job`, `Ending`). A child is a process like any other: it can be killed, may have
few file descriptors, and its disk may fill up (`full_disk.c`, preloaded).
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import errno
import json
import os
import resource
import signal
import subprocess
import sys
import time
import warnings
from dataclasses import asdict, dataclass, field
from pathlib import Path

TIMEOUT_SECONDS = 60.0


@dataclass(frozen=True)
class Job:
    """A command to run."""

    argv: list[str]
    folder: str
    """Where it runs; its standard output and error are files beside it, which no full disk concerns."""
    kill_after: float | None = None
    """Seconds until it is killed, with everything that it has started."""
    signal: int = signal.SIGKILL
    disk_below: str = ""
    disk_nth: int = -1
    """The write below `disk_below` with which the disk is full; -1 for never."""
    disk_error: int = errno.ENOSPC
    files: int | None = None
    """How many file descriptors it may have."""
    closed: list[int] = field(default_factory=list)
    """Standard streams that are closed."""
    environment: dict[str, str] = field(default_factory=dict)
    timeout: float = TIMEOUT_SECONDS
    no_folder: bool = False
    """Whether its current folder is removed under it."""


@dataclass(frozen=True)
class Ending:
    """How a command ended."""

    code: int
    """Its exit code; negative for a signal."""
    seconds: float
    peak_bytes: int
    out: str
    err: str
    hung: bool = False
    left: int = 0
    """Processes that it had started and that were still there three seconds later."""


class ForkServer:
    """The other side: runs jobs in a process of its own."""

    def __init__(self, *, keras: bool, preload: Path | None = None, cache: Path) -> None:
        environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "XDG_CACHE_HOME": str(cache)}
        if preload is not None:
            environment["LD_PRELOAD"] = str(preload)
        command = [sys.executable, "-P", "-m", "benchmarks.torture.fork_server", *(["keras"] if keras else [])]
        environment["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).parents[2]), environment.get("PYTHONPATH", "")])
        self._process = subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
        )

    def run(self, job: Job) -> Ending:
        """Run a command and wait for its end."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(asdict(job)) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("the fork server ended")
        return Ending(**json.loads(line))

    def close(self) -> None:
        """End the process."""
        self._process.communicate()


def main() -> None:
    """Serve jobs until standard input ends."""
    _import_everything(keras="keras" in sys.argv[1:])
    answers = os.fdopen(os.dup(1), "w")
    for line in sys.stdin:
        ending = _run(Job(**json.loads(line)))
        answers.write(json.dumps(asdict(ending)) + "\n")
        answers.flush()


def _import_everything(*, keras: bool) -> None:
    warnings.simplefilter("ignore")
    import detector.__main__
    import detector.detector
    import detector.engines.litert
    import detector.pipeline.annotate_images
    import detector.pipeline.annotate_video
    import detector.pipeline.picture_outputs
    import detector.pipeline.recover
    import detector.pipeline.redraw
    import detector.pipeline.track_log
    import detector.pipeline.watch
    from detector.cli.app import build_app

    build_app()
    with contextlib.suppress(ImportError):
        import ai_edge_litert.interpreter  # noqa: F401
        import scipy.optimize
        import scipy.sparse  # noqa: F401
    if keras:
        from convert.keras_import import import_keras

        import_keras()
        import detector.evaluation.report
        import detector.training.trainer  # noqa: F401


def _run(job: Job) -> Ending:
    out, err = (Path(f"{job.folder}.{name}") for name in ("out", "err"))
    started = time.monotonic()
    child = os.fork()
    if child == 0:
        _become(job, out, err)  # never returns
    hung, code, usage = _wait(child, job, started)
    seconds = time.monotonic() - started
    left = _left_over(child)
    with contextlib.suppress(OSError):
        os.killpg(child, signal.SIGKILL)
    said, told = (path.read_text("utf-8", "replace")[-4000:] if path.exists() else "" for path in (out, err))
    return Ending(os.waitstatus_to_exitcode(code), seconds, usage.ru_maxrss * 1024, said, told, hung=hung, left=left)


def _wait(child: int, job: Job, started: float) -> tuple[bool, int, resource.struct_rusage]:
    """Wait for the child, and kill it when its time has come."""
    hung = killed = False
    pause = 0.001
    while True:
        found, code, usage = os.wait4(child, os.WNOHANG)
        if found:
            return hung, code, usage
        passed = time.monotonic() - started
        if job.kill_after is not None and passed >= job.kill_after and not killed:
            killed = True
            with contextlib.suppress(OSError):
                os.kill(child, job.signal)
        elif passed > job.timeout:
            hung = True
            with contextlib.suppress(OSError):
                os.kill(child, signal.SIGKILL)
        if job.kill_after is not None and not killed:
            time.sleep(max(0.0, min(pause, job.kill_after - passed)))
        else:
            time.sleep(pause)
            pause = min(0.02, 1.2 * pause)


def _left_over(group: int) -> int:
    """How many processes of a killed run are still there after three seconds."""
    until = time.monotonic() + 3
    while True:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return 0
        except PermissionError:
            return 1
        if time.monotonic() > until:
            return 1
        time.sleep(0.02)


def _become(job: Job, out: Path, err: Path) -> None:
    """Turn this child into the command."""
    code = 70
    try:
        os.setsid()
        os.chdir(job.folder)
        for number, path, flags in ((0, os.devnull, os.O_RDONLY), (1, out, os.O_WRONLY), (2, err, os.O_WRONLY)):
            opened = os.open(path, flags | (os.O_CREAT | os.O_TRUNC if number else 0), 0o600)
            os.dup2(opened, number)
            os.close(opened)
        sys.stdin, sys.stdout, sys.stderr = (
            open(number, mode, closefd=False)  # noqa: SIM115 - open until the end
            for number, mode in ((0, "r"), (1, "w"), (2, "w"))
        )
        for number in job.closed:
            os.close(number)
        os.environ.update(job.environment)
        if job.no_folder:
            os.mkdir("gone")  # noqa: PTH102
            os.chdir("gone")
            os.rmdir(os.path.join(job.folder, "gone"))  # noqa: PTH106, PTH118
        if job.files is not None:
            resource.setrlimit(resource.RLIMIT_NOFILE, (job.files, job.files))
        if job.disk_nth >= 0:
            ctypes.CDLL(None).disk_arm(os.fsencode(job.disk_below), ctypes.c_long(job.disk_nth), job.disk_error)
        code = _command(job.argv)
        if job.disk_nth >= 0:
            Path(f"{job.folder}.writes").write_text(str(ctypes.CDLL(None).disk_writes()))
    finally:
        os._exit(code)


def _command(argv: list[str]) -> int:
    from detector.__main__ import main as command

    sys.argv = ["yolo3", *argv]
    try:
        try:
            command()
        finally:
            atexit._run_exitfuncs()
            for stream in (sys.stdout, sys.stderr):
                with contextlib.suppress(OSError, ValueError):
                    stream.flush()
    except SystemExit as leaving:
        return leaving.code if isinstance(leaving.code, int) else int(leaving.code is not None)
    except BaseException:  # noqa: BLE001 - what Python would print
        import traceback

        traceback.print_exc()
        sys.stderr.flush()
        return 1
    return 0


if __name__ == "__main__":
    main()
