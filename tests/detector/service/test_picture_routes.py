"""Pictures over HTTP: the answers are those of the library."""

import io

import numpy as np
import pytest
from PIL import Image

from detector.detector import Detector
from detector.drawing.heatmap import share_inside
from detector.recognition.classifier import Classifier
from detector.recognition.explain import explain


def test_detects_what_the_library_detects(service, models, flag, encoded):
    answer = service.post("/v1/detect", encoded(flag), confidence=0.4)

    assert answer.status_code == 200
    expected = Detector.open(models / "colours.h5", confidence=0.4, max_detections=1000).detect(flag).as_records()
    assert answer.json() == {"model": "colours", "width": 96, "height": 96, "detections": expected}
    assert [found["name"] for found in expected] == ["red", "blue"]


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP", "GIF"])
def test_takes_the_body_itself_in_every_format(service, flag, encoded, kind):
    answer = service.client.post(
        "/v1/detect?classes=blue", content=encoded(flag, kind), headers={"Content-Type": "image/anything"}
    )
    assert [found["name"] for found in answer.json()["detections"]] == ["blue"]


@pytest.mark.parametrize(("accept", "kind"), [("image/png", "PNG"), ("image/jpeg, */*;q=0.1", "JPEG")])
def test_draws_when_a_picture_is_accepted(service, flag, encoded, accept, kind):
    answer = service.client.post("/v1/detect", files={"picture": encoded(flag)}, headers={"Accept": accept})

    drawn = Image.open(io.BytesIO(answer.content))
    assert drawn.format == kind
    assert answer.headers["content-type"] == f"image/{kind.lower()}"
    assert (np.asarray(drawn.convert("RGB")) != flag).any()


def test_classifies_with_the_probabilities_of_the_library(service, models, thirds, encoded):
    answer = service.post("/v1/classify", encoded(thirds), top=2)

    expected = Classifier.open(models / "hues.h5").classify(thirds).as_records(2)
    assert answer.json() == {"width": 96, "height": 48, "models": {"hues": expected}}


def test_explains_a_detection_by_its_number(service, models, flag, encoded):
    answer = service.post("/v1/explain", encoded(flag), detection=1)
    none = service.post("/v1/explain", encoded(flag), detection=2)

    detector = Detector.open(models / "colours.h5")
    second = detector.detect(flag)[1]
    inside = share_inside(explain(detector, flag, second), second.xyxy[0])
    assert answer.headers["content-type"] == "image/jpeg"
    assert answer.headers["x-heat-inside-box"] == f"{inside:.4f}"
    assert none.status_code == 422 and "2 objects" in none.json()["error"]["message"]


def test_lists_the_models_of_the_folder(service):
    answer = service.client.get("/v1/models").json()
    assert answer["default"] == "colours"
    assert [(model["name"], model["task"], model["classes"]) for model in answer["models"]] == [
        ("colours", "detect", ["red", "green", "blue"]),
        ("hues", "classify", ["red", "green", "blue"]),
    ]


@pytest.mark.parametrize(
    ("path", "fields", "status", "words"),
    [
        ("/v1/detect", {"model": "../colours"}, 404, "no model of this name"),
        ("/v1/detect", {"model": "hues"}, 409, "names whole pictures"),
        ("/v1/classify", {"model": "colours"}, 409, "finds objects"),
        ("/v1/detect", {"confidence": "nan"}, 422, "confidence is 'nan'; expected a number from 0.01 to 1"),
        ("/v1/detect", {"confidence": "0"}, 422, "from 0.01"),
        ("/v1/detect", {"classes": "purple"}, 422, "purple"),
        ("/v1/detect", {"tiles": "8x8"}, 422, "expected at most 36"),
        ("/v1/detect", {"tiles": "x"}, 422, "tiles"),
        ("/v1/detect", {"engine": "keras"}, 422, "no option 'engine'"),
        ("/v1/classify", {"top": "1.5"}, 422, "whole number"),
    ],
)
def test_says_what_is_wrong_with_an_option(service, flag, encoded, path, fields, status, words):
    answer = service.post(path, encoded(flag), **fields)
    assert answer.status_code == status
    assert words in answer.json()["error"]["message"]
