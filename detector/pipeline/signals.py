"""Ctrl-C between the steps of some work instead of in the middle of one."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from threading import current_thread, main_thread


@contextmanager
def signals_noted(pressed: list[int]) -> Iterator[None]:
    """Note Ctrl-C and requests to terminate in a list instead of raising them in the middle of anything."""
    before = {}
    if current_thread() is main_thread():  # no other receives signals
        for number in (signal.SIGINT, signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGINT)):
            if signal.getsignal(number) is signal.default_int_handler:
                before[number] = signal.signal(number, lambda number, _: pressed.append(number))
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
