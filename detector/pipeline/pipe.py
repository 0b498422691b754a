"""A bounded queue between two threads that either side can close, so that neither waits for ever."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from threading import Condition
from typing import Generic, TypeVar

Item = TypeVar("Item")

_WAKE_SECONDS = 0.2
"""Waits are limited to this, because an unlimited wait cannot be interrupted on every system."""


class Pipe(Generic[Item]):
    """One thread puts items in and ends the pipe; another takes them out.

    A full pipe makes `put` wait, or, with `latest`, drops its oldest item: then what comes out is never old.
    """

    def __init__(self, size: int, *, latest: bool = False) -> None:
        self._items: deque[Item] = deque()
        self._size = size
        self._latest = latest
        self._changed = Condition()
        self._ended = False
        self._error: BaseException | None = None
        self._abandoned = False
        self.dropped = 0
        """Items dropped in favour of newer ones, or never taken out."""
        self.received = 0
        """Items put in, including those dropped."""

    def put(self, item: Item) -> bool:
        """Put an item in; False if the reader is gone."""
        with self._changed:
            self.received += 1
            if self._latest and len(self._items) >= self._size:
                self._items.popleft()
                self.dropped += 1
            while len(self._items) >= self._size and not self._abandoned:
                self._changed.wait(_WAKE_SECONDS)
            if self._abandoned:
                self.dropped += 1
                return False
            self._items.append(item)
            self._changed.notify_all()
            return True

    def wait_for_room(self) -> None:
        """Wait until an item could be put in without waiting, or the reader is gone."""
        with self._changed:
            while len(self._items) >= self._size and not self._abandoned:
                self._changed.wait(_WAKE_SECONDS)

    def end(self, error: BaseException | None = None) -> None:
        """End the input; the reader gets what is left and then this error, if any."""
        with self._changed:
            self._ended = True
            self._error = error
            self._changed.notify_all()

    def abandon(self) -> None:
        """End the output; what is left is dropped."""
        with self._changed:
            self._abandoned = True
            self.dropped += len(self._items)
            self._items.clear()
            self._changed.notify_all()

    def items(self, check: Callable[[], object] = lambda: None) -> Iterator[Item]:
        """The items in order, until the end; `check` is called before each and while waiting, and may raise."""
        while True:
            check()
            with self._changed:
                while not self._items and not self._ended and not self._abandoned:
                    self._changed.wait(_WAKE_SECONDS)
                    check()
                if self._abandoned:
                    return
                if not self._items:
                    if self._error is not None:
                        raise self._error
                    return
                item = self._items.popleft()
                self._changed.notify_all()
            yield item
