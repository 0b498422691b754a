"""Connect two threads by a bounded queue that either side can close, so that neither waits forever."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from threading import Condition
from typing import Generic, TypeVar

Item = TypeVar("Item")

_WAKE_SECONDS = 0.2
"""Seconds to which waits are limited, because an unlimited wait cannot be interrupted on every system."""


class Pipe(Generic[Item]):
    """A queue into which one thread puts items, and from which another takes them.

    When it is full, `put` waits or, with `latest`, drops the oldest item, so that the reader never gets old ones.
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
        """Number of items dropped in favour of newer ones, or never taken out."""
        self.received = 0
        """Number of items put in, including dropped ones."""

    def put(self, item: Item) -> bool:
        """Put an item in; return False if the reader is gone."""
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
        """Wait until `put` would not wait, or the reader is gone."""
        with self._changed:
            while len(self._items) >= self._size and not self._abandoned:
                self._changed.wait(_WAKE_SECONDS)

    def end(self, error: BaseException | None = None) -> None:
        """End the input; the reader gets the remaining items and then this error, if any."""
        with self._changed:
            self._ended = True
            self._error = error
            self._changed.notify_all()

    def abandon(self) -> None:
        """End the output; remaining items are dropped."""
        with self._changed:
            self._abandoned = True
            self.dropped += len(self._items)
            self._items.clear()
            self._changed.notify_all()

    def items(self, check: Callable[[], object] = lambda: None) -> Iterator[Item]:
        """Yield the items in order, until the end; `check` is called before each and while waiting, and may raise."""
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
