"""What a request asks for: options from its address, form or JSON, each checked."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from starlette.requests import Request

from detector.service.fetching import fetch_public
from detector.service.request_errors import RequestError
from detector.service.service import Service
from detector.service.uploads import Grow, content_type, is_multipart, read_body, read_form
from detector.settings import Settings

Value = TypeVar("Value")

LEAST_CONFIDENCE = 0.01
"""Below it nearly every cell of a network is a box."""

MOST_DETECTIONS = 1000
_MOST_JSON_BYTES = 1 << 20


@dataclass(frozen=True)
class PictureRequest:
    """A picture and what is asked about it."""

    picture: bytes
    options: Mapping[str, Any]


async def read_picture_request(request: Request, service: Service, grow: Grow) -> PictureRequest:
    """The picture of a request: a form's part `picture`, the body itself, or fetched from the JSON's `url`.

    Options come from the address, or the form's or JSON's fields, which count more. Raises `RequestError`.
    """
    limits = service.settings.limits
    options: dict[str, Any] = dict(request.query_params)
    kind = content_type(request)
    if is_multipart(request):
        form = await read_form(
            request, grow, file_field="picture", limit=limits.picture_bytes, seconds=limits.body_seconds
        )
        options |= form.fields
        if form.file is None:
            raise RequestError(422, "the form has no part named 'picture' with the file", kind="invalid")
        return PictureRequest(form.file, options)
    if kind.startswith("image/") or kind == "application/octet-stream":
        body = await read_body(request, grow, limit=limits.picture_bytes, seconds=limits.body_seconds)
        return PictureRequest(body, options)
    if kind == "application/json":
        body = await read_body(request, grow, limit=_MOST_JSON_BYTES, seconds=limits.body_seconds)
        fields = parse_json(body)
        url = fields.pop("url", None)
        if not isinstance(url, str):
            raise RequestError(422, 'the JSON has no "url"; expected {"url": "https://…"}', kind="invalid")
        if not service.settings.allow_urls:
            raise RequestError(403, "pictures by address are off; the server's --allow-urls turns them on", kind="off")
        picture = await fetch_public(url, max_bytes=limits.picture_bytes)
        grow(len(picture))
        return PictureRequest(picture, options | fields)
    raise RequestError(
        415,
        "expected multipart/form-data with a part 'picture', a body of type image/…, or JSON with a url",
        kind="unsupported",
    )


def parse_json(body: bytes) -> dict[str, Any]:
    """A JSON object. Raises `RequestError` for anything else."""
    try:
        fields = json.loads(body)
    except (ValueError, RecursionError):
        raise RequestError(400, "the body is not JSON", kind="malformed") from None
    if not isinstance(fields, dict):
        raise RequestError(400, "the body is not a JSON object", kind="malformed")
    return fields


class Options:
    """Options by name, converted as they are asked for; a name that is never asked for is refused.

    Every method raises `RequestError` for a value of the wrong kind.
    """

    def __init__(self, given: Mapping[str, Any], *, known: tuple[str, ...]) -> None:
        for name in given:
            if name not in known:
                raise RequestError(422, f"there is no option {name[:40]!r}; known: {', '.join(known)}", kind="invalid")
        self._given = given

    def text(self, name: str) -> str | None:
        """A text; None where it is not given or empty."""
        value = self._given.get(name)
        if value is None or value == "":
            return None
        if not isinstance(value, str):
            raise self._wrong(name, "a text")
        return value

    def names(self, name: str) -> list[str] | None:
        """Texts separated by commas, or a list of them."""
        value = self._given.get(name)
        if isinstance(value, list) and all(
            isinstance(item, str | int) and not isinstance(item, bool) for item in value
        ):
            return [str(item) for item in value]
        text = self.text(name)
        return None if text is None else [item.strip() for item in text.split(",") if item.strip()]

    def number(self, name: str, *, least: float, most: float) -> float | None:
        """A number within bounds."""
        value = self._given.get(name)
        if value is None or value == "":
            return None
        try:
            found = math.nan if isinstance(value, bool) else float(value)
        except (TypeError, ValueError, OverflowError):
            found = math.nan
        if not least <= found <= most:
            raise self._wrong(name, f"a number from {least:g} to {most:g}")
        return found

    def whole(self, name: str, *, least: int, most: int) -> int | None:
        """A whole number within bounds."""
        found = self.number(name, least=least, most=most)
        if found is not None and found != int(found):
            raise self._wrong(name, f"a whole number from {least} to {most}")
        return None if found is None else int(found)

    def flag(self, name: str) -> bool:
        """Whether something is asked for."""
        value = self._given.get(name, False)
        if isinstance(value, bool):
            return value
        if str(value).lower() in ("1", "true", "yes", "on", "0", "false", "no", "off", ""):
            return str(value).lower() in ("1", "true", "yes", "on")
        raise self._wrong(name, "true or false")

    def choice(self, name: str, *choices: str) -> str | None:
        """One of several words."""
        value = self.text(name)
        if value is not None and value not in choices:
            raise self._wrong(name, f"one of {', '.join(choices)}")
        return value

    def settings(self) -> Settings:
        """The options of detection. Raises `SettingsError` too."""
        classes = self.names("classes")
        return Settings(
            confidence=_or(self.number("confidence", least=LEAST_CONFIDENCE, most=1), Settings.confidence),
            nms=_or(self.number("nms", least=0, most=1), Settings.nms),
            classes=None if not classes else tuple(classes),
            tiles=self.text("tiles"),
            max_detections=_or(self.whole("max_detections", least=1, most=MOST_DETECTIONS), MOST_DETECTIONS),
            agnostic=self.flag("agnostic"),
        )

    def _wrong(self, name: str, expected: str) -> RequestError:
        return RequestError(422, f"{name} is {str(self._given.get(name))[:60]!r}; expected {expected}", kind="invalid")


DETECTION = ("model", "confidence", "nms", "classes", "tiles", "max_detections", "agnostic")
"""The options of detection."""


def _or(given: Value | None, default: Value) -> Value:
    return default if given is None else given
