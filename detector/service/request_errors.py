"""What clients are told when something is wrong: a status, a sentence, and never a path or a traceback."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from convert.errors import ModelFileError
from detector.errors import InputError, PictureError, SettingsError, VideoError, Yolo3Error, ZonesError

VIDEO = "the video"
PICTURE = "the picture"
"""What an uploaded picture is called in messages."""

_PATH = re.compile(r"(?<![\w:/.])(?:[A-Za-z]:)?[/\\](?:[^\s/\\:;,'\"]+[/\\])*([^\s/\\:;,'\"]*)")


class RequestError(Exception):
    """A request that is answered with an error."""

    def __init__(
        self, status: int, message: str, *, headers: Mapping[str, str] | None = None, kind: str = "refused"
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.headers = dict(headers or {})
        self.kind = kind
        """A word for programs, such as `too_large`."""

    def as_json(self) -> dict[str, object]:
        """The body of the answer."""
        return {"error": {"kind": self.kind, "message": self.message}}


def busy(what: str, *, after_seconds: int = 1) -> RequestError:
    """A refusal for the moment."""
    return RequestError(
        503,
        f"{what}; try again in {after_seconds} s",
        headers={"Retry-After": str(after_seconds)},
        kind="busy",
    )


def too_large(what: str) -> RequestError:
    """A refusal of a body or a picture beyond a limit."""
    return RequestError(413, what, kind="too_large")


def unknown(what: str) -> RequestError:
    """A name that stands for nothing here."""
    return RequestError(404, what, kind="not_found")


def request_error(error: Yolo3Error, *, hide: tuple[Path, ...] = ()) -> RequestError:
    """The answer for an error of the project; `hide` are the folders whose names are nobody's business."""
    message = without_paths(str(error), hide)
    match error:
        case PictureError() | VideoError():
            return RequestError(422, message, kind="unreadable")
        case SettingsError() | ZonesError():
            return RequestError(422, message, kind="invalid")
        case ModelFileError():
            return RequestError(409, message, kind="wrong_model")
        case InputError():
            return RequestError(422, message, kind="invalid")
    return RequestError(500, "the work failed; the server's log says why", kind="failed")


def without_paths(message: str, hide: tuple[Path, ...] = ()) -> str:
    """A message in which files have lost their folders."""
    for folder in sorted({str(form) for path in hide for form in (path, path.absolute())}, key=len, reverse=True):
        if folder not in ("", ".", "/"):
            message = message.replace(f"{folder}/", "").replace(folder, "")
    return _PATH.sub(lambda found: found[1], message)
