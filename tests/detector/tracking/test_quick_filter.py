"""The package's Kalman filter in fewer steps."""

import numpy as np
import pytest

trackers = pytest.importorskip("trackers")

from detector.tracking.quick_filter import QuickFilter, quick_estimator  # noqa: E402 - after the package it needs

KINDS = [trackers.ByteTrackTracker, trackers.BoTSORTTracker, trackers.OCSORTTracker, trackers.SORTTracker]


@pytest.mark.parametrize("kind", KINDS)
def test_every_tracker_gets_quick_filters(kind):
    tracker = kind(state_estimator_class=quick_estimator(kind))

    assert isinstance(tracker.state_estimator_class(np.array([0.0, 0.0, 40.0, 90.0])).kf, QuickFilter)


@pytest.mark.parametrize("kind", KINDS)
def test_states_are_those_of_the_package(kind):
    """Through measurements, misses and gaps of a box that moves and grows."""
    random = np.random.default_rng(2)
    usual = quick_estimator(kind).__mro__[1]
    box = np.array([100.0, 50.0, 160.0, 190.0])
    quick, package = quick_estimator(kind)(box), usual(box)
    for step in range(200):
        box = box + np.array([2.0, -1.0, 2.3, -0.5]) + random.normal(0, 1.5, 4)
        elapsed = float(random.choice([1.0, 1.0, 1.0, 2.5]))
        for estimator in (quick, package):
            estimator.predict(elapsed)
            if step % 7:
                estimator.update(box)
        assert quick.kf.state == pytest.approx(package.kf.state, rel=1e-7, abs=1e-7)
        assert quick.kf.state_covariance == pytest.approx(package.kf.state_covariance, rel=1e-6, abs=1e-6)


def test_without_a_solution_the_package_decides():
    estimator = quick_estimator(trackers.ByteTrackTracker)(np.array([0.0, 0.0, 40.0, 90.0]))
    estimator.kf.state_covariance = -np.eye(8) / 2
    estimator.kf.measurement_noise = np.zeros((4, 4))

    estimator.update(np.array([1.0, 1.0, 41.0, 91.0]))

    assert estimator.kf.state[:4, 0] == pytest.approx([1, 1, 41, 91])
