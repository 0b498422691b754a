"""Properties of the formulas; `test_loss` compares them with AlexeyAB's C code."""

import numpy as np
import pytest

from convert.keras_import import import_keras
from detector.training.box_deltas import iou_deltas
from detector.training.loss import overlap

import_keras()


@pytest.mark.parametrize("kind", ["iou", "giou", "diou", "ciou"])
def test_small_steps_along_the_deltas_bring_boxes_together(kind):
    rng = np.random.default_rng(3)
    box, truth = rng.uniform(0.3, 0.6, (2, 50, 4)).astype(np.float32)
    before = np.asarray(overlap(box, truth)).mean()
    for _ in range(300):
        box = box + 0.002 * np.asarray(iou_deltas(box, truth, kind))

    assert np.isfinite(box).all()
    assert np.asarray(overlap(box, truth)).mean() > max(0.85, before + 0.2)


def test_boxes_without_an_area_give_finite_deltas():
    empty = np.zeros((1, 4), np.float32)

    for kind in ("iou", "giou", "diou", "ciou"):
        assert np.isfinite(np.asarray(iou_deltas(empty, empty, kind))).all()
