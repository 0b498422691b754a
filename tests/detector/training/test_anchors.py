import numpy as np
import pytest

from detector.datasets.dataset import read_dataset
from detector.errors import DatasetError
from detector.training.anchors import box_sizes, find_anchors


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
