"""The Open Inference Protocol's tensors, in JSON and in its binary extension.

A request has one input: a UINT8 tensor (1, height, width, 3), RGB, or a BYTES tensor of one element, a picture's file
(in JSON as base64). https://github.com/kserve/open-inference-protocol, and Triton's `binary_data` extension.
"""

from __future__ import annotations

import base64
import binascii
import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detector.service.request_errors import RequestError

LENGTH_HEADER = "Inference-Header-Content-Length"

_DATATYPES = {"float32": "FP32", "int64": "INT64"}


@dataclass(frozen=True)
class InferRequest:
    """What an inference request holds."""

    picture: NDArray[np.uint8] | bytes
    """Pixels, or a picture's file."""
    id: str | None
    parameters: Mapping[str, Any]
    outputs: Mapping[str, bool] = field(default_factory=dict)
    """Which outputs are asked for, and whether each as binary data; all when empty."""
    binary: bool = False
    """Whether outputs are binary where nothing is said of them."""


def parse_infer_request(body: bytes, header_length: str | None, *, most_pixels: int) -> InferRequest:
    """The request in a body. Raises `RequestError`."""
    binary = b""
    if header_length is not None:
        if not header_length.isdecimal() or int(header_length) > len(body):
            raise _wrong(f"{LENGTH_HEADER} is not the length of the JSON")
        body, binary = body[: int(header_length)], body[int(header_length) :]
    try:
        fields = json.loads(body)
    except (ValueError, RecursionError):
        raise _wrong("the body is not JSON") from None
    inputs = fields.get("inputs") if isinstance(fields, dict) else None
    if not isinstance(inputs, list) or len(inputs) != 1 or not isinstance(inputs[0], dict):
        raise _wrong("expected one input")
    parameters = _parameters(fields)
    outputs = fields.get("outputs") or []
    if not isinstance(outputs, list) or not all(
        isinstance(one, dict) and isinstance(one.get("name"), str) for one in outputs
    ):
        raise _wrong("outputs must be a list of objects with a name")
    by_default = bool(parameters.get("binary_data_output", False))
    number = fields.get("id")
    return InferRequest(
        _picture(inputs[0], binary, most_pixels),
        number if isinstance(number, str) else None,
        {name: value for name, value in parameters.items() if name != "binary_data_output"},
        {one["name"]: bool(_parameters(one).get("binary_data", by_default)) for one in outputs},
        by_default,
    )


def infer_answer(
    model: str, asked: InferRequest, tensors: Mapping[str, NDArray[Any]]
) -> tuple[bytes, dict[str, str], str]:
    """The body, headers and media type of an answer. Raises `RequestError` for an output that there is not."""
    for name in asked.outputs:
        if name not in tensors:
            raise _wrong(f"there is no output {name[:40]!r}; known: {', '.join(tensors)}")
    outputs, binary = [], b""
    for name, tensor in tensors.items():
        if asked.outputs and name not in asked.outputs:
            continue
        record: dict[str, Any] = {
            "name": name,
            "datatype": _DATATYPES[str(tensor.dtype)],
            "shape": list(tensor.shape),
        }
        if asked.outputs.get(name, asked.binary):
            raw = np.ascontiguousarray(tensor).tobytes()
            record["parameters"] = {"binary_data_size": len(raw)}
            binary += raw
        else:
            record["data"] = tensor.reshape(-1).tolist()
        outputs.append(record)
    answer: dict[str, Any] = {"model_name": model, "model_version": "1", "outputs": outputs}
    if asked.id is not None:
        answer["id"] = asked.id
    head = json.dumps(answer).encode()
    if not binary:
        return head, {}, "application/json"
    return head + binary, {LENGTH_HEADER: str(len(head))}, "application/octet-stream"


def _parameters(fields: Mapping[str, Any]) -> dict[str, Any]:
    found = fields.get("parameters") or {}
    if not isinstance(found, dict):
        raise _wrong("parameters must be an object")
    return found


def _picture(given: Mapping[str, Any], binary: bytes, most_pixels: int) -> NDArray[np.uint8] | bytes:
    shape = given.get("shape")
    if not isinstance(shape, list) or not all(type(side) is int and side > 0 for side in shape):
        raise _wrong("the input's shape must be a list of whole numbers above 0")
    size = _parameters(given).get("binary_data_size")
    if size is not None and (type(size) is not int or size != len(binary)):
        raise _wrong("binary_data_size is not that of the data")
    match given.get("datatype"):
        case "BYTES":
            return _file(given.get("data"), binary, shape, is_binary=size is not None)
        case "UINT8":
            return _pixels(given.get("data"), binary, shape, most_pixels, is_binary=size is not None)
    raise _wrong("the input's datatype must be UINT8 (pixels) or BYTES (a picture's file)")


def _file(data: Any, binary: bytes, shape: list[int], *, is_binary: bool) -> bytes:
    if shape not in ([1], [1, 1]):
        raise _wrong("a BYTES input must have the shape [1]: one picture")
    if is_binary:
        if len(binary) < 4 or struct.unpack("<I", binary[:4])[0] != len(binary) - 4:
            raise _wrong("the element of the BYTES input does not have the length that it says")
        return binary[4:]
    while isinstance(data, list) and len(data) == 1:
        data = data[0]
    if not isinstance(data, str):
        raise _wrong("a BYTES input in JSON must be one text: the picture's file as base64")
    try:
        return base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        raise _wrong("the BYTES input is not base64") from None


def _pixels(data: Any, binary: bytes, shape: list[int], most_pixels: int, *, is_binary: bool) -> NDArray[np.uint8]:
    sides = shape[1:] if len(shape) == 4 and shape[0] == 1 else shape
    if len(sides) != 3 or sides[2] != 3:
        raise _wrong("a UINT8 input must have the shape [1, height, width, 3]: one picture, RGB")
    if sides[0] * sides[1] > most_pixels:
        raise RequestError(413, f"the picture has more than {most_pixels:,} pixels", kind="too_large")
    if is_binary:
        flat = np.frombuffer(binary, np.uint8)
    else:
        try:
            wide = np.asarray(data, np.int64)
        except (TypeError, ValueError, OverflowError):
            raise _wrong("the input's data must be whole numbers") from None
        if wide.size and (wide.min() < 0 or wide.max() > 255):
            raise _wrong("the input's data must be from 0 to 255")
        flat = wide.astype(np.uint8).reshape(-1)
    if flat.size != sides[0] * sides[1] * 3:
        raise _wrong(f"the input has {flat.size} numbers, not those of its shape")
    return flat.reshape(sides)


def _wrong(message: str) -> RequestError:
    return RequestError(400, message, kind="malformed")
