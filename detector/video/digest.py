"""What a frame log says in a few lines."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from detector.video.log import open_log


@dataclass
class ClassDigest:
    """One class over a whole video."""

    boxes: int = 0
    frames: int = 0
    """Frames with at least one."""
    first_seconds: float = 0.0
    last_seconds: float = 0.0
    most: int = 0
    """The most in one frame."""
    most_seconds: float = 0.0


@dataclass
class LogDigest:
    """A video's log, summed up."""

    source: str
    frames: int = 0
    boxes: int = 0
    last_seconds: float = 0.0
    classes: dict[str, ClassDigest] = field(default_factory=dict)
    boxes_by_second: Counter[int] = field(default_factory=Counter)

    def lines(self) -> list[str]:
        """For people to read, the most frequent class first."""
        lines = [f"{self.source}: {self.boxes} boxes in {self.frames} frames, {self.last_seconds:.2f} s"]
        for name, one in sorted(self.classes.items(), key=lambda item: -item[1].boxes):
            lines.append(
                f"{name}: {one.boxes} boxes in {one.frames} frames, seen {one.first_seconds:.2f} s to "
                f"{one.last_seconds:.2f} s, at most {one.most} at once (at {one.most_seconds:.2f} s)"
            )
        if self.boxes_by_second:
            second, boxes = self.boxes_by_second.most_common(1)[0]
            lines.append(f"busiest second: {second} s to {second + 1} s, {boxes} boxes")
        return lines


def digest_log(log: Path) -> LogDigest:
    """Sum up a frame log; `LogError` where it is none."""
    run, frames = open_log(log)
    digest = LogDigest(run.source)
    for frame in frames:
        digest.frames += 1
        digest.last_seconds = frame.time
        digest.boxes += len(frame.detections)
        if frame.detections:
            digest.boxes_by_second[int(frame.time // 1)] += len(frame.detections)
        for name, boxes in Counter(box.name for box in frame.detections).items():
            one = digest.classes.setdefault(name, ClassDigest(first_seconds=frame.time))
            one.boxes += boxes
            one.frames += 1
            one.last_seconds = frame.time
            if boxes > one.most:
                one.most, one.most_seconds = boxes, frame.time
    return digest
