"""Pictures in, answers out: detect, classify, explain, and which models there are."""

from __future__ import annotations

import functools
import json
from typing import Any

import numpy as np
from fastapi import APIRouter, Request
from numpy.typing import NDArray
from starlette.responses import Response

from detector.detections import Detections
from detector.detector import Detector
from detector.drawing.boxes import draw
from detector.drawing.heatmap import overlay, share_inside
from detector.recognition.classification import Classification, with_average
from detector.recognition.classifier import Classifier
from detector.service.models import Model, OpenNetwork
from detector.service.options import DETECTION, Options, PictureRequest, read_picture_request
from detector.service.pictures import decode, encode, wanted_kind
from detector.service.request_errors import RequestError
from detector.service.schemas import (
    CLASSIFICATION_OPTIONS,
    DETECTION_OPTIONS,
    EXPLANATION_OPTIONS,
    OF_PICTURES,
    ClassifyAnswer,
    DetectAnswer,
    InfoAnswer,
    ModelsAnswer,
    refusals,
    takes_picture,
)
from detector.service.service import Service
from detector.settings import Settings

MOST_TILES = 36
"""Of one picture; each is a run of the network."""


def picture_router(service: Service) -> APIRouter:
    """The routes."""
    router = APIRouter(tags=["pictures"])
    pictures: dict[str, dict[str, object]] = {"image/jpeg": {}, "image/png": {}}

    @router.get("/v1/models", summary="The models", response_model=ModelsAnswer, responses=refusals())
    async def models() -> Response:
        service.models.refresh()
        return as_json(
            {"default": service.models.default.name, "models": [model.as_json() for model in service.models]}
        )

    @router.get("/v1/info", summary="What this server offers", response_model=InfoAnswer, responses=refusals())
    async def info() -> Response:
        return as_json(service.info())

    @router.post(
        "/v1/detect",
        summary="Find objects in a picture",
        response_model=DetectAnswer,
        responses={200: {"content": pictures}, **refusals(*OF_PICTURES)},
        openapi_extra=takes_picture(DETECTION_OPTIONS),
    )
    async def detect(request: Request) -> Response:
        with service.memory.share() as grow:
            asked = await read_picture_request(request, service, grow)
            return await _detect(service, asked, request.headers.get("accept", ""))

    @router.post(
        "/v1/classify",
        summary="Name a whole picture",
        response_model=ClassifyAnswer,
        responses=refusals(*OF_PICTURES),
        openapi_extra=takes_picture(CLASSIFICATION_OPTIONS),
    )
    async def classify(request: Request) -> Response:
        with service.memory.share() as grow:
            asked = await read_picture_request(request, service, grow)
            return await _classify(service, asked)

    @router.post(
        "/v1/explain",
        summary="Where the network looked: a heat map over the picture",
        response_class=Response,
        responses={
            200: {"content": pictures, "description": "the picture under the heat map"},
            **refusals(*OF_PICTURES),
        },
        openapi_extra=takes_picture(EXPLANATION_OPTIONS),
    )
    async def explain(request: Request) -> Response:
        with service.memory.share() as grow:
            asked = await read_picture_request(request, service, grow)
            return await _explain(service, asked, request.headers.get("accept", ""))

    return router


def as_json(content: dict[str, Any], status: int = 200) -> Response:
    """A JSON answer."""
    return Response(json.dumps(content, ensure_ascii=False), status, media_type="application/json")


async def _detect(service: Service, asked: PictureRequest, accept: str) -> Response:
    options = Options(asked.options, known=DETECTION)
    model = service.models.detecting(options.text("model"))
    settings = options.settings()
    kind = wanted_kind(accept)
    network = await service.models.open(model)
    detector = network.detector(settings)
    most_pixels = service.settings.limits.picture_pixels

    def work() -> Response:
        pixels = decode(asked.picture, most_pixels=most_pixels)
        _check_tiles(detector, pixels)
        found = detector.detect(pixels)
        if kind is not None:
            drawn = np.array(pixels)
            draw(drawn, found)
            return Response(encode(drawn, kind), media_type=f"image/{kind.lower()}")
        height, width = pixels.shape[:2]
        return as_json({"model": model.name, "width": width, "height": height, "detections": found.as_records()})

    return await network.queue.run(work)


async def _classify(service: Service, asked: PictureRequest) -> Response:
    options = Options(asked.options, known=("model", "top"))
    top = options.whole("top", least=1, most=1000) or 5
    names = list(dict.fromkeys(options.names("model") or [""]))
    most = service.settings.limits.classify_models
    if len(names) > most:
        raise RequestError(422, f"{len(names)} models are named; expected at most {most}", kind="invalid")
    models = [service.models.classifying(name) for name in names]
    networks = [(model.name, await service.models.open(model)) for model in models]
    most_pixels = service.settings.limits.picture_pixels
    # Decoded once, in the thread of the first model, then handed from one model's queue to the next.
    first = networks[0][1]
    pixels = await first.queue.run(lambda: decode(asked.picture, most_pixels=most_pixels))
    found: dict[str, Classification] = {}
    for name, network in networks:
        classifier = network.network
        assert isinstance(classifier, Classifier)
        found[name] = await network.queue.run(functools.partial(classifier.classify, pixels))
    height, width = pixels.shape[:2]
    averaged = {name: one.as_records(top) for name, one in with_average(found).items()}
    return as_json({"width": width, "height": height, "models": averaged})


async def _explain(service: Service, asked: PictureRequest, accept: str) -> Response:
    options = Options(asked.options, known=tuple(EXPLANATION_OPTIONS))
    model = service.models.named(options.text("model"))
    kind = wanted_kind(accept) or "JPEG"
    index = options.whole("detection", least=0, most=999) or 0
    wanted = options.text("class")
    settings = options.settings()
    network = await service.models.open(model)
    most_pixels = service.settings.limits.picture_pixels

    def work() -> Response:
        pixels = decode(asked.picture, most_pixels=most_pixels)
        shown, headers = _explained(network, model, pixels, index=index, wanted=wanted, settings=settings)
        return Response(encode(shown, kind), media_type=f"image/{kind.lower()}", headers=headers)

    return await service.explaining.run(work)


def _explained(
    network: OpenNetwork,
    model: Model,
    pixels: NDArray[np.uint8],
    *,
    index: int,
    wanted: str | None,
    settings: Settings,
) -> tuple[NDArray[np.uint8], dict[str, str]]:
    """The picture under its heat map, and what is said of it."""
    from detector.recognition.explain import explain  # imports TensorFlow: 3 s and 570 MB

    if isinstance(network.network, Classifier):
        classes = network.network.classify(pixels)
        target: int | str = classes.top(1)[0].class_id if wanted is None else wanted
        heat = explain(network.network, pixels, target)
        return overlay(pixels, heat), {}
    found: Detections = network.detector(settings).detect(pixels)
    if index >= len(found):
        raise RequestError(
            422, f"{model.name} finds {len(found)} objects in the picture, none with the number {index}", kind="invalid"
        )
    heat = explain(network.network, pixels, found[index])
    return overlay(pixels, heat), {"X-Heat-Inside-Box": f"{share_inside(heat, found.xyxy[index]):.4f}"}


def _check_tiles(detector: Detector, pixels: NDArray[np.uint8]) -> None:
    """Raise `RequestError` where a picture would be cut into too many tiles."""
    tiling = detector.settings.tiling
    if tiling is None:
        return
    height, width = pixels.shape[:2]
    own = detector.settings.input_size(detector.description)
    count = len(tiling.views(width, height, input_width=own.width, input_height=own.height))
    if count > MOST_TILES:
        raise RequestError(422, f"tiles cuts the picture into {count}; expected at most {MOST_TILES}", kind="invalid")
