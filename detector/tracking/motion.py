"""How boxes move: a Kalman filter of nearly constant velocity, for many boxes at once.

A box is followed as a state of four numbers: centre x, centre y (pixels), and the logarithms of width and height. All
four have the same uncertainty when the centre is counted in units of the box's own size (the square root of its area),
so one 2x2 covariance of position and velocity per box is enough, and objects near and far obey the same parameters.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_SMALLEST_SIDE = 1.0


@dataclass(frozen=True)
class MotionModel:
    """What is assumed of movement and of a detector's noise; a size is the square root of a box's area."""

    noise: float = 0.1
    """Standard deviation of a detected box's centre, in sizes, and of the logarithms of its sides."""

    acceleration: float = 0.2
    """Spectral density of the acceleration, in sizes² per second³: how freely an object changes its velocity."""

    speed: float = 1.0
    """Standard deviation of an unknown object's velocity, in sizes per second."""

    reshaping_seconds: float = 0.25
    """How long a box goes on to become larger or smaller: a stride, rather than a way."""

    def moved(self, velocities: Floats, seconds: float | Floats) -> tuple[Floats, Floats]:
        """(n, 4) changes of states after a time, or each after its own, and the velocities then."""
        times = np.asarray(seconds, np.float64)[..., None]
        left = np.exp(-times / self.reshaping_seconds) if self.reshaping_seconds else 0.0 * times
        going_on = np.concatenate([times, times, *[self.reshaping_seconds * (1 - left)] * 2], -1)
        remaining = np.concatenate([np.ones_like(times), np.ones_like(times), left, left], -1)
        return velocities * going_on, velocities * remaining


def states_of(xyxy: NDArray[np.floating]) -> Floats:
    """(n, 4) left, top, right, bottom -> (n, 4) centre x, centre y, log width, log height."""
    boxes = np.asarray(xyxy, np.float64).reshape(-1, 4)
    sides = np.maximum(boxes[:, 2:] - boxes[:, :2], _SMALLEST_SIDE)
    return np.concatenate([(boxes[:, :2] + boxes[:, 2:]) / 2, np.log(sides)], 1)


def boxes_of(states: Floats) -> Floats:
    """The inverse of `states_of`."""
    half = np.exp(states[:, 2:]) / 2
    return np.concatenate([states[:, :2] - half, states[:, :2] + half], 1)


def sizes_of(states: Floats) -> Floats:
    """(n,): square roots of the areas in pixels."""
    return np.exp((states[:, 2] + states[:, 3]) / 2)


@dataclass
class KalmanBank:
    """The filters of all boxes that are followed, as parallel arrays."""

    model: MotionModel
    states: Floats = field(default_factory=lambda: np.zeros((0, 4)))
    velocities: Floats = field(default_factory=lambda: np.zeros((0, 4)))
    covariances: Floats = field(default_factory=lambda: np.zeros((3, 0)))
    """(3, n): variance of the position, covariance, variance of the velocity."""

    def __len__(self) -> int:
        return len(self.states)

    def append(self, states: Floats) -> None:
        """Begin a filter at each of these detected boxes."""
        count, noise = len(states), self.model.noise**2
        self.states = np.concatenate([self.states, states])
        self.velocities = np.concatenate([self.velocities, np.zeros((count, 4))])
        fresh = np.repeat([[noise], [0.0], [self.model.speed**2]], count, 1)
        self.covariances = np.concatenate([self.covariances, fresh], 1)

    def keep(self, chosen: NDArray[np.bool_]) -> None:
        """Drop the other filters."""
        self.states, self.velocities = self.states[chosen], self.velocities[chosen]
        self.covariances = self.covariances[:, chosen]

    def predict(self, seconds: float | Floats) -> None:
        """Move all boxes on by a time, or each by its own."""
        moved, self.velocities = self.model.moved(self.velocities, seconds)
        self.states = self.states + moved
        self.covariances = predicted(self.covariances, seconds, self.model.acceleration)

    def variances(self) -> Floats:
        """(n,): variance of the difference between a predicted position and a detected one."""
        return np.asarray(self.covariances[0] + self.model.noise**2)

    def update(self, rows: NDArray[np.intp], detected: Floats, *, expected: bool = True) -> None:
        """Correct the filters `rows` by the boxes that were detected for them.

        Those that are not `expected` are believed less: their noise is taken to be as great as they are surprising.
        """
        position, shared, velocity = self.covariances[:, rows]
        surprise = detected - self.states[rows]
        noise: float | Floats = self.model.noise**2
        if not expected:
            relative = surprise.copy()
            relative[:, :2] /= sizes_of(self.states[rows])[:, None]
            noise = np.maximum(noise, (relative**2).mean(1) - position)
        total = position + noise
        gain, velocity_gain = position / total, shared / total
        self.states[rows] += gain[:, None] * surprise
        self.velocities[rows] += velocity_gain[:, None] * surprise
        self.covariances[:, rows] = position * (1 - gain), shared * (1 - gain), velocity - velocity_gain * shared


def predicted(covariances: Floats, seconds: float | Floats, acceleration: float) -> Floats:
    """Covariances (3, n) after a time: white noise acceleration (Bar-Shalom, Li and Kirubarajan 2001, 6.2.2)."""
    position, shared, velocity = covariances
    found = np.empty_like(covariances)
    found[0] = position + seconds * (2 * shared + seconds * velocity) + acceleration * seconds**3 / 3
    found[1] = shared + seconds * velocity + acceleration * seconds**2 / 2
    found[2] = velocity + acceleration * seconds
    return found
