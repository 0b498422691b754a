"""Live cameras over HTTP: pictures with boxes, and the boxes alone."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

from fastapi import APIRouter
from starlette.responses import Response, StreamingResponse

from detector.service.cameras import MOST_VIEWERS, LiveCamera
from detector.service.picture_routes import as_json
from detector.service.request_errors import busy, unknown
from detector.service.schemas import CamerasAnswer, refusals
from detector.service.service import Service

_BOUNDARY = "frame"


def camera_router(service: Service) -> APIRouter:
    """The routes."""
    router = APIRouter(tags=["cameras"])

    def named(name: str) -> LiveCamera:
        camera = service.cameras.get(name)
        if camera is None:
            raise unknown("there is no camera of this name")
        if camera.viewers >= MOST_VIEWERS:
            raise busy("too many watch this camera", after_seconds=10)
        return camera

    @router.get("/v1/cameras", summary="The cameras", response_model=CamerasAnswer, responses=refusals())
    async def cameras() -> Response:
        return as_json({"cameras": list(service.cameras)})

    @router.get(
        "/v1/cameras/{name}.mjpeg",
        summary="What a camera sees, with boxes",
        response_class=StreamingResponse,
        responses=refusals(404, 503),
    )
    async def pictures(name: str) -> Response:
        media = f"multipart/x-mixed-replace; boundary={_BOUNDARY}"
        return StreamingResponse(_pictures(service, named(name)), media_type=media)

    @router.get(
        "/v1/cameras/{name}/events",
        summary="The boxes of each frame (server-sent events)",
        response_class=StreamingResponse,
        responses=refusals(404, 503),
    )
    async def events(name: str) -> Response:
        return StreamingResponse(_events(service, named(name)), media_type="text/event-stream")

    return router


async def _pictures(service: Service, camera: LiveCamera) -> AsyncIterator[bytes]:
    async for shown in camera.watch(service.stopping):
        if shown is not None:
            head = f"--{_BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: {len(shown.jpeg)}\r\n\r\n"
            yield head.encode() + shown.jpeg + b"\r\n"


async def _events(service: Service, camera: LiveCamera) -> AsyncIterator[bytes]:
    yield b"retry: 2000\n\n"
    async for shown in camera.watch(service.stopping):
        if shown is None:
            words = camera.trouble or "waiting for the camera"
            yield b"event: trouble\ndata: " + json.dumps({"message": words}).encode() + b"\n\n"
        else:
            yield b"data: " + json.dumps(shown.fields, ensure_ascii=False).encode() + b"\n\n"
