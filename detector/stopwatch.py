"""Where the time of a run goes, stage by stage."""

from __future__ import annotations

from collections.abc import Mapping
from time import perf_counter
from types import TracebackType


class Stage:
    """Adds up the seconds spent within `with stage:`; one thread at a time may be in it."""

    __slots__ = ("_began", "seconds")

    def __init__(self) -> None:
        self.seconds = 0.0
        self._began = 0.0

    def __enter__(self) -> None:
        self._began = perf_counter()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.seconds += perf_counter() - self._began


class Stopwatch:
    """The stages of a run by name, in the order in which they first came up."""

    def __init__(self) -> None:
        self._stages: dict[str, Stage] = {}

    def __getitem__(self, name: str) -> Stage:
        """The stage of this name, to be entered with `with`."""
        return self._stages.setdefault(name, Stage())

    @property
    def seconds(self) -> dict[str, float]:
        """What each stage took so far."""
        return {name: stage.seconds for name, stage in self._stages.items()}


def milliseconds(seconds: Mapping[str, float], frames: int) -> dict[str, float]:
    """What each stage took for one of so many frames, in milliseconds."""
    return {name: round(1000 * taken / max(1, frames), 3) for name, taken in seconds.items()}


TRACKS = {
    "reading": ("decode",),
    "finding": ("resize", "network", "boxes"),
    "writing": ("draw", "show", "encode", "log"),
}
"""The threads of the frame loop, which overlap, and the stages that each goes through."""

_FILLS = "█▓▒░"
_BAR_CELLS = 60


def bars(stage_ms: Mapping[str, float], frame_ms: float) -> list[str]:
    """Lines that show what each thread did in the time of one frame: its stages as bars, waiting as dots.

    Both arguments are means for a frame, in milliseconds.
    """
    lines = [f"{frame_ms:.2f} ms a frame; the three threads overlap"]
    for track, stages in TRACKS.items():
        parts = [(stage, stage_ms[stage]) for stage in stages if stage in stage_ms]
        if not parts:
            continue
        bar, spent = "", 0.0
        for (_, taken), fill in zip(parts, _FILLS, strict=False):
            spent += taken
            cells = round(_BAR_CELLS * min(1, spent / frame_ms)) if frame_ms else 0
            bar += fill * (cells - len(bar))
        legend = "  ".join(f"{fill} {stage} {taken:.2f}" for (stage, taken), fill in zip(parts, _FILLS, strict=False))
        lines.append(f"{track:8} {bar:·<{_BAR_CELLS}}  {legend}")
    return lines
