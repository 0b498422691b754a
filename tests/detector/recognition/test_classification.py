import numpy as np
import pytest

from detector.errors import SettingsError
from detector.recognition.classification import AVERAGE, Classification, with_average


def classification(names, *probabilities):
    return Classification(np.array(probabilities, np.float32), tuple(names))


def test_top_is_best_first_and_ties_keep_their_order():
    found = classification("abcd", 0.2, 0.3, 0.3, 0.2)

    assert [one.name for one in found.top(3)] == ["b", "c", "a"]
    assert found.top(1)[0] == (1, "b", pytest.approx(0.3))
    assert len(found.top(9)) == 4


def test_records():
    assert classification("ab", 0.25, 0.75).as_records(1) == [{"class_id": 1, "name": "b", "probability": 0.75}]


def test_names_and_probabilities_are_of_one_length():
    with pytest.raises(ValueError, match="2 names"):
        classification("ab", 1.0)


def test_the_average_matches_classes_by_name():
    one, other = classification("abc", 0.5, 0.3, 0.2), classification("cab", 0.1, 0.6, 0.3)

    found = with_average({"one": one, "other": other})

    assert list(found) == [AVERAGE, "one", "other"]
    np.testing.assert_allclose(found["other"].probabilities, [0.6, 0.3, 0.1], rtol=1e-6)
    np.testing.assert_allclose(found[AVERAGE].probabilities, [0.55, 0.3, 0.15], rtol=1e-6)


def test_of_two_classes_with_one_name_the_first_is_matched_with_the_first():
    one, other = (
        classification(("crane", "dog", "crane"), 0.7, 0.2, 0.1),
        classification(("dog", "crane", "crane"), 0, 1, 0),
    )

    np.testing.assert_allclose(with_average({"one": one, "other": other})["other"].probabilities, [1, 0, 0])


def test_one_model_has_no_average():
    assert list(with_average({"one": classification("ab", 0.5, 0.5)})) == ["one"]


def test_models_of_other_classes_are_not_compared():
    with pytest.raises(SettingsError, match="other has other classes than one"):
        with_average({"one": classification("ab", 0.5, 0.5), "other": classification("ax", 0.5, 0.5)})
