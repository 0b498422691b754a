import numpy as np
import pytest

from convert.cfg import parse_cfg
from detector.datasets.dataset import read_dataset
from detector.errors import DatasetError, SettingsError
from detector.training.anchors import AnchorRequest, anchor_note, box_sizes, find_anchors, mean_iou
from detector.training.targets import read_rules
from tests.detector.squares import squares_network


def test_clusters_are_found():
    rng = np.random.default_rng(0)
    middles = np.array([[10, 20], [40, 30], [120, 100]], np.float32)
    sizes = np.concatenate([middle * rng.uniform(0.95, 1.05, (200, 2)) for middle in middles]).astype(np.float32)

    anchors = find_anchors(sizes, 3)

    assert np.array(anchors.sizes) == pytest.approx(middles, rel=0.02)
    assert anchors.mean_iou > 0.94
    assert anchors.as_cfg().startswith("anchors=10,20, 40,30, 1")


def test_the_same_seed_gives_the_same_anchors():
    sizes = np.random.default_rng(1).uniform(5, 100, (300, 2)).astype(np.float32)

    assert find_anchors(sizes, 6, seed=4) == find_anchors(sizes, 6, seed=4)


def test_too_few_boxes_are_refused():
    with pytest.raises(DatasetError, match="1 different"):
        find_anchors(np.full((9, 2), 5, np.float32), 2)


def test_sizes_are_in_network_pixels(squares):
    dataset = read_dataset(squares)

    sizes = box_sizes(dataset.train, width=128, height=256, resize="letterbox")

    assert sizes[0] == pytest.approx(dataset.train[0].boxes[0, 2:] * 128)


def test_the_anchors_that_a_network_needs():
    assert AnchorRequest.of(squares_network().cfg) == AnchorRequest(2, 64, 64, "letterbox")
    with pytest.raises(SettingsError, match=r"has no \[yolo\] section"):
        AnchorRequest.of(parse_cfg("[net]\nwidth=8\nheight=8\n[convolutional]\n", "x.cfg"))


def test_the_fit_of_anchors():
    sizes = np.array([[10, 10], [20, 20]], np.float32)

    assert mean_iou(sizes, [(10, 10), (40, 20)]) == pytest.approx(0.75)
    assert mean_iou(np.zeros((0, 2), np.float32), [(1, 1)]) == 0


def test_anchors_far_from_the_boxes_give_a_warning(squares):
    examples, rules = read_dataset(squares).train, read_rules(squares_network())

    assert anchor_note(examples, rules, AnchorRequest(2, 64, 64, "letterbox")) == ""
    assert "finds better ones" in anchor_note(examples, rules, AnchorRequest(2, 640, 640, "letterbox"))
