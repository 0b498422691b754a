import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from convert.head import Head
from detector.heads.decode import decode, sigmoid

HEAD = Head(kind="yolo", layer=10, stride=32, anchors=((10.0, 14.0), (37.0, 58.0)), classes=3)


def logit(probability):
    return math.log(probability / (1 - probability))


def silent(rows=4, columns=5, head=HEAD):
    """A head without detections."""
    return np.full((rows, columns, head.channels), -20, np.float32)


def put(output, row, column, anchor, *, x=0.5, y=0.5, width=1.0, height=1.0, objectness=0.9, classes=(0.8, 0.01, 0.01)):
    """Set one cell's outputs, in probabilities and multiples of the anchor."""
    cell = output[row, column].reshape(-1, 8)[anchor]
    cell[:] = [logit(x), logit(y), math.log(width), math.log(height), logit(objectness), *map(logit, classes)]


def test_one_box_is_placed_by_its_cell_and_anchor():
    output = silent()
    put(output, row=2, column=3, anchor=1, x=0.25, y=0.75, width=2, height=0.5)

    found = decode([output], [HEAD], confidence=0.25, width=160, height=128)

    assert len(found) == 1
    np.testing.assert_allclose(found.boxes, [[3.25 / 5, 2.75 / 4, 2 * 37 / 160, 0.5 * 58 / 128]], rtol=1e-5)
    np.testing.assert_allclose(found.score, [0.72], rtol=1e-5)
    assert found.class_id.tolist() == [0]


def test_one_box_may_keep_several_classes():
    output = silent()
    put(output, 0, 0, 0, objectness=0.9, classes=(0.9, 0.2, 0.5))

    found = decode([output], [HEAD], confidence=0.25, width=160, height=128)

    assert found.class_id.tolist() == [0, 2]
    np.testing.assert_allclose(found.score, [0.81, 0.45], rtol=1e-5)


@pytest.mark.parametrize(
    ("objectness", "best_class", "count"),
    [
        pytest.param(0.24, 0.999, 0, id="objectness below the threshold"),
        pytest.param(0.4, 0.5, 0, id="score below the threshold"),
        pytest.param(0.51, 0.5, 1, id="both above"),
    ],
)
def test_objectness_and_score_must_both_pass(objectness, best_class, count):
    output = silent()
    put(output, 1, 1, 0, objectness=objectness, classes=(best_class, 0.01, 0.01))

    assert len(decode([output], [HEAD], confidence=0.25, width=160, height=128)) == count


def test_candidates_come_in_the_order_head_cell_anchor_class():
    first, second = silent(), silent(8, 10)
    for output, row, column, anchor in ((second, 0, 0, 0), (first, 3, 4, 0), (first, 0, 1, 1), (first, 0, 1, 0)):
        put(output, row, column, anchor, classes=(0.8, 0.8, 0.01))

    found = decode([first, second], [HEAD, HEAD], confidence=0.25, width=160, height=128)

    assert found.class_id.tolist() == [0, 1] * 4
    centres = found.boxes[::2, :2] * [5, 4]
    np.testing.assert_allclose(centres, [[1.5, 0.5], [1.5, 0.5], [4.5, 3.5], [0.25, 0.25]], atol=1e-5)
    assert found.boxes[0, 2] < found.boxes[2, 2]


def test_only_the_chosen_classes_are_decoded():
    output = silent()
    put(output, 0, 0, 0, classes=(0.9, 0.9, 0.9))

    found = decode([output], [HEAD], confidence=0.25, width=160, height=128, classes=np.array([1, 2]))

    assert found.class_id.tolist() == [1, 2]


def test_scale_x_y_stretches_about_the_middle_of_the_cell():
    head = Head(kind="yolo", layer=0, stride=32, anchors=HEAD.anchors, classes=3, scale_x_y=1.2)
    output = silent()
    put(output, 0, 0, 0, x=0.9, y=0.5)

    found = decode([output], [head], confidence=0.25, width=160, height=128)

    np.testing.assert_allclose(found.boxes[0, :2] * [5, 4], [0.9 * 1.2 - 0.1, 0.5], rtol=1e-5)


def test_new_coords_are_probabilities_already_and_sizes_are_squares():
    head = Head(kind="yolo", layer=0, stride=32, anchors=HEAD.anchors, classes=3, scale_x_y=2.0, new_coords=True)
    output = np.zeros((4, 5, head.channels), np.float32)
    output[1, 2, :8] = [0.5, 0.5, 0.5, 1.0, 0.9, 0.8, 0.0, 0.0]

    found = decode([output], [head], confidence=0.25, width=160, height=128)

    np.testing.assert_allclose(found.boxes, [[2.5 / 5, 1.5 / 4, 10 / 160, 4 * 14 / 128]], rtol=1e-5)
    np.testing.assert_allclose(found.score, [0.72], rtol=1e-5)


def test_no_detections_are_empty_arrays_of_the_right_shapes():
    found = decode([silent()], [HEAD], confidence=0.25, width=160, height=128)

    assert found.boxes.shape == (0, 4)
    assert len(found) == len(found.class_id) == 0


@given(st.floats(allow_nan=False, width=32))
def test_sigmoid_neither_overflows_nor_leaves_0_to_1(value):
    assert 0 <= sigmoid(np.array([value], np.float32))[0] <= 1


@pytest.mark.parametrize("threshold", [0.0, 1.0])
def test_the_ends_of_the_threshold(threshold):
    output = silent()
    put(output, 0, 0, 0)

    found = decode([output], [HEAD], confidence=threshold, width=160, height=128)

    assert len(found) == (4 * 5 * 2 * 3 if threshold == 0 else 0)


def test_a_broken_network_gives_finite_boxes():
    output = np.full((4, 5, HEAD.channels), 1e30, np.float32)

    found = decode([output], [HEAD], confidence=0.25, width=160, height=128)

    assert len(found) == 4 * 5 * 2 * 3
    assert np.isfinite(found.boxes).all()
