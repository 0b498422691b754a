from threading import Thread
from time import sleep

import pytest

from detector.pipeline.pipe import Pipe


def test_items_are_read_in_order_and_at_most_its_size_are_queued():
    pipe: Pipe[int] = Pipe(2)
    ahead = []
    taken = []

    def produce():
        for number in range(50):
            pipe.put(number)
            ahead.append(number - len(taken))
        pipe.end()

    producer = Thread(target=produce)
    producer.start()
    for number in pipe.items():
        sleep(0.001)
        taken.append(number)
    producer.join()
    assert taken == list(range(50))
    assert max(ahead) <= 3  # two in the pipe, one on its way


def test_error_comes_after_what_was_put_before_it():
    pipe: Pipe[int] = Pipe(3)
    pipe.put(1)
    pipe.put(2)
    pipe.end(ValueError("broken"))
    taken = []
    with pytest.raises(ValueError, match="broken"):
        for number in pipe.items():
            taken.append(number)
    assert taken == [1, 2]


def test_closing_the_output_releases_a_waiting_producer():
    pipe: Pipe[int] = Pipe(1)
    answers = []

    def produce():
        answers.append(pipe.put(1))
        answers.append(pipe.put(2))

    producer = Thread(target=produce)
    producer.start()
    sleep(0.05)
    pipe.abandon()
    producer.join(5)
    assert answers == [True, False]
    assert list(pipe.items()) == []


def test_latest_drops_the_oldest():
    pipe: Pipe[int] = Pipe(1, latest=True)
    assert all(pipe.put(number) for number in range(5))
    pipe.end()
    assert list(pipe.items()) == [4]
    assert pipe.dropped == 4
