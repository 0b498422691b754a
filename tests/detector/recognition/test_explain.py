import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from convert import convert
from detector import Classifier, Detector, explain
from detector.drawing.heatmap import share_inside
from detector.engines.keras import load_model
from detector.errors import EngineError, SettingsError
from detector.images.reading import read_picture

LARGEST_SHARE_OUTSIDE = 0.4
PICTURES_WITH_D_RISE = 10


def test_the_heat_of_a_box_is_in_the_box(colour_model, flag):
    detector = Detector.open(colour_model, engine="keras")
    found = detector.detect(flag)

    for detection in found:
        heat = explain(detector, flag, detection)

        assert heat.shape == (96, 96)
        assert heat.max() == 1
        assert share_inside(heat, detection[0], grown=0.2) > 0.6


def test_detections_of_length_one_are_a_detection(colour_model, flag):
    detector = Detector.open(colour_model, engine="keras")
    found = detector.detect(flag)

    np.testing.assert_array_equal(explain(detector, flag, found[:1]), explain(detector, flag, next(iter(found))))
    with pytest.raises(SettingsError, match="2 detections"):
        explain(detector, flag, found)


def test_a_box_that_is_not_the_networks(colour_model, flag):
    detector = Detector.open(colour_model, engine="keras")

    with pytest.raises(SettingsError, match="no such box"):
        explain(detector, flag, (np.array([40, 2, 44, 90], np.float32), 0.9, 0, "red"))
    with pytest.raises(SettingsError, match="give one of the detections"):
        explain(detector, flag, "red")


def test_gradients_need_a_file(colour_model, flag):
    opened = Detector.open(colour_model, engine="keras")
    found = opened.detect(flag)

    with pytest.raises(EngineError, match="d-rise"):
        explain(Detector(opened.description, opened.engine), flag, found[:1])


def test_d_rise_agrees(colour_model, flag):
    detector = Detector.open(colour_model, engine="keras")
    found = detector.detect(flag)

    heat = explain(detector, flag, found[:1], method="d-rise", masks=60)

    row, column = np.unravel_index(heat.argmax(), heat.shape)
    left, top, right, bottom = found.xyxy[0]
    assert top - 16 <= row <= bottom + 16
    assert left - 16 <= column <= right + 16


def test_the_heat_of_a_class_is_where_its_colour_is(colour_classifier, thirds):
    classifier = Classifier.open(colour_classifier, engine="keras")

    heat = explain(classifier, thirds, "green")

    assert heat.shape == (48, 96)
    assert share_inside(heat, np.array([32, 0, 64, 48], np.float32)) > 0.9


def test_d_rise_of_a_class_is_warmer_where_its_colour_is(colour_classifier, thirds):
    classifier = Classifier.open(colour_classifier, engine="keras")

    heat = explain(classifier, thirds, "green", method="d-rise", masks=200)

    assert heat.shape == (48, 96)
    assert heat[:, 36:60].mean() > heat[:, 24:30].mean()
    assert heat[:, 36:60].mean() > heat[:, 66:72].mean()


def test_a_class_that_is_none(colour_classifier, thirds):
    classifier = Classifier.open(colour_classifier, engine="keras")

    for target in ("mauve", 3, -1):
        with pytest.raises(SettingsError, match="none of this classifier"):
            explain(classifier, thirds, target)


@pytest.fixture(scope="module")
def fastest(shared, tmp_path_factory) -> Path:
    """Yolo-Fastest-1.1-XL."""
    weights = shared / "assets" / "weights"
    model = tmp_path_factory.mktemp("fastest") / "fastest.h5"
    convert(weights / "yolo-fastest-1.1-xl.cfg", weights / "yolo-fastest-1.1-xl.weights", model)
    return model


def photos(shared):
    return sorted((shared / "assets" / "coco_val2017_128" / "images").glob("*.jpg"))


@pytest.mark.slow
def test_the_heat_of_real_detections_is_in_their_boxes(fastest, shared):
    detector = Detector.open(fastest, confidence=0.5)
    shares = []
    for path in photos(shared):
        picture = read_picture(path)
        shares += [share_inside(explain(detector, picture, one), one[0], grown=0.2) for one in detector.detect(picture)]

    assert len(shares) > 200
    assert np.mean(shares) >= 1 - LARGEST_SHARE_OUTSIDE


@pytest.mark.slow
def test_gradients_and_d_rise_agree_on_real_detections(fastest, shared):
    detector = Detector.open(fastest, confidence=0.5)
    correlations = []
    for path in photos(shared):
        picture = read_picture(path)
        found = detector.detect(picture)[:1]
        if len(found) and len(correlations) < PICTURES_WITH_D_RISE:
            maps = [
                explain(detector, picture, found, method="grad-cam"),
                explain(detector, picture, found, method="d-rise", masks=200),
            ]
            correlations.append(rank_correlation(*maps))

    assert np.mean(correlations) > 0.2


def rank_correlation(one, other):
    """Spearman's, of maps averaged to 32x32."""
    small = [cv2.resize(heat, (32, 32), interpolation=cv2.INTER_AREA).ravel() for heat in (one, other)]
    return np.corrcoef(*map(ranks, small))[0, 1]


def ranks(values):
    """Each value's place in the order of size; equal values share the middle of theirs."""
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[places]


@pytest.mark.slow
def test_explaining_takes_no_longer_than_five_passes_forward_and_back(fastest, shared):
    import tensorflow as tf

    detector = Detector.open(fastest, confidence=0.5)
    picture = read_picture(shared / "assets" / "images" / "dog.jpg")
    (detection, *_) = detector.detect(picture)
    model = load_model(fastest)
    batch = tf.constant(detector.fit(*picture.shape[1::-1]).network_input(picture)[None])

    @tf.function
    def forward_and_back():
        with tf.GradientTape() as tape:
            tape.watch(batch)
            total = tf.add_n([tf.reduce_sum(head) for head in model(batch, training=False)])
        return tape.gradient(total, batch)

    def best_of(run):
        run()
        seconds = []
        for _ in range(15):
            begin = time.perf_counter()
            run()
            seconds.append(time.perf_counter() - begin)
        return min(seconds)

    assert best_of(lambda: explain(detector, picture, detection)) <= 5 * best_of(forward_and_back)
