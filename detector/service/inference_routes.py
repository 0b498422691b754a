"""The Open Inference Protocol (version 2), so that clients of other inference servers work."""

from __future__ import annotations

import functools

import numpy as np
from fastapi import APIRouter, Request
from numpy.typing import NDArray
from starlette.responses import Response

from detector.recognition.classifier import Classifier
from detector.service.inference_protocol import (
    LENGTH_HEADER,
    InferRequest,
    infer_answer,
    parse_infer_request,
)
from detector.service.models import Model, OpenNetwork
from detector.service.options import DETECTION, Options
from detector.service.picture_routes import as_json
from detector.service.pictures import decode
from detector.service.schemas import refusals, takes_tensors
from detector.service.service import Service
from detector.service.uploads import read_body

_VERSION = "1"
_OPTIONS = tuple(name for name in DETECTION if name not in ("model", "tiles"))


def inference_router(service: Service) -> APIRouter:
    """The routes."""
    router = APIRouter(prefix="/v2", tags=["open inference protocol"])

    @router.get("", summary="The server", responses=refusals())
    async def server() -> Response:
        return as_json({"name": "yolo3", "version": _VERSION, "extensions": ["binary_tensor_data"]})

    @router.get("/health/live", summary="Whether the server runs", responses=refusals())
    async def live() -> Response:
        return as_json({"live": True})

    @router.get("/health/ready", summary="Whether the default model is open", responses=refusals(503))
    async def ready() -> Response:
        return as_json({"ready": service.ready}, 200 if service.ready else 503)

    @router.get("/models/{name}", summary="A model's tensors", responses=refusals(404))
    async def metadata(name: str) -> Response:
        return as_json(_metadata(service.models.named(name)))

    @router.get("/models/{name}/ready", summary="Whether a model answers", responses=refusals(404))
    async def model_ready(name: str) -> Response:
        await service.models.open(service.models.named(name))
        return as_json({"name": name, "ready": True})

    @router.post(
        "/models/{name}/infer",
        summary="Run a model",
        responses=refusals(400, 404, 408, 413, 422, 503),
        openapi_extra=takes_tensors(),
    )
    async def infer(name: str, request: Request) -> Response:
        model = service.models.named(name)
        limits = service.settings.limits
        with service.memory.share() as grow:
            body = await read_body(request, grow, limit=limits.picture_bytes, seconds=limits.body_seconds)
            network = await service.models.open(model)
            length = request.headers.get(LENGTH_HEADER)
            return await network.queue.run(
                functools.partial(_infer, model, network, body, length, limits.picture_pixels)
            )

    return router


def _infer(model: Model, network: OpenNetwork, body: bytes, length: str | None, most_pixels: int) -> Response:
    asked = parse_infer_request(body, length, most_pixels=most_pixels)
    pixels = decode(asked.picture, most_pixels=most_pixels) if isinstance(asked.picture, bytes) else asked.picture
    content, headers, media = infer_answer(model.name, asked, _tensors(network, asked, pixels))
    return Response(content, headers=headers, media_type=media)


def _tensors(
    network: OpenNetwork, asked: InferRequest, pixels: NDArray[np.uint8]
) -> dict[str, NDArray[np.float32] | NDArray[np.int64]]:
    if isinstance(network.network, Classifier):
        Options(asked.parameters, known=())
        return {"probabilities": network.network.classify(pixels).probabilities[None]}
    settings = Options(asked.parameters, known=_OPTIONS).settings()
    found = network.detector(settings).detect(pixels)
    return {"boxes": found.xyxy, "scores": found.confidence, "classes": found.class_id}


def _metadata(model: Model) -> dict[str, object]:
    outputs: list[dict[str, object]] = [
        {"name": "boxes", "datatype": "FP32", "shape": [-1, 4]},
        {"name": "scores", "datatype": "FP32", "shape": [-1]},
        {"name": "classes", "datatype": "INT64", "shape": [-1]},
    ]
    if not model.detects:
        outputs = [{"name": "probabilities", "datatype": "FP32", "shape": [1, len(model.description.names)]}]
    return {
        "name": model.name,
        "versions": [_VERSION],
        "platform": "yolo3_keras",
        "inputs": [{"name": "image", "datatype": "UINT8", "shape": [1, -1, -1, 3]}],
        "outputs": outputs,
    }
