"""Wait for a network or a pipe in a way that Ctrl-C can interrupt."""

from __future__ import annotations

from collections.abc import Callable
from queue import Empty, Queue
from threading import Thread, current_thread, main_thread
from typing import TypeVar

Result = TypeVar("Result")

TIMEOUT_SECONDS = 10.0
"""Seconds without an answer or a frame after which an address counts as lost."""

_WAKE_SECONDS = 0.1


def interruptible(work: Callable[[], Result]) -> Result:
    """Return or raise what `work` returns or raises.

    On Ctrl-C the work is left to a thread that ends with the program. FFmpeg does not return to Python while it waits,
    and signal handlers run in the main thread only.
    """
    if current_thread() is not main_thread():
        return work()
    results: Queue[Result | BaseException] = Queue(1)

    def attempt() -> None:
        try:
            results.put(work())
        except BaseException as error:  # noqa: BLE001 - raised again below
            results.put(error)

    Thread(target=attempt, name="opening", daemon=True).start()
    while True:
        try:
            result = results.get(timeout=_WAKE_SECONDS)
        except Empty:
            continue
        if isinstance(result, BaseException):
            raise result
        return result
