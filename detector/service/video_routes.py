"""Videos in, jobs out: progress, results, and what is counted at lines and zones."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from dataclasses import asdict
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from time import time
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import FileResponse, Response, StreamingResponse

from convert.files import write_whole
from detector.errors import SettingsError, VideoError
from detector.logs.frame_log import open_log
from detector.pipeline.log_events import find_events
from detector.service.job_store import LOG, VIDEO, ZONES, Incoming, Job, JobOptions, link_model
from detector.service.jobs import check_ended_well
from detector.service.models import Model
from detector.service.options import Options
from detector.service.picture_routes import as_json
from detector.service.request_errors import VIDEO as THE_VIDEO
from detector.service.request_errors import RequestError, busy
from detector.service.schemas import (
    JobAnswer,
    PlacesAnswer,
    ZonesAnswer,
    refusals,
    takes_toml,
    takes_video,
)
from detector.service.service import Service
from detector.service.uploads import is_multipart, read_body, save_form
from detector.service.video_check import SECONDS, SNIFFED_BYTES, CheckedVideo, VideoLimits, container_of
from detector.tracking.events import EventFinder
from detector.tracking.zone_file import parse_zones
from detector.tracking.zones import Zones

_ROOM = 3
"""How many times its size a video takes on the disk while it is processed."""

_MOST_EVENTS = 5000
_LONGEST_ZONES = 1 << 16
_ZONES_NAME = Path(ZONES)


def video_router(service: Service) -> APIRouter:
    """The routes."""
    router = APIRouter(tags=["videos"])

    @router.post(
        "/v1/videos",
        status_code=202,
        summary="Find objects in a video: begins a job",
        response_model=JobAnswer,
        responses=refusals(400, 404, 408, 409, 413, 415, 422, 503),
        openapi_extra=takes_video(),
    )
    async def upload(request: Request) -> Response:
        job = await _receive(request, service)
        answer = as_json(service.jobs.as_json(job), 202)
        answer.headers["Location"] = f"{service.settings.root_path}/v1/jobs/{job.id}"
        return answer

    @router.get("/v1/jobs/{number}", summary="How far a job is", response_model=JobAnswer, responses=refusals(404))
    async def state(number: str) -> Response:
        return as_json(service.jobs.as_json(service.jobs.get(number)))

    @router.get(
        "/v1/jobs/{number}/events",
        summary="How far a job is, as it goes on (server-sent events)",
        response_class=StreamingResponse,
        responses=refusals(404),
    )
    async def events(number: str) -> Response:
        return StreamingResponse(_stream(service, service.jobs.get(number)), media_type="text/event-stream")

    @router.get(
        "/v1/jobs/{number}/video",
        summary="The annotated video",
        response_class=FileResponse,
        responses=refusals(404, 409, 416),
    )
    async def video(number: str) -> Response:
        job = service.jobs.get(number)
        path = check_ended_well(job, service.jobs.store.path(job, VIDEO))
        return FileResponse(path, media_type="video/mp4", filename="detected.mp4", content_disposition_type="inline")

    @router.get(
        "/v1/jobs/{number}/log.jsonl",
        summary="The frame log",
        response_class=FileResponse,
        responses=refusals(404, 409, 416),
    )
    async def log(number: str) -> Response:
        job = service.jobs.get(number)
        path = check_ended_well(job, service.jobs.store.path(job, LOG))
        return FileResponse(path, media_type="application/jsonl")

    @router.delete("/v1/jobs/{number}", status_code=204, summary="Delete a job", responses=refusals(404))
    async def remove(number: str) -> Response:
        await service.jobs.remove(service.jobs.get(number))
        return Response(status_code=204)

    _add_zones(router, service)
    return router


def _add_zones(router: APIRouter, service: Service) -> None:
    limits = service.settings.limits

    @router.put(
        "/v1/jobs/{number}/zones",
        summary="Count at lines and zones, given as TOML",
        response_model=ZonesAnswer,
        responses=refusals(400, 404, 408, 409, 413, 422, 503),
        openapi_extra=takes_toml(),
    )
    async def count(number: str, request: Request) -> Response:
        job = service.jobs.get(number)
        log = check_ended_well(job, service.jobs.store.path(job, LOG))
        if job.options.track is None:
            raise RequestError(409, "the objects of this video were not followed; send it again with track", kind="off")
        with service.memory.share() as grow:
            text = await read_body(request, grow, limit=_LONGEST_ZONES, seconds=limits.body_seconds)
        answer = await service.explaining.run(lambda: _counted(log, parse_zones(text, _ZONES_NAME)))
        await asyncio.to_thread(write_whole, service.jobs.store.path(job, ZONES), text)
        return as_json(answer)

    @router.get(
        "/v1/jobs/{number}/zones",
        summary="The lines and zones",
        response_class=FileResponse,
        responses=refusals(404, 409),
    )
    async def zones(number: str) -> Response:
        job = service.jobs.get(number)
        path = service.jobs.store.path(job, ZONES)
        if not path.exists():
            raise RequestError(409, "this job has no lines and zones yet", kind="not_done")
        return FileResponse(path, media_type="application/toml", filename="zones.toml")

    @router.post(
        "/v1/zones",
        summary="The lines and zones of a TOML file, checked",
        response_model=PlacesAnswer,
        responses=refusals(400, 408, 413, 422),
        openapi_extra=takes_toml(),
    )
    async def check(request: Request) -> Response:
        with service.memory.share() as grow:
            text = await read_body(request, grow, limit=_LONGEST_ZONES, seconds=limits.body_seconds)
        # Not here: a polygon of many points takes a while to check.
        return as_json(await service.explaining.run(lambda: places_json(parse_zones(text, _ZONES_NAME))))


async def _receive(request: Request, service: Service) -> Job:
    """The job of an upload whose file is complete, checked and in its folder."""
    jobs, limits = service.jobs, service.settings.limits
    if not is_multipart(request):
        raise RequestError(415, "expected multipart/form-data with a part 'video'", kind="unsupported")
    if not jobs.check_room():
        raise busy(f"{jobs.limit} videos are waiting already", after_seconds=60)
    announced = request.headers.get("content-length", "0")
    room = jobs.store.free_bytes() // _ROOM
    if (int(announced) if announced.isdecimal() else 0) > room:
        raise busy("there is no room on the server's disk for this video", after_seconds=600)
    try:
        incoming = await asyncio.to_thread(jobs.store.incoming)
    except OSError as error:
        raise _no_room(service, error) from None
    try:
        with (incoming.folder / "upload").open("xb") as file:
            form = await save_form(
                request,
                file_field="video",
                limit=min(limits.video_bytes, room),
                seconds=limits.video_body_seconds,
                write=lambda data: asyncio.to_thread(file.write, data),
            )
        job = await _checked(service, incoming, dict(request.query_params) | form.fields)
        await asyncio.to_thread(incoming.keep, job)
    except OSError as error:
        raise _no_room(service, error) from None
    except RequestError as refusal:
        if refusal.status == 413 and room < limits.video_bytes:
            raise _no_room(service, refusal) from None
        raise
    finally:
        await asyncio.to_thread(incoming.discard)
    jobs.add(job)
    return job


async def _checked(service: Service, incoming: Incoming, given: dict[str, Any]) -> Job:
    """The job of a complete upload. Raises `RequestError` or `Yolo3Error` for one that is refused."""
    options = Options(given, known=("model", "confidence", "nms", "classes", "track", "zones"))
    model, chosen = _chosen(service, options)
    zones = options.text("zones")
    upload = incoming.folder / "upload"
    with upload.open("rb") as file:
        start = file.read(SNIFFED_BYTES)
    found = container_of(start)
    if found is None:
        raise VideoError(f"{THE_VIDEO}: is no video; expected MP4, MOV, MKV, WEBM, AVI, MPEG, TS, FLV, WMV or OGG")
    container, suffix = found
    limits = service.settings.limits
    upload = upload.rename(upload.with_suffix(suffix))
    checked = await _looked_at(upload, container, VideoLimits(limits.video_seconds, limits.video_pixels))
    if zones is not None:
        places = await service.explaining.run(partial(parse_zones, zones.encode(), _ZONES_NAME))
        places.for_picture(checked.width, checked.height, model.description.names)
        await asyncio.to_thread(write_whole, incoming.folder / ZONES, zones.encode())
    return Job(
        id=incoming.id,
        created=time(),
        model=model.name,
        model_file=link_model(incoming.folder, model.path),
        upload=upload.name,
        container=container,
        max_pixels=limits.video_pixels,
        width=checked.width,
        height=checked.height,
        total=checked.frames,
        options=chosen,
    )


def _chosen(service: Service, options: Options) -> tuple[Model, JobOptions]:
    """The model and the options of a video."""
    model = service.models.detecting(options.text("model"))
    settings = options.settings()
    settings.class_ids(model.description)
    track = options.choice("track", "bytetrack", "botsort", "ocsort", "sort")
    if track is not None and find_spec("trackers") is None:
        raise SettingsError("the server cannot track objects; install its extra: pip install -e '.[track]'")
    if options.text("zones") is not None and track is None:
        raise SettingsError("zones need objects that are followed; give track too, such as bytetrack")
    assert settings.classes is None or isinstance(settings.classes, tuple)
    classes = None if settings.classes is None else tuple(map(str, settings.classes))
    return model, JobOptions(settings.confidence, settings.nms, classes, track)  # type: ignore[arg-type]


async def _looked_at(upload: Path, container: str, limits: VideoLimits) -> CheckedVideo:
    """What a process of its own says of an uploaded file."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "detector.service.video_check", str(upload), container, json.dumps(asdict(limits))),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        output, _ = await asyncio.wait_for(process.communicate(), SECONDS)
        fields = json.loads(output)
    except (TimeoutError, ValueError):
        raise VideoError(f"{THE_VIDEO}: cannot be read; convert it to MP4 first") from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if "error" in fields:
        raise VideoError(fields["error"])
    return CheckedVideo(**fields)


async def _stream(service: Service, job: Job) -> AsyncIterator[bytes]:
    """How far a job is, as server-sent events."""
    yield b"retry: 2000\n\n"
    async for state in service.jobs.watch(job, service.stopping):
        yield b"data: " + json.dumps(state).encode() + b"\n\n"


def _counted(log: Path, zones: Zones) -> dict[str, object]:
    """What a log's objects did at these places."""
    run, frames = open_log(log)
    fitted = zones.for_picture(run.width, run.height, run.classes)
    finder = EventFinder(fitted, run.classes)
    events = [event.fields() for event in find_events(log, run, frames, finder)]
    at_places = [event for event in events if "place" in event]
    return {
        "lines": [
            {"name": name, "in": dict(count.entered), "out": dict(count.left)} for name, count in finder.lines.items()
        ],
        "zones": [
            {
                "name": name,
                "entries": dict(count.entries),
                "exits": dict(count.exits),
                "most": count.most,
                "mean_seconds": count.mean_dwell_seconds(),
            }
            for name, count in finder.zones.items()
        ],
        "objects": dict(finder.unique),
        "events": at_places[:_MOST_EVENTS],
        "events_in_all": len(at_places),
    }


def places_json(zones: Zones) -> dict[str, object]:
    """Lines and zones as the page holds them, in fractions of width and height."""
    width, height = zones.size or (1, 1)

    def point(place: tuple[float, float]) -> list[float]:
        return [place[0] / width, place[1] / height]

    fields: dict[str, dict[str, object]] = {
        item.name: {"name": item.name, "classes": list(item.classes), "anchor": item.anchor} for item in zones.places
    }
    return {
        "zones": [
            {
                **fields[zone.name],
                "polygon": [point(place) for place in zone.polygon],
                "stay_seconds": zone.stay_seconds,
                "above": zone.above,
            }
            for zone in zones.zones
        ],
        "lines": [{**fields[line.name], "from": point(line.start), "to": point(line.end)} for line in zones.lines],
    }


def _no_room(service: Service, error: Exception) -> RequestError:
    service.on_note(f"upload: {error}")
    return busy("the video cannot be stored on the server at the moment", after_seconds=600)
