"""The bodies of requests and answers, as the OpenAPI description shows them."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field

from detector.service.settings import Limits


class Detection(BaseModel):
    """One object."""

    class_id: int
    name: str
    confidence: float = Field(ge=0, le=1)
    box: list[float] = Field(description="left, top, right, bottom in pixels of the picture as displayed")


class DetectAnswer(BaseModel):
    """What was found in a picture, best first."""

    model: str
    width: int
    height: int
    detections: list[Detection]


class RankedClass(BaseModel):
    """One class with its probability."""

    class_id: int
    name: str
    probability: float


class ClassifyAnswer(BaseModel):
    """What a picture shows, by model; of several models the average comes first."""

    width: int
    height: int
    models: dict[str, list[RankedClass]]


class ModelInfo(BaseModel):
    """A model of the folder."""

    name: str
    task: str = Field(description="detect or classify")
    width: int
    height: int
    classes: list[str]
    colours: list[str] = Field(description="in which each class is drawn, #rrggbb")
    open: bool = Field(description="whether it answers without being opened first")


class ModelsAnswer(BaseModel):
    """All models, and which is asked where none is named."""

    default: str
    models: list[ModelInfo]


class InfoAnswer(BaseModel):
    """What the server offers, and its limits."""

    urls: bool = Field(description="whether pictures may be given by address")
    tracking: bool = Field(description="whether objects of videos can be followed")
    cameras: list[str]
    picture_bytes: int
    video_bytes: int
    video_seconds: float


class CamerasAnswer(BaseModel):
    """The names of the cameras."""

    cameras: list[str]


class JobAnswer(BaseModel):
    """How far a video is."""

    id: str = Field(description="nobody else is told of it; whoever has it may see the results")
    state: str = Field(description="waiting, running, done or failed")
    model: str
    frames: int = Field(description="how many are done")
    total: int | None = Field(description="how many there are, as far as it is known")
    frames_per_second: float | None
    seconds_left: float | None
    width: int
    height: int
    tracked: bool
    zones: bool = Field(description="whether lines and zones were given")
    message: str | None = Field(description="why it failed")
    notes: list[str]
    expires: int | None = Field(description="when it is deleted, in seconds since 1970")


class PlacesAnswer(BaseModel):
    """Lines and zones, points as fractions of width and height."""

    lines: list[dict[str, Any]]
    zones: list[dict[str, Any]]


class ZonesAnswer(PlacesAnswer):
    """What was counted at lines and zones."""

    objects: dict[str, int] = Field(description="how many objects there were in all, by class")
    events: list[dict[str, Any]]
    events_in_all: int


class ErrorDetail(BaseModel):
    """What was wrong."""

    kind: str = Field(description="a word for programs")
    message: str = Field(description="a sentence for people")


class ErrorAnswer(BaseModel):
    """An error."""

    error: ErrorDetail


DETECTION_OPTIONS: dict[str, dict[str, Any]] = {
    "model": {"type": "string", "description": "a name of GET /v1/models; default: the first that detects"},
    "confidence": {"type": "number", "minimum": 0.01, "maximum": 1, "default": 0.25},
    "nms": {"type": "number", "minimum": 0, "maximum": 1, "default": 0.45},
    "classes": {"type": "string", "description": "only these, by name or id: person,car"},
    "tiles": {"type": "string", "description": "also look at overlapping tiles: 2x2, or auto"},
    "max_detections": {"type": "integer", "minimum": 1, "maximum": 1000},
    "agnostic": {"type": "boolean", "description": "also suppress overlapping boxes of different classes"},
}
CLASSIFICATION_OPTIONS: dict[str, dict[str, Any]] = {
    "model": {"type": "string", "description": "one or several names, separated by commas"},
    "top": {"type": "integer", "minimum": 1, "maximum": 1000, "default": 5},
}
EXPLANATION_OPTIONS: dict[str, dict[str, Any]] = {
    **DETECTION_OPTIONS,
    "detection": {
        "type": "integer",
        "minimum": 0,
        "maximum": 999,
        "default": 0,
        "description": "which detection, 0 is the best",
    },
    "class": {"type": "string", "description": "of a classifier: the class; default: the most probable"},
}
del EXPLANATION_OPTIONS["tiles"]


def takes_picture(options: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """The OpenAPI text of an operation on one picture."""
    limit = Limits().picture_bytes
    fields = {name: dict(schema) for name, schema in options.items()}
    picture = {"type": "string", "format": "binary", "description": f"the file, up to {limit:,} bytes"}
    return {
        "parameters": [
            {"name": name, "in": "query", "required": False, "schema": schema} for name, schema in fields.items()
        ],
        "requestBody": {
            "required": True,
            "content": {
                "multipart/form-data": {
                    "schema": {
                        "type": "object",
                        "required": ["picture"],
                        "properties": {"picture": picture, **fields},
                    }
                },
                "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
                "application/json": {
                    "schema": {
                        "type": "object",
                        "required": ["url"],
                        "properties": {"url": {"type": "string", "format": "uri"}, **fields},
                    }
                },
            },
        },
    }


VIDEO_OPTIONS: dict[str, dict[str, Any]] = {
    **{name: DETECTION_OPTIONS[name] for name in ("model", "confidence", "nms", "classes")},
    "track": {
        "type": "string",
        "enum": ["bytetrack", "botsort", "ocsort", "sort"],
        "description": "follow objects, so that they can be counted",
    },
    "zones": {"type": "string", "description": "a zones.toml: count at these places and draw them"},
}


def takes_video() -> dict[str, Any]:
    """The OpenAPI text of the upload of a video."""
    video = {"type": "string", "format": "binary", "description": f"the file, up to {Limits().video_bytes:,} bytes"}
    schema = {"type": "object", "required": ["video"], "properties": {"video": video, **VIDEO_OPTIONS}}
    return {"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": schema}}}}


def takes_toml() -> dict[str, Any]:
    """The OpenAPI text of an operation on a zones.toml."""
    return {"requestBody": {"required": True, "content": {"text/plain": {"schema": {"type": "string"}}}}}


def takes_tensors() -> dict[str, Any]:
    """The OpenAPI text of an inference request."""
    tensor = {
        "type": "object",
        "required": ["name", "datatype", "shape", "data"],
        "properties": {
            "name": {"type": "string"},
            "datatype": {"type": "string", "enum": ["UINT8", "BYTES"]},
            "shape": {"type": "array", "items": {"type": "integer"}},
            "data": {"type": "array", "items": {}},
        },
    }
    schema = {
        "type": "object",
        "required": ["inputs"],
        "properties": {
            "id": {"type": "string"},
            "parameters": {"type": "object"},
            "inputs": {"type": "array", "items": tensor, "minItems": 1, "maxItems": 1},
        },
    }
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


def refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The errors that an operation may answer with."""
    words = {
        400: "malformed",
        401: "a token is needed",
        403: "refused",
        404: "not found",
        408: "the body took too long",
        409: "the model is of another kind, or the job is not there yet",
        413: "too large",
        415: "an unsupported kind of body",
        416: "no such range",
        421: "another host's name",
        422: "cannot be understood",
        503: "busy; Retry-After says when to try again",
    }
    always = (401, 403, 421)
    return {status: {"model": ErrorAnswer, "description": words[status]} for status in sorted({*statuses, *always})}


OF_PICTURES = (400, 404, 408, 409, 413, 415, 422, 503)
