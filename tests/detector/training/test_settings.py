import pytest

from detector.errors import SettingsError
from detector.training.settings import TrainSettings


@pytest.mark.parametrize(
    ("wrong", "word"),
    [
        ({"epochs": 0}, "epochs"),
        ({"batch": -1}, "batch"),
        ({"learning_rate": -1.0}, "learning_rate"),
        ({"learning_rate": float("nan")}, "learning_rate"),
        ({"flip": 1.5}, "flip"),
        ({"scale": 1.0}, "scale"),
        ({"warm_up": -1}, "warm_up"),
        ({"optimiser": "adagrad"}, "sgd, adam"),
        ({"schedule": "linear"}, "cosine, darknet"),
        ({"copy_paste": -0.1}, "copy_paste"),
        ({"mosaic_fade": float("nan")}, "mosaic_fade"),
        ({"label_smoothing": 1.0}, "label_smoothing"),
        ({"class_weights": ""}, "auto, none or a file"),
    ],
)
def test_values_out_of_range_are_named(wrong, word):
    with pytest.raises(SettingsError, match=word):
        TrainSettings(**wrong)


@pytest.mark.parametrize(
    ("epochs", "fade", "fractions"),
    [
        (1, 0.3, [0.8]),
        (4, 0.0, [0.8] * 4),
        (5, 0.6, [0.8, 0.8, 0.8, 0.4, 0.0]),
        (3, 1.0, [0.8, 0.4, 0.0]),
    ],
)
def test_mosaics_become_fewer_towards_the_end(epochs, fade, fractions):
    settings = TrainSettings(epochs=epochs, mosaic=0.8, mosaic_fade=fade)

    assert [settings.mosaic_fraction(epoch) for epoch in range(epochs)] == pytest.approx(fractions)


def test_a_run_of_an_earlier_version_goes_on_with_all_its_mosaics():
    stored = {key: value for key, value in TrainSettings(mosaic=0.5).as_json().items() if "fade" not in key}

    assert TrainSettings.from_json(stored).mosaic_fraction(99) == 0.5


@pytest.mark.parametrize(("pictures", "batch"), [(1, 2), (6, 2), (100, 2), (250, 5), (800, 16), (100_000, 16)])
def test_small_datasets_are_trained_in_small_batches(pictures, batch):
    assert TrainSettings().for_run(pictures).batch == batch
    assert TrainSettings(batch=8).for_run(pictures).batch == 8


def test_trained_weights_take_smaller_steps():
    assert TrainSettings().for_run(9, trained=True).learning_rate < TrainSettings().for_run(9).learning_rate
    assert TrainSettings(learning_rate=0.5).for_run(9, trained=True).learning_rate == 0.5
