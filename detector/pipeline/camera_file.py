"""The file that cameras are listed in, checked field by field.

[[camera]]
name = "door"
source = "rtsp://camera.example/1"   # or 0 for a camera of this machine, or a video played at its own pace
model = "yolov3"                     # default: the first that detects
confidence = 0.4                     # default: 0.25
classes = ["person"]                 # default: all
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from detector.errors import SettingsError
from detector.settings import Settings

_NAME = re.compile(r"[\w][\w -]{0,63}")
_SETTINGS = ("confidence", "classes")
_FIELDS = ("name", "source", "model", *_SETTINGS)


@dataclass(frozen=True)
class CameraEntry:
    """One camera."""

    name: str
    source: str
    """Its index, address or file; clients are not told of it."""
    model: str | None
    settings: Settings


def read_cameras(path: Path, defaults: Settings) -> dict[str, CameraEntry]:
    """Return the cameras of a file by name, in its order; `defaults` are the settings that it does not give.

    Raise `SettingsError`, naming the camera and what is wrong.
    """
    try:
        fields = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise SettingsError(f"{path}: the cameras cannot be read: {error.strerror or error}") from None
    except ValueError as error:
        raise SettingsError(f"{path}: is no TOML: {error}") from None
    tables = fields.pop("camera", [])
    if fields:
        raise SettingsError(f"{path}: holds {', '.join(map(repr, fields))}; expected [[camera]] tables only")
    if not isinstance(tables, list) or not tables or not all(isinstance(table, dict) for table in tables):
        raise SettingsError(f"{path}: holds no camera; expected [[camera]] with a name and a source")
    cameras: dict[str, CameraEntry] = {}
    for number, table in enumerate(tables, 1):
        camera = _camera(path, number, table, defaults)
        if camera.name in cameras:
            raise SettingsError(f"{path}: two cameras are named {camera.name!r}; give each a name of its own")
        cameras[camera.name] = camera
    return cameras


def _camera(path: Path, number: int, table: dict[str, Any], defaults: Settings) -> CameraEntry:
    where = f"{path}: camera {number}"
    for field in table:
        if field not in _FIELDS:
            raise SettingsError(f"{where} has no {field!r}; expected some of {', '.join(_FIELDS)}")
    name, source, model = table.get("name"), table.get("source"), table.get("model")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise SettingsError(f"{where}: its name is {name!r}; expected letters, digits, - and _, at most 64")
    if isinstance(source, bool) or not isinstance(source, str | int) or source == "":
        raise SettingsError(f"{where}: its source is {source!r}; expected an index, an address or a file")
    if model is not None and not isinstance(model, str):
        raise SettingsError(f"{where}: its model is {model!r}; expected a name")
    try:
        settings = replace(defaults, **{name: table[name] for name in _SETTINGS if name in table})
    except SettingsError as error:
        raise SettingsError(f"{where}: {error}") from None
    return CameraEntry(name, str(source), model, settings)
