"""A track's positions made steady, and its gaps filled."""

from __future__ import annotations

import numpy as np
from scipy.linalg import solveh_banded

from detector.tracking.motion import Floats
from detector.tracking.tracklets import Rows

_FEWEST = 4
"""Positions worth smoothing."""


def fill_gaps(frames: Rows, states: Floats, times: Floats) -> tuple[Rows, Floats]:
    """All frames from a track's first to its last, and its states there, on straight lines between those known.

    `frames` are places in `times`, `states` (n, 4) what `motion.states_of` gives.
    """
    full = np.arange(frames[0], frames[-1] + 1)
    known, wanted = times[frames], times[full]
    return full, np.stack([np.interp(wanted, known, states[:, column]) for column in range(4)], 1)


def smooth(states: Floats, times: Floats, seconds: float) -> Floats:
    """States (n, 4) with movements shorter than some `seconds` taken out.

    The penalised least squares of Whittaker (1923; Eilers, Analytical Chemistry 75, 2003): the sum of squared
    differences from `states` plus `seconds`⁴ times the integral of the squared second derivative, both over time, so
    that uneven frames are taken as they are. It follows any steady movement exactly.
    """
    steps = np.diff(times)
    if len(states) < _FEWEST or seconds <= 0 or not (steps > 0).all():
        return states
    early, late = steps[:-1], steps[1:]
    both = (early + late) / 2
    # The second derivative at each inner time is a weighted sum of three neighbours.
    weights = np.stack([1 / (early * both), -1 / both * (1 / early + 1 / late), 1 / (late * both)])
    strength = seconds**4 * both
    bands = np.zeros((3, len(states)))
    lengths = np.concatenate([[steps[0] / 2], both, [steps[-1] / 2]])
    bands[2] = lengths
    for offset in range(3):
        for left in range(3 - offset):
            right = left + offset
            bands[2 - offset, right : right + len(both)] += strength * weights[left] * weights[right]
    return np.asarray(solveh_banded(bands, lengths[:, None] * states, check_finite=False))
