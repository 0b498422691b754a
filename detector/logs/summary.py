"""Summarise a frame log in a few lines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from detector.logs.frame_log import EndRecord, FrameRecord, RunRecord, read_log
from detector.video.frames import Gap
from detector.video.status import RunStatus


@dataclass
class ClassSummary:
    """One class over a whole video."""

    boxes: int = 0
    frames: int = 0
    """Number of frames with at least one."""
    first_seconds: float = 0.0
    last_seconds: float = 0.0
    most: int = 0
    """The highest number in one frame."""
    most_seconds: float = 0.0


@dataclass
class LogSummary:
    """The summary of a log."""

    source: str
    frame_seconds: float = 0.0
    """Seconds for which a frame is shown; 0 if unknown."""
    frames: int = 0
    boxes: int = 0
    first_seconds: float = 0.0
    last_seconds: float = 0.0
    gaps: int = 0
    """Interruptions of a live source."""
    gap_seconds: float = 0.0
    status: RunStatus | None = None
    """How the run ended; None if its log does not say."""
    classes: dict[str, ClassSummary] = field(default_factory=dict)
    boxes_by_second: Counter[int] = field(default_factory=Counter)

    def lines(self) -> list[str]:
        """Return the summary as text, the most frequent class first."""
        seconds = (self.last_seconds - self.first_seconds + self.frame_seconds) if self.frames else 0.0
        lines = [f"{self.source}: {self.boxes} boxes in {self.frames} frames, {seconds:.2f} s"]
        for name, one in sorted(self.classes.items(), key=lambda item: -item[1].boxes):
            lines.append(
                f"{name}: {one.boxes} boxes in {one.frames} frames, seen {one.first_seconds:.2f} s to "
                f"{one.last_seconds:.2f} s, at most {one.most} at once (at {one.most_seconds:.2f} s)"
            )
        if self.boxes_by_second:
            second, boxes = self.boxes_by_second.most_common(1)[0]
            lines.append(f"busiest second: {second} s to {second + 1} s, {boxes} boxes")
        if self.gaps:
            times = "once" if self.gaps == 1 else f"{self.gaps} times"
            lines.append(f"the source was lost {times}, for {self.gap_seconds:.1f} s in all")
        if self.status is None:
            lines.append("the log has no end line: the run was killed or is still running")
        elif self.status is not RunStatus.COMPLETE:
            lines.append(f"the run ended before its source did: {self.status}")
        return lines

    def add(self, frame: FrameRecord) -> None:
        """Add a frame to the counts."""
        if not self.frames:
            self.first_seconds = frame.time
        self.frames += 1
        self.last_seconds = frame.time
        self.boxes += len(frame.detections)
        if frame.detections:
            self.boxes_by_second[int(frame.time // 1)] += len(frame.detections)
        for name, boxes in Counter(box.name for box in frame.detections).items():
            one = self.classes.setdefault(name, ClassSummary(first_seconds=frame.time))
            one.boxes += boxes
            one.frames += 1
            one.last_seconds = frame.time
            if boxes > one.most:
                one.most, one.most_seconds = boxes, frame.time


def summarize_log(log: Path, *, on_frame: Callable[[FrameRecord], object] | None = None) -> LogSummary:
    """Summarise a frame log; `on_frame` gets each of its frames too. Raise `LogError` for an invalid log."""
    records = read_log(log)
    run = next(records)
    assert isinstance(run, RunRecord)
    summary = LogSummary(run.source, float(1 / run.frame_rate) if run.frame_rate else 0.0)
    for record in records:
        if isinstance(record, FrameRecord):
            summary.add(record)
            if on_frame is not None:
                on_frame(record)
        elif isinstance(record, Gap):
            summary.gaps += 1
            summary.gap_seconds += record.seconds
        elif isinstance(record, EndRecord):
            summary.status = record.status
    return summary
