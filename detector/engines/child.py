"""A module run as a program of its own: what it takes of memory goes when it ends, and it ends with this process."""

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
    """The end of what a module said on standard error: its reason for failing."""
    lines = run.stderr.strip().splitlines() or [f"it ended with {run.returncode}"]
    return lines[-1][:300]


def end_with_the_parent() -> None:
    """End this process when the one that started it does: then standard input, a pipe that it holds, is closed."""

    def wait() -> None:
        # Not through sys.stdin: a thread that holds its lock aborts the interpreter on its way out.
        os.read(0, 1)
        os._exit(1)

    Thread(target=wait, daemon=True).start()
