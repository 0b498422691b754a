"""Measure the time of each stage of a run."""

from __future__ import annotations

from collections.abc import Mapping
from threading import Lock, local
from time import perf_counter
from types import TracebackType


class Stage:
    """Adds up the seconds spent within `with stage:`, by any number of threads."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._adding = Lock()
        self._began = local()

    def __enter__(self) -> None:
        self._began.at = perf_counter()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        took = perf_counter() - self._began.at
        with self._adding:
            self.seconds += took


class Stopwatch:
    """The stages of a run by name, in order of first use."""

    def __init__(self) -> None:
        self._stages: dict[str, Stage] = {}

    def __getitem__(self, name: str) -> Stage:
        """Return the stage with this name, to be entered with `with`."""
        return self._stages.setdefault(name, Stage())

    @property
    def seconds(self) -> dict[str, float]:
        """The seconds of each stage so far."""
        return {name: stage.seconds for name, stage in self._stages.items()}


def milliseconds(seconds: Mapping[str, float], frames: int) -> dict[str, float]:
    """Return the milliseconds per frame of each stage."""
    return {name: round(1000 * taken / max(1, frames), 3) for name, taken in seconds.items()}


TRACKS = {
    "reading": ("decode",),
    "finding": ("resize", "network", "boxes"),
    "writing": ("draw", "show", "encode", "log"),
}
"""The threads of the frame loop, which overlap, and their stages."""

_FILLS = "█▓▒░"
_BAR_CELLS = 60


def bars(stage_ms: Mapping[str, float], frame_ms: float, *, workers: int = 1) -> list[str]:
    """Return lines that show how each thread spent the time of one frame: stages as bars, waiting as dots.

    Times are means for a frame, in milliseconds. `workers` threads detected, each in its own frame.
    """
    lines = [f"{frame_ms:.2f} ms per frame; the three rows overlap"]
    for track, stages in TRACKS.items():
        parts = [(stage, stage_ms[stage]) for stage in stages if stage in stage_ms]
        if not parts:
            continue
        bar, spent = "", 0.0
        shared = workers if track == "finding" else 1
        for (_, taken), fill in zip(parts, _FILLS, strict=False):
            spent += taken / shared
            cells = round(_BAR_CELLS * min(1, spent / frame_ms)) if frame_ms else 0
            bar += fill * (cells - len(bar))
        legend = "  ".join(f"{fill} {stage} {taken:.2f}" for (stage, taken), fill in zip(parts, _FILLS, strict=False))
        if shared > 1:
            legend += f", in each of {shared} threads"
        lines.append(f"{track:8} {bar:·<{_BAR_CELLS}}  {legend}")
    return lines
