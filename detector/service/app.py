"""The application: routes, page and errors put together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from importlib.resources import files
from typing import Any

from fastapi import FastAPI, Request
from starlette.exceptions import HTTPException
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.staticfiles import StaticFiles

from convert.errors import Yolo3Error
from detector.service.camera_routes import camera_router
from detector.service.guard import COOKIE, Guard
from detector.service.inference_routes import inference_router
from detector.service.options import parse_json
from detector.service.picture_routes import as_json, picture_router
from detector.service.request_errors import RequestError, request_error
from detector.service.schemas import refusals
from detector.service.service import Service
from detector.service.uploads import read_body
from detector.service.video_routes import video_router

PAGE = files("detector.service") / "page"
"""The page's files."""

_MOST_SESSION_BYTES = 4096


def create_app(service: Service, *, on_access: Callable[[str], object] = lambda line: None) -> FastAPI:
    """The application of a service; `on_access` gets the lines of the access log."""
    settings = service.settings

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        opening = asyncio.create_task(_open_default(service))
        await service.start()
        try:
            yield
        finally:
            opening.cancel()
            await service.stop()

    app = FastAPI(
        title="yolo3",
        version="1",
        description="Objects in pictures, videos and cameras.",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url="/openapi.json",
    )
    app.add_middleware(Guard, settings=settings, metrics=service.metrics, on_access=on_access, on_note=service.on_note)
    _handle_errors(app, service)
    app.include_router(picture_router(service))
    app.include_router(video_router(service))
    app.include_router(camera_router(service))
    app.include_router(inference_router(service))
    _add_health(app, service)
    _add_page(app, service)
    return app


async def _open_default(service: Service) -> None:
    """Open the model that is asked where none is named, so that the first request does not wait for it."""
    try:
        await service.models.open(service.models.default)
    except Yolo3Error as error:
        service.on_note(str(error))


def _handle_errors(app: FastAPI, service: Service) -> None:
    hidden = (service.settings.models, service.settings.data)

    def answer(request: Request, refusal: RequestError) -> Response:
        # The Open Inference Protocol has its own form of errors.
        content = {"error": refusal.message} if "/v2/" in request.url.path else refusal.as_json()
        return JSONResponse(content, refusal.status, refusal.headers)

    @app.exception_handler(RequestError)
    async def refused(request: Request, error: RequestError) -> Response:
        return answer(request, error)

    @app.exception_handler(Yolo3Error)
    async def failed(request: Request, error: Yolo3Error) -> Response:
        refusal = request_error(error, hide=hidden)
        if refusal.status >= 500:
            service.on_note(f"request {request.scope.get('request_id')}: {error}")
        return answer(request, refusal)

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> Response:
        words = {404: "there is nothing at this address", 405: "this address does not take that method"}
        message = words.get(error.status_code, str(error.detail))
        kind = {404: "not_found", 405: "wrong_method"}.get(error.status_code, "refused")
        return answer(request, RequestError(error.status_code, message, headers=dict(error.headers or {}), kind=kind))


def _add_health(app: FastAPI, service: Service) -> None:
    @app.get("/healthz", tags=["health"], summary="Whether the server runs", responses=refusals())
    async def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/readyz", tags=["health"], summary="Whether the default model is open", responses=refusals(503))
    async def readyz() -> Response:
        ready = service.ready
        return as_json({"status": "ready" if ready else "starting"}, 200 if ready else 503)

    @app.get("/metrics", tags=["health"], summary="Counters for Prometheus", responses=refusals())
    async def metrics() -> Response:
        return Response(service.metrics.text(service.gauges()), media_type="text/plain; version=0.0.4")

    @app.post(
        "/v1/session", tags=["health"], summary="A cookie in place of the token", responses=refusals(400, 413, 422)
    )
    async def session(request: Request) -> Response:
        with service.memory.share() as grow:
            fields = parse_json(await read_body(request, grow, limit=_MOST_SESSION_BYTES, seconds=10))
        token = fields.get("token")
        if not isinstance(token, str):
            raise RequestError(422, 'expected {"token": "…"}', kind="invalid")
        response = Response(status_code=204)
        if service.settings.token is not None:
            guard: Guard = request.scope["guard"]
            response.set_cookie(
                COOKIE,
                guard.begin_session(token),
                httponly=True,
                samesite="strict",
                secure=request.url.scheme == "https",
                path=service.settings.root_path or "/",
            )
        return response


def _add_page(app: FastAPI, service: Service) -> None:
    folder = str(PAGE)

    def page(name: str) -> Callable[[], Any]:
        async def show() -> FileResponse:
            return FileResponse(f"{folder}/{name}", headers={"Cache-Control": "no-cache"})

        return show

    app.get("/", include_in_schema=False)(page("index.html"))
    app.get("/docs", include_in_schema=False)(page("docs.html"))
    app.mount("/static", StaticFiles(directory=folder), name="static")
