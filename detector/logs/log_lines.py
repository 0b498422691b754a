"""Write lines of a frame log again, and read its last line before the others."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping

from detector.logs.records import SCHEMA, EndRecord, LineError, RunRecord, record_of
from detector.video.frames import Gap

_LAST_BYTES = 4096


def run_fields(run: RunRecord, settings: Mapping[str, object] | None = None) -> dict[str, object]:
    """Return the first line, with further `settings`."""
    return {
        "type": "run",
        "schema": SCHEMA,
        "source": run.source,
        "width": run.width,
        "height": run.height,
        "frame_rate": None if run.frame_rate is None else str(run.frame_rate),
        "model": run.model,
        "model_sha256": run.model_sha256,
        "settings": {**run.settings, **(settings or {})},
        "classes": list(run.classes),
    }


def gap_fields(gap: Gap) -> dict[str, object]:
    """Return a line for a time without frames."""
    return {
        "type": "gap",
        "after_frame": gap.after_frame,
        "time": round(gap.time, 6),
        "seconds": round(gap.seconds, 3),
        "reason": gap.reason,
    }


def json_line(fields: Mapping[str, object]) -> str:
    """Return one line of compact JSON."""
    return json.dumps(fields, ensure_ascii=False, allow_nan=False, separators=(",", ":")) + "\n"


def frames_claimed(path: str | os.PathLike[str]) -> int | None:
    """Return how many frames the last line of a log states; None if there is none or it cannot be read."""
    try:
        with open(path, "rb") as file:  # noqa: PTH123 - any path-like object
            end = file.seek(0, os.SEEK_END)
            file.seek(max(0, end - _LAST_BYTES))
            last = file.read().rstrip(b"\n").rpartition(b"\n")[2]
        record = record_of(last, None)
    except (OSError, ValueError, LineError):
        return None
    return record.frames if isinstance(record, EndRecord) else None
