"""Export the tracks of a frame log for tools that label videos, which need each object's boxes together."""

from __future__ import annotations

import json
from array import array
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from convert.text import printable
from detector.errors import SettingsError
from detector.logs.box_formats import CVAT_END
from detector.logs.frame_log import FrameRecord, RunRecord

Frames = Iterator[FrameRecord]

_EDGES = 4


@dataclass
class _Track:
    """All boxes of one object, compact because a log may have millions."""

    frames: array[int] = field(default_factory=lambda: array("q"))
    places: array[int] = field(default_factory=lambda: array("q"))
    """The positions of these frames among all frames; consecutive frames have consecutive positions."""
    times: array[float] = field(default_factory=lambda: array("d"))
    edges: array[float] = field(default_factory=lambda: array("f"))
    names: Counter[str] = field(default_factory=Counter)
    confidence: float = 0.0

    @property
    def name(self) -> str:
        """The class of most of its boxes."""
        return self.names.most_common(1)[0][0]

    def box(self, index: int) -> tuple[float, float, float, float]:
        """Return left, top, right, bottom."""
        left, top, right, bottom = (
            round(edge, 2) for edge in self.edges[_EDGES * index : _EDGES * index + _EDGES].tolist()
        )
        return left, top, right, bottom

    def goes_on(self, index: int) -> bool:
        """Return whether the next frame has a box too."""
        return index + 1 < len(self.places) and self.places[index + 1] == self.places[index] + 1


@dataclass
class _Tracks:
    """The tracks of a log by their numbers, and what is known about its frames."""

    by_number: dict[int, _Track] = field(default_factory=dict)
    frames: array[int] = field(default_factory=lambda: array("q"))
    last_time: float = 0.0


def _collected(run: RunRecord, frames: Frames) -> _Tracks:
    """Read all frames. Raise `SettingsError` for a log whose boxes have no tracks."""
    found = _Tracks()
    for place, frame in enumerate(frames):
        found.frames.append(frame.frame)
        found.last_time = frame.time
        for box in frame.detections:
            if box.track is None:
                continue
            track = found.by_number.setdefault(box.track, _Track())
            track.frames.append(frame.frame)
            track.places.append(place)
            track.times.append(frame.time)
            track.edges.extend(box.box)
            track.names[box.name] += 1
            track.confidence += box.confidence
        if not found.by_number and frame.detections and "track" not in run.settings:
            raise SettingsError("the log has no tracks, which labels of a video require; make them with yolo3 track")
    return found


def cvat_video(run: RunRecord, frames: Frames) -> Iterator[str]:
    """Write the XML of "CVAT for videos 1.1" (docs.cvat.ai/docs/manual/advanced/xml_format): a track per object."""
    tracks = _collected(run, frames)
    yield '<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n<version>1.1</version>\n'
    labels = "".join(f"<label><name>{escape(printable(name))}</name></label>" for name in run.classes)
    frame_count = tracks.frames[-1] + 1 if tracks.frames else 0
    yield (
        f"<meta><task><size>{frame_count}</size><mode>interpolation</mode><labels>{labels}</labels><original_size>"
        f"<width>{run.width}</width><height>{run.height}</height></original_size></task>"
        f"<source>{escape(printable(Path(run.source).name))}</source></meta>\n"
    )
    for number, track in sorted(tracks.by_number.items()):
        yield f'<track id="{number}" label={quoteattr(printable(track.name))} source="auto">\n'
        for index, frame in enumerate(track.frames):
            box = track.box(index)
            yield _cvat_box(frame, box, outside=False)
            place = track.places[index] + 1
            if not track.goes_on(index) and place < len(tracks.frames):
                yield _cvat_box(tracks.frames[place], box, outside=True)  # otherwise it would stay to the end
        yield "</track>\n"
    yield CVAT_END


def _cvat_box(frame: int, box: tuple[float, float, float, float], *, outside: bool) -> str:
    edges = " ".join(f'{key}="{edge:.2f}"' for key, edge in zip(("xtl", "ytl", "xbr", "ybr"), box, strict=True))
    return f'<box frame="{frame}" outside="{int(outside)}" occluded="0" keyframe="1" {edges} z_order="0"></box>\n'


def labelstudio_video(run: RunRecord, frames: Frames) -> Iterator[str]:
    """Write a task of Label Studio with a `videorectangle` per object (labelstud.io/tags/videorectangle)."""
    tracks = _collected(run, frames)
    frame_count = tracks.frames[-1] + 1 if tracks.frames else 0
    head = {"data": {"video": run.source}}
    yield f'[\n{_json(head)[:-1]},"predictions":[{{"model_version":{_json(Path(run.model).name)},"result":[\n'
    for index, (number, track) in enumerate(sorted(tracks.by_number.items())):
        value = {
            "framesCount": frame_count,
            "duration": tracks.last_time,
            "sequence": [_keyframe(run, track, place) for place in range(len(track.frames))],
            "labels": [track.name],
        }
        result = {
            "id": f"track-{number}",
            "type": "videorectangle",
            "from_name": "box",
            "to_name": "video",
            "value": value,
            "score": round(track.confidence / len(track.frames), 4),
        }
        yield (",\n" if index else "") + _json(result)
    yield "\n]}]}\n]\n"


def _keyframe(run: RunRecord, track: _Track, index: int) -> dict[str, Any]:
    left, top, right, bottom = track.box(index)
    return {
        "frame": track.frames[index] + 1,  # counted from 1
        "enabled": track.goes_on(index),  # whether the object is there until the next of these
        "rotation": 0,
        "x": round(100 * left / run.width, 4),
        "y": round(100 * top / run.height, 4),
        "width": round(100 * (right - left) / run.width, 4),
        "height": round(100 * (bottom - top) / run.height, 4),
        "time": track.times[index],
    }


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
