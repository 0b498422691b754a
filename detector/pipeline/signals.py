"""Defer Ctrl-C to the next step of some work."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from threading import current_thread, main_thread


@contextmanager
def signals_noted(pressed: list[int]) -> Iterator[None]:
    """Record Ctrl-C and requests to terminate in a list instead of raising an exception."""
    before = {}
    if current_thread() is main_thread():  # other threads receive no signals
        for number in (signal.SIGINT, signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGINT)):
            if signal.getsignal(number) is signal.default_int_handler:
                before[number] = signal.signal(number, lambda number, _: pressed.append(number))
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
