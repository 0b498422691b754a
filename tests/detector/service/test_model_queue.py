"""The queue before a model."""

import asyncio
import threading

import pytest

from detector.service.model_queue import ModelQueue
from detector.service.request_errors import RequestError


def test_a_full_queue_refuses_at_once_and_says_when_to_come_again():
    async def ask():
        queue = ModelQueue("m", workers=1, limit=2)
        go = threading.Event()
        running = asyncio.create_task(queue.run(go.wait))
        while queue.waiting or not running:
            await asyncio.sleep(0.001)
        await asyncio.sleep(0.05)
        waiting = [asyncio.create_task(queue.run(lambda number=number: number)) for number in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(RequestError) as refusal:
            await queue.run(lambda: None)
        go.set()
        found = await asyncio.gather(*waiting)
        await running
        queue.close()
        return refusal.value, found

    refusal, found = asyncio.run(ask())
    assert (refusal.status, refusal.headers["Retry-After"]) == (503, "1")
    assert found == [0, 1]


def test_errors_of_the_work_reach_the_one_who_asked():
    async def ask():
        queue = ModelQueue("m", workers=2, limit=9)
        answers = await asyncio.gather(
            queue.run(lambda: 1 / 0), queue.run(lambda: next(iter(()))), queue.run(lambda: 7), return_exceptions=True
        )
        queue.close()
        with pytest.raises(RequestError):
            await queue.run(lambda: None)
        return answers

    zero, stop, seven = asyncio.run(ask())
    assert isinstance(zero, ZeroDivisionError) and isinstance(stop, RuntimeError) and seven == 7


def test_work_that_was_given_up_is_not_done():
    async def ask():
        queue = ModelQueue("m", workers=1, limit=9)
        go, done = threading.Event(), []
        first = asyncio.create_task(queue.run(go.wait))
        second = asyncio.create_task(queue.run(lambda: done.append(1)))
        await asyncio.sleep(0.05)
        second.cancel()
        await asyncio.sleep(0)
        go.set()
        await first
        queue.close()
        return done

    assert asyncio.run(ask()) == []
