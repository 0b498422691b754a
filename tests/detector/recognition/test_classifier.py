import numpy as np
import pytest

from convert import convert
from detector.errors import ModelFileError, SettingsError
from detector.recognition.classifier import Classifier, centre_crop


def test_a_picture_is_named(colour_classifier):
    picture = np.zeros((40, 40, 3), np.uint8)
    picture[..., 2] = 255

    found = Classifier.open(colour_classifier, engine="keras").classify(picture)

    assert found.top(1)[0] == (2, "blue", pytest.approx(np.exp(10) / (np.exp(10) + 2), abs=1e-5))
    assert found.probabilities.sum() == pytest.approx(1)


def test_the_sides_of_a_wide_picture_are_not_seen(colour_classifier, thirds):
    found = Classifier.open(colour_classifier, engine="keras").classify(thirds)

    # The middle 48 of 96 columns hold all of green's 32 and 8 of each neighbour's.
    shares = np.exp(10 * np.array([8, 32, 8]) / 48)
    np.testing.assert_allclose(found.probabilities, shares / shares.sum(), atol=0.02)


@pytest.mark.parametrize(
    ("rows", "columns", "resized", "begin"),
    [(20, 40, (10, 20), (0, 5)), (40, 20, (20, 10), (5, 0)), (10, 10, (10, 10), (0, 0)), (5, 7, (10, 14), (0, 2))],
)
def test_centre_crop_is_the_middle_of_the_picture_at_the_shorter_side(rows, columns, resized, begin):
    import cv2

    picture = np.random.default_rng(0).integers(0, 256, (rows, columns, 3), np.uint8)
    expected = cv2.resize(picture, resized[::-1])[begin[0] : begin[0] + 10, begin[1] : begin[1] + 10]

    np.testing.assert_allclose(centre_crop(picture, 10, 10) * 255, expected, atol=1e-4)


def test_tiny_gives_darknets_probabilities(shared, tmp_path):
    weights = shared / "assets" / "weights"
    convert(weights / "tiny.cfg", weights / "tiny.weights", tmp_path / "tiny.h5")
    reference = np.load(shared / "reference" / "real" / "tiny.npz")
    classifier = Classifier.open(tmp_path / "tiny.h5")

    found = classifier.classify(reference["input_rgb_hwc_uint8"])
    elephant = classifier.classify(shared / "assets" / "images" / "elephant.jpg")

    (key,) = (key for key in reference.files if key.startswith("layer"))
    np.testing.assert_allclose(found.probabilities, reference[key], atol=1e-4)
    assert "African elephant" in [one.name for one in elephant.top(5)]


def test_a_detector_is_no_classifier(colour_model):
    with pytest.raises(ModelFileError, match="yolo3 image PICTURE"):
        Classifier.open(colour_model)


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(SettingsError, match=r"resnet51.*resnet50, vgg16"):
        Classifier.open("resnet51")


def test_a_model_file_has_its_own_weights(colour_classifier, tmp_path):
    with pytest.raises(SettingsError, match="leave them out"):
        Classifier.open(colour_classifier, weights=tmp_path / "other.h5")
