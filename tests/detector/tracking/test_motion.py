"""Boxes as states, and the Kalman filter over many of them."""

import numpy as np
import pytest

from detector.tracking.motion import KalmanBank, MotionModel, boxes_of, predicted, sizes_of, states_of


def test_states_and_boxes_are_inverse():
    boxes = np.array([[10.0, 20, 30, 80], [0, 0, 5, 7]])

    assert boxes_of(states_of(boxes)) == pytest.approx(boxes)


def test_state_holds_centre_and_size():
    states = states_of(np.array([[10.0, 20, 30, 100]]))

    assert states[0, :2] == pytest.approx([20, 60])
    assert sizes_of(states) == pytest.approx([40.0])  # of 20x80


def test_a_box_without_extent_has_a_finite_state():
    assert np.isfinite(states_of(np.array([[5.0, 5, 5, 5]]))).all()


def test_filter_learns_a_steady_velocity():
    bank = KalmanBank(MotionModel())
    box = np.array([[0.0, 0, 40, 90]])
    bank.append(states_of(box))
    for _ in range(50):
        bank.predict(0.04)
        box = box + np.array([2, -1, 2, -1])
        bank.update(np.array([0]), states_of(box))

    assert bank.velocities[0, :2] == pytest.approx([50, -25], rel=0.02)
    assert bank.states[0] == pytest.approx(states_of(box)[0], abs=0.2)


def test_uneven_steps_are_taken_as_they_are():
    once, twice = KalmanBank(MotionModel()), KalmanBank(MotionModel())
    for bank in (once, twice):
        bank.append(np.array([[5.0, 5, 3, 3]]))
        bank.velocities[:] = 10.0
    once.predict(0.5)
    twice.predict(0.2)
    twice.predict(0.3)

    assert once.states == pytest.approx(twice.states)
    assert once.covariances == pytest.approx(twice.covariances)


def test_a_measurement_shrinks_uncertainty_and_time_grows_it():
    bank = KalmanBank(MotionModel())
    bank.append(np.array([[5.0, 5, 3, 3]]))
    before = bank.variances()[0]
    bank.predict(1.0)
    grown = bank.variances()[0]
    bank.update(np.array([0]), bank.states.copy())

    assert before < grown
    assert bank.variances()[0] < grown


def test_each_filter_may_have_a_time_of_its_own():
    covariances = np.array([[1.0, 1.0], [0, 0], [1, 1]])

    assert predicted(covariances, np.array([0.0, 2.0]), 0.0)[0] == pytest.approx([1.0, 5.0])


def test_keep_drops_the_others():
    bank = KalmanBank(MotionModel())
    bank.append(np.arange(12.0).reshape(3, 4))
    bank.keep(np.array([True, False, True]))

    assert bank.states[:, 0].tolist() == [0.0, 8.0]
    assert bank.covariances.shape == (3, 2)
