"""Gaps filled and positions made steady."""

import numpy as np
import pytest

from detector.tracking.smoothing import fill_gaps, smooth

TIMES = np.array([0.0, 0.04, 0.08, 0.2, 0.24, 0.28, 0.32])


def test_gaps_are_filled_by_time_and_not_by_number():
    states = np.array([[0.0, 0, 0, 0], [10, 20, 0, 0]])

    full, filled = fill_gaps(np.array([2, 5]), states, TIMES)

    assert full.tolist() == [2, 3, 4, 5]
    assert filled[:, 0] == pytest.approx([0, 6, 8, 10])


def test_steady_movement_is_left_as_it_is():
    states = np.outer(TIMES, [3.0, -2.0, 0.1, 0.0]) + 7

    assert smooth(states, TIMES, 0.3) == pytest.approx(states)


def test_noise_shrinks_and_the_course_stays():
    times = np.arange(200) / 25
    course = np.stack([100 * np.sin(times / 2), 50 * times, 0 * times, 0 * times], 1)
    noisy = course + np.random.default_rng(1).normal(0, 3, course.shape)

    left = np.abs(smooth(noisy, times, 0.1) - course).mean()

    assert left < 0.7 * np.abs(noisy - course).mean()


@pytest.mark.parametrize(
    ("states", "times", "seconds"),
    [
        (np.ones((3, 4)), np.arange(3.0), 0.1),
        (np.random.default_rng(2).normal(size=(9, 4)), np.arange(9.0), 0.0),
        (np.random.default_rng(2).normal(size=(5, 4)), np.array([0.0, 0, 1, 2, 3]), 0.1),
    ],
    ids=["too few", "not wanted", "two frames at one time"],
)
def test_what_cannot_be_smoothed_is_left(states, times, seconds):
    assert smooth(states, times, seconds) is states
