"""Define the lines of a frame log and check their content."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from detector.video.frames import Gap, VideoInfo
from detector.video.status import RunStatus

SCHEMA = 1

_LARGEST = 2**53
"""The largest integer that every JSON parser reads exactly."""

_FARTHEST_PIXEL = 1e7
_LONGEST_SECONDS = 1e12
_LARGEST_SIDE = 100_000
_SHOWN_LETTERS = 60
_FOUR_FLOATS = [float] * 4
_RATE = re.compile(r"\d{1,20}(\.\d{1,9}|/\d{1,20})?", re.ASCII)


@dataclass(frozen=True)
class RunRecord:
    """The log's first line: the source, the model and the settings."""

    source: str
    width: int
    height: int
    frame_rate: Fraction | None
    """Frames per second on average; None if unknown."""
    model: str
    model_sha256: str
    settings: Mapping[str, object]
    classes: tuple[str, ...]

    @classmethod
    def of(
        cls,
        info: VideoInfo,
        *,
        model: str,
        model_sha256: str,
        settings: Mapping[str, object],
        classes: Iterable[str],
    ) -> RunRecord:
        """Return the record of a run over the video that `info` describes; `settings` must be serialisable as JSON."""
        return cls(
            source=info.source,
            width=info.width,
            height=info.height,
            frame_rate=info.frame_rate,
            model=model,
            model_sha256=model_sha256,
            settings=settings,
            classes=tuple(classes),
        )


@dataclass(frozen=True)
class BoxRecord:
    """One box of a frame."""

    class_id: int
    name: str
    confidence: float
    box: tuple[float, float, float, float]
    """Left, top, right, bottom in pixels of the image as displayed."""
    track: int | None = None
    """The object's number, the same throughout the log; None if it is not tracked."""
    interpolated: bool = False
    """Whether the object was not detected here, but before and after."""


@dataclass(frozen=True)
class FrameRecord:
    """The line of one frame."""

    frame: int
    """Index in the source, from 0."""
    time: float
    """The frame's own timestamp in seconds, to the microsecond."""
    detections: tuple[BoxRecord, ...]
    propagated: bool = False
    """Whether the boxes come from an earlier frame, because no detector was run on this one."""


@dataclass(frozen=True)
class EndRecord:
    """The last line; absent if the run was killed."""

    frames: int
    status: RunStatus


Record = RunRecord | FrameRecord | Gap | EndRecord


@dataclass(frozen=True)
class PictureRecord:
    """The line of one image, as `yolo3 image --json` writes it."""

    source: str
    """The file or address of the image."""
    width: int
    height: int
    detections: tuple[BoxRecord, ...]
    model: str = ""
    """The network; empty in files of earlier versions."""


class LineError(Exception):
    """A line is invalid: the message says what was found and expected, `advice` what to do."""

    def __init__(self, what: str, advice: str = "remove the line, or write the log again") -> None:
        super().__init__(what)
        self.advice = advice


def record_of(line: bytes, classes: tuple[str, ...] | None) -> Record:
    """Parse a line; `classes` are those of the run, once its line has been read. Raise `LineError`."""
    fields = _object(line)
    match _field(fields, "type"):
        case "run":
            return _run(fields)
        case "frame":
            return FrameRecord(
                frame=_whole(fields, "frame"),
                time=_number(fields, "time", -_LONGEST_SECONDS, _LONGEST_SECONDS),
                detections=tuple(_box(one, classes) for one in _typed(fields, "detections", list, "a list")),
                propagated=_flag(fields, "propagated") or _flag(fields, "carried"),
            )
        case "gap":
            return Gap(
                after_frame=_whole(fields, "after_frame", least=-1),
                time=_number(fields, "time", -_LONGEST_SECONDS, _LONGEST_SECONDS),
                seconds=_number(fields, "seconds", 0, _LONGEST_SECONDS),
                reason=_typed(fields, "reason", str, "a string"),
            )
        case "end":
            status = _typed(fields, "status", str, "a string")
            if status not in list(RunStatus):
                raise LineError(f"its status is {_shown(status)}; expected one of {', '.join(RunStatus)}")
            return EndRecord(frames=_whole(fields, "frames"), status=RunStatus(status))
        case other:
            raise LineError(f"its type is {_shown(other)}; expected run, frame, gap or end")


def picture_of(line: bytes) -> PictureRecord:
    """Parse a line of `yolo3 image --json`. Raise `LineError`."""
    fields = _object(line)
    source = _typed(fields, "source", str, "a string")
    if not source or "\0" in source:
        raise LineError(f"its source is {_shown(source)}; expected the name of a picture")
    return PictureRecord(
        source=source,
        width=_whole(fields, "width", least=1, most=_LARGEST_SIDE),
        height=_whole(fields, "height", least=1, most=_LARGEST_SIDE),
        detections=tuple(_box(one, None) for one in _typed(fields, "detections", list, "a list")),
        model=_typed(fields, "model", str, "a string") if "model" in fields else "",
    )


def _object(line: bytes) -> dict[str, Any]:
    try:
        fields = json.loads(line)
    except (ValueError, RecursionError):
        raise LineError(f"found {_shown(line.decode(errors='replace').strip())}; expected a JSON object") from None
    if not isinstance(fields, dict):
        raise LineError(f"found {_shown(fields)}; expected a JSON object")
    return fields


def _run(fields: dict[str, Any]) -> RunRecord:
    if _field(fields, "schema") != SCHEMA:
        raise LineError(
            f"its schema is {_shown(fields['schema'])}; expected {SCHEMA}",
            "use the version of yolo3 that wrote the log, or a newer one",
        )
    classes = _typed(fields, "classes", list, "a list of strings")
    if not all(isinstance(name, str) for name in classes):
        raise LineError(f"its classes are {_shown(classes)}; expected a list of strings")
    return RunRecord(
        source=_typed(fields, "source", str, "a string"),
        width=_whole(fields, "width", least=1, most=_LARGEST_SIDE),
        height=_whole(fields, "height", least=1, most=_LARGEST_SIDE),
        frame_rate=_rate(fields),
        model=_typed(fields, "model", str, "a string"),
        model_sha256=_typed(fields, "model_sha256", str, "a string"),
        settings=_typed(fields, "settings", dict, "an object"),
        classes=tuple(classes),
    )


def _rate(fields: dict[str, Any]) -> Fraction | None:
    text = _field(fields, "frame_rate")
    if text is None:
        return None
    try:
        # Not Fraction(text): it accepts exponents, and 1e999999999 takes forever.
        rate = Fraction(text) if isinstance(text, str) and _RATE.fullmatch(text) else Fraction(0)
    except ZeroDivisionError:
        rate = Fraction(0)
    if not 0 < rate < _LARGEST:
        raise LineError(f'its frame_rate is {_shown(text)}; expected null, or a text such as "30000/1001"')
    return rate


def _box(fields: object, classes: tuple[str, ...] | None) -> BoxRecord:
    if not isinstance(fields, dict):
        raise LineError(f"one of its detections is {_shown(fields)}; expected an object")
    return _plain_box(fields, classes) or _checked_box(fields, classes)


def _plain_box(fields: dict[str, Any], classes: tuple[str, ...] | None) -> BoxRecord | None:
    """A box as this program writes it, checked at once; None for any other. Three quarters of reading a log is this."""
    class_id, name, confidence = fields.get("class_id"), fields.get("name"), fields.get("confidence")
    edges, track, interpolated = fields.get("box"), fields.get("track"), fields.get("interpolated", False)
    if type(edges) is not list or [type(edge) for edge in edges] != _FOUR_FLOATS:
        return None
    if type(class_id) is not int or type(name) is not str or type(confidence) is not float:
        return None
    if (track is not None and type(track) is not int) or type(interpolated) is not bool:
        return None
    left, top, right, bottom = edges
    near = min(edges) >= -_FARTHEST_PIXEL and max(edges) <= _FARTHEST_PIXEL and left + top + right + bottom < _LARGEST
    most = _LARGEST if classes is None else len(classes) - 1
    if not near or not 0 <= class_id <= most or not 0 <= confidence <= 1 or not 0 <= (track or 0) <= _LARGEST:
        return None
    if "track" in fields and track is None:
        return None
    return BoxRecord(class_id, name, confidence, (left, top, right, bottom), track, interpolated)


def _checked_box(fields: dict[str, Any], classes: tuple[str, ...] | None) -> BoxRecord:
    """A box whose fields are checked one by one, to say what is wrong with which."""
    edges = _typed(fields, "box", list, "four numbers")
    if len(edges) != 4 or not all(_is_number(edge, -_FARTHEST_PIXEL, _FARTHEST_PIXEL) for edge in edges):
        raise LineError(f"a box is {_shown(edges)}; expected four numbers: left, top, right, bottom in pixels")
    left, top, right, bottom = map(float, edges)
    most = _LARGEST if classes is None else len(classes) - 1
    return BoxRecord(
        class_id=_whole(fields, "class_id", most=most),
        name=_typed(fields, "name", str, "a string"),
        confidence=_number(fields, "confidence", 0, 1),
        box=(left, top, right, bottom),
        track=_whole(fields, "track") if "track" in fields else None,
        interpolated=_flag(fields, "interpolated"),
    )


def _flag(fields: dict[str, Any], name: str) -> bool:
    return name in fields and bool(_typed(fields, name, bool, "true or false"))


def _field(fields: dict[str, Any], name: str) -> Any:
    if name not in fields:
        raise LineError(f"{name!r} is missing")
    return fields[name]


def _typed(fields: dict[str, Any], name: str, kind: type[Any], expected: str) -> Any:
    value = _field(fields, name)
    if not isinstance(value, kind):
        raise LineError(f"its {name} is {_shown(value)}; expected {expected}")
    return value


def _whole(fields: dict[str, Any], name: str, *, least: int = 0, most: int = _LARGEST) -> int:
    value = _field(fields, name)
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise LineError(f"its {name} is {_shown(value)}; expected a whole number from {least} to {most}")
    return value


def _number(fields: dict[str, Any], name: str, least: float, most: float) -> float:
    value = _field(fields, name)
    if not _is_number(value, least, most):
        raise LineError(f"its {name} is {_shown(value)}; expected a number from {least:g} to {most:g}")
    return float(value)


def _is_number(value: object, least: float, most: float) -> bool:
    # Comparisons also handle NaN and integers beyond the range of a float.
    return isinstance(value, int | float) and not isinstance(value, bool) and least <= value <= most


def _shown(value: object) -> str:
    try:
        text = repr(value)
    except RecursionError:  # nested too deeply to be printed
        return f"a {type(value).__name__} nested too deeply"
    return text if len(text) <= _SHOWN_LETTERS else f"{text[:_SHOWN_LETTERS]}…"
