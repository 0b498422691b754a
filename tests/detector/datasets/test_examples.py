import numpy as np
import pytest

from detector.datasets.examples import MOST_PROBLEMS, Dataset, Example, Problems
from detector.errors import DatasetError


def test_rows_become_arrays():
    example = Example.from_rows("a.jpg", [(1, 0.5, 0.25, 0.2, 0.1), (0, 0.1, 0.2, 0.3, 0.4)])

    assert example.class_id.tolist() == [1, 0]
    assert example.boxes[0] == pytest.approx([0.5, 0.25, 0.2, 0.1])
    assert not example.crowd.any()
    assert Example.from_rows("a.jpg", []).boxes.shape == (0, 4)


def test_a_dataset_says_what_it_holds():
    example = Example.from_rows("a.jpg", [(1, 0.5, 0.25, 0.2, 0.1)])

    assert str(Dataset(("a", "b"), (example, example), ())) == (
        "2 training pictures with 2 boxes of 2 classes, 0 validation pictures"
    )


def test_problems_are_listed_up_to_a_limit():
    problems = Problems()
    problems.raise_if_any()
    for number in range(MOST_PROBLEMS + 5):
        problems.add(f"a.txt, line {number}", "is wrong")

    with pytest.raises(DatasetError) as caught:
        problems.raise_if_any()

    assert "1005 errors" in str(caught.value)
    assert "a.txt, line 3: is wrong" in str(caught.value)
    assert "and 5 more" in str(caught.value)
    assert np.char.count(str(caught.value), "\n") == MOST_PROBLEMS + 1
