"""Progress without a terminal."""

import pytest

from detector.cli.progress import LineProgress


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def lines():
    return []


def test_a_line_every_ten_seconds(lines):
    clock = Clock()
    with LineProgress(unit="frame", total=300, write=lines.append, clock=clock) as progress:
        for _ in range(100):
            clock.now += 0.25
            progress.update()

    assert lines == [
        "40 of 300 frames, 4.0 frames/s, 1:05 min left",
        "80 of 300 frames, 4.0 frames/s, 0:55 min left",
    ]


def test_a_short_run_says_nothing(lines):
    assert list(LineProgress(range(5), unit="picture", write=lines.append, clock=Clock())) == [0, 1, 2, 3, 4]
    assert lines == []


def test_without_a_total(lines):
    clock = Clock()
    progress = LineProgress(iter("ab"), unit="picture", desc="checking", write=lines.append, clock=clock)
    for _ in progress:
        clock.now += 20

    assert lines == ["checking: 1 pictures, 0.1 pictures/s", "checking: 2 pictures, 0.1 pictures/s"]


def test_more_than_was_announced(lines):
    clock = Clock()
    progress = LineProgress(unit="frame", total=1, write=lines.append, clock=clock)
    clock.now += 10
    progress.update(20)

    assert lines == ["20 of 1 frames, 2.0 frames/s, 0:00 min left"]


def test_frames_beside_inputs_of_which_none_is_done():
    lines = []
    times = iter([0.0, 20.0])
    progress = LineProgress(unit="input", total=5, write=lines.append, clock=lambda: next(times))
    progress.set_postfix_str("31.0 frames/s")
    progress.update(0)
    assert lines == ["0 of 5 inputs, 31.0 frames/s"]
