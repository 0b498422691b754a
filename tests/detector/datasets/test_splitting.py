from pathlib import Path

import pytest

from detector.datasets.examples import Dataset, Example
from detector.datasets.splitting import split_dataset
from detector.errors import DatasetError


def dataset(*paths):
    return Dataset(("a",), tuple(Example.from_rows(Path(path), [(0, 0.5, 0.5, 0.1, 0.1)]) for path in paths), ())


def paths(examples):
    return [str(example.path) for example in examples]


@pytest.fixture
def frames(tmp_path):
    """Five videos of four frames, each video in a folder of its own."""
    return dataset(*(tmp_path / f"v{video}" / f"v{video}_{frame:04}.jpg" for video in range(5) for frame in range(4)))


def test_pictures_are_split_by_a_fraction(frames):
    found = split_dataset(frames, 0.8)

    assert (len(found.train), len(found.valid)) == (16, 4)
    assert sorted(paths((*found.train, *found.valid))) == sorted(paths(frames.train))
    assert paths(found.train) == sorted(paths(found.train))
    assert paths(split_dataset(frames, 0.8).valid) == paths(found.valid)
    assert paths(split_dataset(frames, 0.8, seed=1).valid) != paths(found.valid)


@pytest.mark.parametrize("group", ["prefix", "folder"])
def test_groups_stay_together(frames, group):
    found = split_dataset(frames, 0.75, group=group)

    folders = [{example.path.parent for example in part} for part in (found.train, found.valid)]
    assert not folders[0] & folders[1]
    assert len(found.train) == 16


@pytest.mark.parametrize("fraction", [0, 1, 1.5])
def test_a_fraction_out_of_range_is_refused(frames, fraction):
    with pytest.raises(DatasetError, match="out of range"):
        split_dataset(frames, fraction)


def test_one_group_cannot_be_split():
    with pytest.raises(DatasetError, match="1 groups of pictures cannot be split"):
        split_dataset(dataset("v_1.jpg", "v_2.jpg"), 0.5, group="prefix")
