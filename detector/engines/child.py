"""Run a module in a separate process: its memory is released when it ends, and it ends with this process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from threading import Thread

_PACKAGES = Path(__file__).parents[2]


def run_module(module: str, *arguments: Path | str) -> subprocess.CompletedProcess[str]:
    """Run a module of this project to its end; its standard error is in the result.

    Its standard input is a pipe that nothing is written to. It closes when this process ends, and the module ends then
    if it has called `end_with_the_parent`.
    """
    read_end, write_end = os.pipe()
    try:
        return subprocess.run(
            [sys.executable, "-P", "-m", module, *arguments],
            env={
                **os.environ,
                "KERAS_BACKEND": "tensorflow",
                "PYTHONPATH": os.pathsep.join(filter(None, [str(_PACKAGES), os.environ.get("PYTHONPATH")])),
                "TF_CPP_MIN_LOG_LEVEL": "3",
            },
            stdin=read_end,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            check=False,
        )
    finally:
        os.close(read_end)
        os.close(write_end)


def last_line(run: subprocess.CompletedProcess[str]) -> str:
    """Return the last line of a module's standard error: its reason for failing."""
    lines = run.stderr.strip().splitlines() or [f"it ended with {run.returncode}"]
    return lines[-1][:300]


def end_with_the_parent() -> None:
    """End this process when its parent ends: then standard input, a pipe held by the parent, is closed."""

    def wait() -> None:
        # Not through sys.stdin: a thread that holds its lock aborts the interpreter at exit.
        os.read(0, 1)
        os._exit(1)

    Thread(target=wait, daemon=True).start()
