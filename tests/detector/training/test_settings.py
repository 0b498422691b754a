import pytest

from detector.errors import SettingsError
from detector.training.settings import TrainSettings


@pytest.mark.parametrize(
    ("wrong", "word"),
    [
        ({"epochs": 0}, "epochs"),
        ({"batch": 0}, "batch"),
        ({"learning_rate": 0.0}, "learning_rate"),
        ({"learning_rate": float("nan")}, "learning_rate"),
        ({"flip": 1.5}, "flip"),
        ({"scale": 1.0}, "scale"),
        ({"warm_up": -1}, "warm_up"),
        ({"optimiser": "adagrad"}, "sgd, adam"),
        ({"schedule": "linear"}, "cosine, darknet"),
    ],
)
def test_values_out_of_range_are_named(wrong, word):
    with pytest.raises(SettingsError, match=word):
        TrainSettings(**wrong)
