"""The Open Inference Protocol, as its clients speak it."""

import base64
import json
import struct

import numpy as np
import pytest

from detector.detector import Detector

LENGTH = "Inference-Header-Content-Length"


def pixels_input(picture, **fields):
    return {"name": "image", "datatype": "UINT8", "shape": [1, *picture.shape], **fields}


def output(answer, name):
    return next(one for one in answer["outputs"] if one["name"] == name)


def test_health_and_metadata(service):
    assert service.client.get("/v2/health/live").status_code == 200
    assert service.client.get("/v2").json()["extensions"] == ["binary_tensor_data"]
    metadata = service.client.get("/v2/models/hues").json()
    assert metadata["outputs"] == [{"name": "probabilities", "datatype": "FP32", "shape": [1, 3]}]


@pytest.mark.parametrize("form", ["numbers", "nested", "file"])
def test_infers_from_json(service, models, flag, encoded, form):
    given = {
        "numbers": lambda: pixels_input(flag, data=flag.reshape(-1).tolist()),
        "nested": lambda: pixels_input(flag, data=[flag.tolist()]),
        "file": lambda: {
            "name": "image",
            "datatype": "BYTES",
            "shape": [1],
            "data": [base64.b64encode(encoded(flag)).decode()],
        },
    }[form]()
    body = {"id": "7", "inputs": [given], "parameters": {"confidence": 0.4}}

    answer = service.client.post("/v2/models/colours/infer", json=body).json()

    found = Detector.open(models / "colours.h5", confidence=0.4).detect(flag)
    assert (answer["id"], answer["model_name"]) == ("7", "colours")
    assert np.allclose(np.reshape(output(answer, "boxes")["data"], (-1, 4)), found.xyxy)
    assert output(answer, "classes") == {"name": "classes", "datatype": "INT64", "shape": [2], "data": [0, 2]}


@pytest.mark.parametrize("datatype", ["UINT8", "BYTES"])
def test_infers_from_binary_tensors(service, thirds, encoded, datatype):
    """What Triton's client sends: the tensor behind the JSON."""
    file = encoded(thirds)
    raw = thirds.tobytes() if datatype == "UINT8" else struct.pack("<I", len(file)) + file
    shape = [1, *thirds.shape] if datatype == "UINT8" else [1]
    tensor = {"name": "image", "datatype": datatype, "shape": shape, "parameters": {"binary_data_size": len(raw)}}
    head = json.dumps({"inputs": [tensor], "parameters": {"binary_data_output": True}}).encode()

    answer = service.client.post("/v2/models/hues/infer", content=head + raw, headers={LENGTH: str(len(head))})

    length = int(answer.headers[LENGTH])
    (found,) = json.loads(answer.content[:length])["outputs"]
    values = np.frombuffer(answer.content[length:], np.float32)
    assert found["parameters"]["binary_data_size"] == len(answer.content) - length
    assert values.shape == (3,) and values.sum() == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("[]", "one input"),
        ('{"inputs": [{"shape": [1, 2, 2, 3], "datatype": "FP32", "data": []}]}', "UINT8"),
        ('{"inputs": [{"shape": [1, 2, 2, 3], "datatype": "UINT8", "data": [1]}]}', "1 numbers"),
        ('{"inputs": [{"shape": [1, 1, 1, 3], "datatype": "UINT8", "data": [1, 2, 256]}]}', "0 to 255"),
        ('{"inputs": [{"shape": [2, 1, 1, 3], "datatype": "UINT8", "data": [1]}]}', "one picture"),
        ('{"inputs": [{"shape": [1], "datatype": "BYTES", "data": ["%%"]}]}', "base64"),
        ('{"inputs": [{"shape": [-1], "datatype": "BYTES", "data": ["aa"]}]}', "above 0"),
    ],
)
def test_errors_have_the_form_of_the_protocol(service, body, words):
    answer = service.client.post("/v2/models/colours/infer", content=body)
    assert answer.status_code == 400
    assert words in answer.json()["error"]
    assert service.client.get("/v2/models/none").json()["error"].startswith("there is no model")
