"""Edges, centres and overlaps of boxes."""

import numpy as np
import pytest

from detector.heads.boxes import iou, to_centres, to_edges


def test_centres_become_edges_and_back():
    centres = np.array([[0.5, 0.25, 0.5, 0.5], [10, 20, 4, 8]], np.float32)

    edges = to_edges(centres)

    assert edges.tolist() == [[0.25, 0, 0.75, 0.5], [8, 16, 12, 24]]
    assert to_centres(edges).tolist() == centres.tolist()


@pytest.mark.parametrize("convert", [to_edges, to_centres])
def test_no_boxes_stay_none(convert):
    assert convert(np.zeros((0, 4), np.float32)).shape == (0, 4)


@pytest.mark.parametrize(
    ("other", "overlap"),
    [
        ([0, 0, 2, 2], 1.0),
        ([1, 0, 3, 2], 1 / 3),
        ([2, 0, 4, 2], 0.0),
        ([5, 5, 6, 6], 0.0),
        ([0, 0, 2, 1], 0.5),
    ],
)
def test_intersection_over_union(other, overlap):
    assert iou(np.array([0, 0, 2, 2], np.float32), np.array(other, np.float32)) == pytest.approx(overlap)


def test_empty_boxes_do_not_overlap():
    assert iou(np.zeros(4, np.float32), np.zeros(4, np.float32)) == 0


def test_overlaps_are_broadcast():
    boxes = np.array([[0, 0, 1, 1], [2, 2, 3, 3]], np.float32)

    assert iou(boxes[:, None], boxes[None]).tolist() == [[1, 0], [0, 1]]
