"""Pictures that wait for one model, and the threads that run it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from queue import SimpleQueue
from threading import Thread
from time import monotonic
from typing import Any, TypeVar

from detector.service.request_errors import RequestError, busy

Result = TypeVar("Result")


@dataclass
class _Waiting:
    work: Callable[[], Any]
    future: asyncio.Future[Any]
    loop: asyncio.AbstractEventLoop
    since: float


class ModelQueue:
    """Runs work for one model in a fixed number of threads, first come, first served.

    At most `limit` pieces wait; more are refused at once with 503. Work is handed in from an event loop.
    """

    def __init__(
        self, name: str, *, workers: int, limit: int, on_done: Callable[[float, float], object] = lambda *_: None
    ) -> None:
        """`on_done` gets the seconds that a piece of work waited, and those it ran."""
        self.name = name
        self.workers = workers
        self.limit = limit
        self.waiting = 0
        """How many pieces were handed in and not begun; changed by the event loop only."""
        self._on_done = on_done
        self._queue: SimpleQueue[_Waiting | None] = SimpleQueue()
        self._closed = False
        self._threads = [
            Thread(target=self._work, name=f"model-{name}-{number}", daemon=True) for number in range(workers)
        ]
        for thread in self._threads:
            thread.start()

    async def run(self, work: Callable[[], Result]) -> Result:
        """What `work` returns, called in one of the threads. Raises `RequestError` when the queue is full."""
        if self._closed:
            raise busy("the server is stopping", after_seconds=5)
        if self.waiting >= self.limit:
            raise busy(f"{self.limit} pictures are waiting for this model already")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Result] = loop.create_future()
        self.waiting += 1
        self._queue.put(_Waiting(work, future, loop, monotonic()))
        return await future

    def close(self) -> None:
        """Finish what is waiting and end the threads."""
        self._closed = True
        for _ in self._threads:
            self._queue.put(None)
        for thread in self._threads:
            thread.join()

    def _work(self) -> None:
        while (item := self._queue.get()) is not None:
            begun = monotonic()
            item.loop.call_soon_threadsafe(self._begin)
            result: Any = None
            error: BaseException | None = None
            if not item.future.cancelled():
                try:
                    result = item.work()
                except BaseException as caught:  # noqa: BLE001 - raised again where it is awaited
                    error = caught
            self._on_done(begun - item.since, monotonic() - begun)
            item.loop.call_soon_threadsafe(_settle, item.future, result, error)
            del item, result, error

    def _begin(self) -> None:
        self.waiting -= 1


def _settle(future: asyncio.Future[Any], result: Any, error: BaseException | None) -> None:
    if future.done():  # its request was given up
        return
    if error is None:
        future.set_result(result)
    elif isinstance(error, MemoryError):
        future.set_exception(RequestError(503, "not enough memory for this picture; try a smaller one", kind="busy"))
    elif isinstance(error, StopIteration):  # which no future takes
        future.set_exception(RuntimeError(str(error)))
    else:
        future.set_exception(error)
