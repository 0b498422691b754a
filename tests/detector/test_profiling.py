from concurrent.futures import ThreadPoolExecutor
from time import sleep

import pytest

from detector.profiling import Stopwatch, bars, milliseconds

pytestmark = pytest.mark.real_time


def test_a_stage_adds_up_what_is_spent_in_it():
    stopwatch = Stopwatch()
    for _ in range(3):
        with stopwatch["network"]:
            sleep(0.01)
        with stopwatch["boxes"]:
            pass
    assert list(stopwatch.seconds) == ["network", "boxes"]
    assert 0.03 <= stopwatch.seconds["network"] < 1
    assert stopwatch.seconds["boxes"] < 0.01


def test_an_error_in_a_stage_passes_through():
    stopwatch = Stopwatch()
    try:
        with stopwatch["network"]:
            raise KeyError
    except KeyError:
        pass
    assert stopwatch.seconds["network"] > 0


def test_milliseconds_are_those_of_a_frame():
    assert milliseconds({"network": 2.0, "log": 0.5}, 100) == {"network": 20, "log": 5}
    assert milliseconds({"network": 0.0}, 0) == {"network": 0}


def test_bars_are_as_long_as_their_stages():
    head, reading, finding, writing = bars({"decode": 1, "resize": 1, "network": 6, "boxes": 1, "log": 0.01}, 10)
    assert head.startswith("10.00 ms")
    assert [reading.count("█"), reading.count("·")] == [6 + 1, 54]  # one in the legend
    assert [finding.count(fill) for fill in "█▓▒·"] == [6 + 1, 36 + 1, 6 + 1, 12]
    assert writing.count("·") == 60
    assert "network 6.00" in finding and "boxes 1.00" in finding


def test_a_stage_is_never_drawn_longer_than_the_frame():
    _, line = bars({"decode": 30}, 10)
    assert line.count("█") == 60 + 1


def test_threads_add_to_the_same_stage():
    stopwatch = Stopwatch()

    def work(_):
        with stopwatch["network"]:
            sleep(0.02)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(8)))
    assert 0.16 <= stopwatch.seconds["network"] < 2


def test_workers_share_the_time_of_a_frame():
    _, line = bars({"network": 10}, 10, workers=2)
    assert line.count("█") == 30 + 1
    assert line.endswith("in each of 2 threads")
