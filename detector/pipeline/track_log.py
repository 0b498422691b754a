"""Write a frame log with identities: each detection gets the number of its track."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO

import numpy as np

from convert.files import check_output, lock_outputs, replacing
from detector.errors import LogError, SettingsError
from detector.logs.frame_log import BoxRecord, EndRecord, FrameRecord, RunRecord, read_log
from detector.logs.log_lines import frames_claimed, gap_fields, json_line, run_fields
from detector.logs.records import Record
from detector.logs.replay import LogIndex
from detector.pipeline.logged_video import open_logged
from detector.pipeline.loop import Progress
from detector.pipeline.outputs import Bar
from detector.tracking.appearance import FEATURES, describe
from detector.tracking.motion import Floats
from detector.tracking.offline import DetectedFrame, OfflineSettings, TrackedFrame, track_frames
from detector.tracking.online import OnlineTracker, TrackerName, open_tracker
from detector.tracking.tracklets import Observations, Rows
from detector.video.frames import Gap

_BAR_FRAMES = 200

Looks = Callable[[DetectedFrame], Floats]
"""(n, features): what each detection of a frame looks like."""


@dataclass(frozen=True)
class TrackOptions:
    """How a log is tracked."""

    tracker: TrackerName | None = None
    """The online tracker that makes the first links; None for those of `tracklets`."""

    forward_only: bool = False
    """Stop after the first links, as a tracker that runs with the video would."""

    again: bool = False
    """Whether existing tracks of the log are replaced."""

    offline: OfflineSettings = field(default_factory=OfflineSettings)

    video: Path | None = None
    """The video of the log: broken tracks are then joined by what objects look like, too."""

    def check(self) -> None:
        """Raise `SettingsError` for options that contradict each other."""
        if self.video is not None and self.forward_only:
            raise SettingsError("--video helps to join tracks, which --forward-only leaves out; choose one of them")

    def as_json(self) -> dict[str, object]:
        """Return the settings for a log."""
        if self.forward_only:
            return {"track": self.tracker or "botsort"}
        looks = {} if self.video is None else {"looks": True}
        return {"track": "offline", "tracker": self.tracker or "motion", **looks, "tracking": asdict(self.offline)}


@dataclass(frozen=True)
class TrackResult:
    """What `track_log` did."""

    frames: int
    detections: int
    tracks: int
    tracked: int
    """Number of boxes of tracks that were detected."""
    interpolated: int
    """Number of boxes of tracks where nothing was detected."""
    notes: tuple[str, ...] = ()


def track_log(
    log: Path,
    out: Path,
    options: TrackOptions = TrackOptions(),
    *,
    overwrite: bool = False,
    bar: Bar,
) -> TrackResult:
    """Write `log` again with tracks in place of detections.

    Raise `LogError` for an invalid log or one that has tracks already, `OutputError` if `out` must not be written.
    """
    options.check()
    inputs = [log, *([options.video] if options.video else [])]
    check_output(out, overwrite=overwrite, inputs=inputs)
    with (
        _looks(log, options.video) as looks,
        lock_outputs(out),
        bar(frames_claimed(log)) as progress,
        replacing(out, inputs=inputs) as aside,
    ):
        records = read_log(log)
        run = next(records)
        assert isinstance(run, RunRecord)
        with aside.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file:
            return _Rewriting(log, run, options, file, progress, looks).write(records)


@contextmanager
def _looks(log: Path, source: Path | None) -> Iterator[Looks | None]:
    """A function that describes the detections of a frame by the pictures of a video, asked for one after the other."""
    if source is None:
        yield None
        return
    with open_logged(source, LogIndex(log)) as replay:
        frames = iter(replay)
        frame = next(frames, None)

        def looks(detected: DetectedFrame) -> Floats:
            nonlocal frame
            while frame is not None and frame.index < detected.frame:
                frame = next(frames, None)
            if frame is None or frame.index != detected.frame or frame.detections is None:
                return np.zeros((len(detected.confidence), FEATURES))
            return describe(frame.picture, detected.xyxy)

        yield looks


class _Rewriting:
    """One pass over a log; lines that are not frames are passed on in their place."""

    def __init__(
        self,
        log: Path,
        run: RunRecord,
        options: TrackOptions,
        file: IO[str],
        progress: Progress | None,
        looks: Looks | None,
    ) -> None:
        self._log, self._run, self._options, self._looks = log, run, options, looks
        self._file, self._progress = file, progress
        self._gaps: deque[Gap] = deque()
        self._end: EndRecord | None = None
        self._frames = self._detections = 0

    def write(self, records: Iterable[Record]) -> TrackResult:
        file, options = self._file, self._options
        file.write(json_line(run_fields(self._run, options.as_json())))
        tracks: int = 0
        tracked = interpolated = 0
        for frame in self._tracked(self._frames_of(records)):
            while self._gaps and self._gaps[0].after_frame < frame.frame:
                file.write(json_line(gap_fields(self._gaps.popleft())))
            file.write(json_line(_frame_fields(frame, self._run.classes)))
            tracks = max(tracks, int(frame.tracker_id.max(initial=0)))
            filled = int(frame.interpolated.sum())
            interpolated, tracked = interpolated + filled, tracked + int((frame.tracker_id >= 0).sum()) - filled
        for gap in self._gaps:
            file.write(json_line(gap_fields(gap)))
        notes = []
        if self._end is None:
            notes.append(f"{self._log}: has no last line, as after a killed run; {self._frames} frames are tracked")
        else:
            file.write(json_line({"type": "end", "frames": self._end.frames, "status": str(self._end.status)}))
        self._count(self._frames % _BAR_FRAMES)
        return TrackResult(self._frames, self._detections, tracks, tracked, interpolated, tuple(notes))

    def _tracked(self, frames: Iterator[DetectedFrame]) -> Iterator[TrackedFrame]:
        options, run = self._options, self._run
        rate = None if run.frame_rate is None else float(run.frame_rate)
        if options.forward_only:
            return _forward(open_tracker(options.tracker or "botsort", rate), frames)
        if options.tracker is None:
            return track_frames(frames, (run.width, run.height), options.offline, looks=self._looks)
        name = options.tracker
        return track_frames(
            frames,
            (run.width, run.height),
            options.offline,
            find_tracklets=lambda seen: _tracklets(open_tracker(name, rate), seen),
            looks=self._looks,
        )

    def _frames_of(self, records: Iterable[Record]) -> Iterator[DetectedFrame]:
        for record in records:
            if isinstance(record, Gap):
                self._gaps.append(record)
            elif isinstance(record, EndRecord):
                self._end = record
            elif isinstance(record, FrameRecord):
                found = self._detected(record)
                self._frames += 1
                self._detections += len(found)
                if self._frames % _BAR_FRAMES == 0:
                    self._count(_BAR_FRAMES)
                yield DetectedFrame(
                    record.frame,
                    record.time,
                    np.array([box.box for box in found], np.float64).reshape(-1, 4),
                    np.array([box.confidence for box in found], np.float64),
                    np.array([box.class_id for box in found], np.int64),
                    record.propagated,
                )

    def _detected(self, record: FrameRecord) -> list[BoxRecord]:
        found = [box for box in record.detections if not box.interpolated]
        if self._options.again:
            return found
        for box in record.detections:
            if box.track is not None:
                raise LogError(
                    f"{self._log}: has tracks already (track {box.track} in frame {record.frame}); "
                    "name the log that it was made from, or pass --again to replace them"
                )
        return found

    def _count(self, frames: int) -> None:
        if self._progress is not None:
            self._progress.update(frames)


def _forward(tracker: OnlineTracker, frames: Iterator[DetectedFrame]) -> Iterator[TrackedFrame]:
    """Yield each frame with the tracks that an online tracker gives it; boxes without a track stay."""
    for frame in frames:
        numbers = tracker.update(frame.time, frame.xyxy, frame.confidence, frame.class_id)
        classes = tracker.classes(numbers, frame.class_id)
        none = np.zeros(len(numbers), bool)
        yield TrackedFrame(
            frame.frame, frame.time, frame.xyxy, frame.confidence, classes, frame.propagated, numbers, none
        )


def _tracklets(tracker: OnlineTracker, seen: Observations) -> list[Rows]:
    """Return a tracker's links, as `tracklets.link_detections` does; boxes without a track are tracklets of one."""
    members: dict[int, list[int]] = {}
    alone: list[list[int]] = []
    for index, time in enumerate(seen.times.tolist()):
        rows = slice(seen.starts[index], seen.starts[index + 1])
        numbers = tracker.update(time, seen.xyxy[rows], seen.confidence[rows], seen.class_id[rows])
        for row, number in enumerate(numbers.tolist(), int(seen.starts[index])):
            if number < 0:
                alone.append([row])
            else:
                members.setdefault(number, []).append(row)
    return [np.array(rows, np.intp) for rows in (*members.values(), *alone)]


def _frame_fields(frame: TrackedFrame, classes: tuple[str, ...]) -> dict[str, object]:
    boxes = zip(
        frame.class_id.tolist(),
        frame.confidence.round(4).tolist(),
        frame.xyxy.round(2).tolist(),
        frame.tracker_id.tolist(),
        frame.interpolated.tolist(),
        strict=True,
    )
    detections: list[dict[str, object]] = []
    for class_id, confidence, box, track, interpolated in boxes:
        found = {"class_id": class_id, "name": classes[class_id], "confidence": confidence, "box": box}
        if track >= 0:
            found["track"] = track
        if interpolated:
            found["interpolated"] = True
        detections.append(found)
    fields: dict[str, object] = {"type": "frame", "frame": frame.frame, "time": frame.time}
    if frame.propagated:
        fields["propagated"] = True
    return {**fields, "detections": detections}
