"""Tiles on real pictures: small objects are found, large ones are not lost."""

import pytest

from benchmarks.recognition import TILES, composed, precision_with, recall_with
from convert import convert
from detector.datasets.dataset import read_dataset

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def fastest(shared, tmp_path_factory):
    """Yolo-Fastest-1.1-XL."""
    weights = shared / "assets" / "weights"
    model = tmp_path_factory.mktemp("fastest") / "fastest.h5"
    convert(weights / "yolo-fastest-1.1-xl.cfg", weights / "yolo-fastest-1.1-xl.weights", model)
    return model


@pytest.fixture(scope="module")
def examples(shared):
    folder = shared / "assets" / "coco_val2017_128"
    return read_dataset(folder / "instances_val2017_128.json", pictures=folder / "images").valid


def test_tiles_find_small_objects_and_keep_large_ones(fastest, examples):
    plain = precision_with(fastest, examples, TILES["none"])
    tiled = precision_with(fastest, examples, TILES["`2x2`"])

    assert tiled.small > plain.small + 0.02
    assert tiled.large > plain.large - 0.01
    assert tiled.ap > plain.ap


def test_tiles_find_small_objects_in_large_pictures(fastest, examples):
    walls = list(composed(examples))
    plain, _ = recall_with(fastest, walls, TILES["none"])
    tiled, _ = recall_with(fastest, walls, TILES["`auto`"])

    assert tiled > max(1.5 * plain, 0.05)
