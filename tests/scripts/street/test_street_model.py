"""The demo network: the accuracy that the documentation states."""

import cv2
import numpy as np
import pytest

from convert import convert
from convert.files import file_sha256
from convert.names import configs_folder, read_names
from detector import Detector
from detector.evaluation.average_precision import Truth, score
from detector.heads.boxes import iou
from detector.video.frames import Frame
from scripts.street import NAMES, Clip, draw_shot, random_street
from scripts.street.demo import ContactSheet, Places, show

CFG = configs_folder() / "street.cfg"
WEIGHTS = configs_folder().parent / "model_data" / "street.weights"


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("street") / "street.h5"
    convert(CFG, WEIGHTS, path, names=CFG.with_suffix(".names"))
    return path


def test_it_is_small():
    assert WEIGHTS.stat().st_size <= 2_000_000


def test_the_page_states_its_digest():
    assert file_sha256(WEIGHTS) in (WEIGHTS.parents[1] / "docs" / "street.md").read_text("utf-8")


def test_its_names_are_those_of_the_street():
    assert read_names(CFG.with_suffix(".names")) == NAMES


def judged(detector, shots):
    shots = list(shots)
    truths = [Truth(shot.xyxy, shot.class_id) for shot in shots]
    return score(truths, [detector.detect(shot.picture) for shot in shots], NAMES)


def test_it_detects_objects_in_unseen_pictures(model):
    detector = Detector.open(model, confidence=0.01)

    result = judged(detector, (draw_shot(random_street(9_000_000 + number)) for number in range(25)))

    assert result.ap50 > 0.88
    assert result.ap > 0.55


@pytest.mark.slow
def test_it_is_as_good_as_promised(model):
    detector = Detector.open(model, confidence=0.001)

    result = judged(detector, (draw_shot(random_street(3_000_000 + number)) for number in range(500)))

    assert result.ap50 >= 0.9
    assert result.ap >= 0.6
    assert min(one.ap50 for one in result.classes.values()) >= 0.75


@pytest.mark.slow
def test_it_is_as_good_on_the_clip(model):
    result = judged(Detector.open(model, confidence=0.001), Clip())

    assert result.ap50 >= 0.9
    assert result.ap >= 0.6
    assert min(one.ap50 for one in result.classes.values()) >= 0.75


@pytest.mark.skipif(not hasattr(cv2.dnn, "readNetFromDarknet"), reason="OpenCV 5 reads no Darknet networks")
def test_opencv_detects_the_same_boxes_with_the_weights(model):
    """OpenCV's own importer, forward pass and decoding, before its suppression, which differs."""
    network = cv2.dnn.readNetFromDarknet(str(CFG), str(WEIGHTS))
    shot = draw_shot(random_street(4_000_001, 384, 224))
    network.setInput(cv2.dnn.blobFromImage(shot.picture, 1 / 255, (384, 224)))
    rows = np.concatenate(network.forward(network.getUnconnectedOutLayersNames()))
    theirs = np.concatenate([rows[:, :2] - rows[:, 2:4] / 2, rows[:, :2] + rows[:, 2:4] / 2], axis=1)
    theirs = np.clip(theirs * np.array([384, 224] * 2), 0, [384, 224] * 2).astype(np.float32)

    ours = Detector.open(model, confidence=0.3).detect(shot.picture)

    assert len(ours) >= 5
    for box, confidence, class_id, _ in ours:
        same = iou(box[None], theirs) >= 0.99
        assert np.abs(rows[same, 5 + class_id] - confidence).min() < 0.01


def test_the_demo_prints_its_results_and_draws_once(model, tmp_path, monkeypatch):
    weights = tmp_path / "street.weights"
    weights.write_bytes(WEIGHTS.read_bytes())
    places, clip = Places(tmp_path / "demo", weights), Clip(width=320, height=180, seconds=0.8)

    first = list(show(places, clip))
    second = list(show(places, clip))

    assert any(line.startswith("Drew ") for line in first)
    assert not any(line.startswith(("Drew ", "Read ")) for line in second)
    assert any("Against the known truth: AP50" in line for line in second)
    for name in ("street.mp4", "street.jsonl", "street.png", "clip.mp4"):
        assert (tmp_path / "demo" / name).is_file()


def test_the_contact_sheet_shows_frames_from_the_whole_of_a_video(tmp_path):
    from fractions import Fraction

    from detector.detections import Detections

    with ContactSheet(tmp_path / "sheet.png", 90) as sheet:
        for number in range(90):
            picture = np.full((20, 40, 3), number, np.uint8)
            sheet.write(Frame(number, number, Fraction(1, 25), picture), Detections.empty())

    image = cv2.imread(str(tmp_path / "sheet.png"))
    assert [int(image[10 + 213 * row, 10 + 426 * column, 0]) for row in range(3) for column in range(3)] == [
        round((part + 0.5) * 10) for part in range(9)
    ]
