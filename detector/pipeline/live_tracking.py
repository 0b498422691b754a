"""Track, count and report events while a video runs."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from io import FileIO
from pathlib import Path

import numpy as np

from convert.files import check_output, create, is_special, lock_outputs, rename_whole
from detector.detections import Detections
from detector.drawing.blur import hide
from detector.drawing.boxes import draw
from detector.drawing.zones import Trails
from detector.errors import SettingsError, WriteError
from detector.logs.frame_log import pending_log
from detector.pipeline.outputs import OnNote, ignore_note
from detector.pipeline.show_zones import draw_zones
from detector.settings import suggestions
from detector.tracking.event_files import json_lines
from detector.tracking.events import Event, EventFinder
from detector.tracking.online import TrackerName, open_tracker
from detector.tracking.zone_file import read_zones
from detector.tracking.zones import Zones
from detector.video.frames import Frame, VideoInfo
from detector.video.section import parse_seconds
from detector.video.status import KeepEarlier, RunStatus


@dataclass(frozen=True)
class TrackingOptions:
    """What to do with a video's objects in addition to detecting them."""

    tracker: TrackerName | None = None
    trails_seconds: float = 0.0
    """Length in seconds of the trail drawn behind each object."""
    zones: Path | None = None
    events: Path | None = None
    """A .jsonl file to which events are written as they happen; `-` is standard output."""
    blur: tuple[str, ...] = ()
    """Classes to hide in the image."""
    webhook: str | None = None
    """An address to which each event is posted as it happens."""
    mqtt: str | None = None
    """An MQTT topic to which each event is published."""

    def __post_init__(self) -> None:
        if not 0 <= self.trails_seconds <= 3600:
            raise SettingsError(f"trails of {self.trails_seconds:g} s are out of range; expected 0 to 3600")
        if self.events and self.events.suffix.lower() != ".jsonl" and str(self.events) != "-":
            raise SettingsError(
                f"{self.events}: events of a running video are written as .jsonl; "
                "for other formats use yolo3 events on its log"
            )

    @classmethod
    def of(
        cls,
        tracker: TrackerName | None,
        trails: str = "0",
        zones: Path | None = None,
        events: Path | None = None,
        blur: str | None = None,
        *,
        webhook: str | None = None,
        mqtt: str | None = None,
    ) -> TrackingOptions:
        """Return the options from a command's texts: a time such as `2s`, and class names with commas.

        Raise `SettingsError`.
        """
        seconds = parse_seconds("trails", trails)
        classes = tuple(name.strip() for name in (blur or "").split(",") if name.strip())
        return cls(tracker, seconds, zones, events, classes, webhook, mqtt)

    def check_live(self) -> None:
        """Raise `SettingsError` for options that need identities if the video has no tracker."""
        needs = {
            "--trails": bool(self.trails_seconds),
            "--zones": bool(self.zones),
            "--events": bool(self.events),
            "--webhook": bool(self.webhook),
            "--mqtt": bool(self.mqtt),
        }
        for option, given in needs.items():
            if given and self.tracker is None:
                raise SettingsError(f"{option} needs identities; pass --track too, such as --track bytetrack")

    @property
    def everything_off(self) -> bool:
        """Whether there is nothing to do."""
        return self.tracker is None and self.zones is None and not self.trails_seconds and not self.blur

    def as_json(self) -> dict[str, object]:
        """Return the settings for a log."""
        return {} if self.tracker is None else {"track": self.tracker}

    def numbered(self, number: int) -> TrackingOptions:
        """Return the options of one of several sources: `events.jsonl` becomes `events-1.jsonl`."""
        if self.events is None or str(self.events) == "-":
            return self
        return replace(self, events=self.events.with_name(f"{self.events.stem}-{number}{self.events.suffix}"))

    def check(self, names: tuple[str, ...]) -> None:
        """Raise `SettingsError` for a class to hide that the network does not have."""
        for name in self.blur:
            if name not in names:
                raise SettingsError(f"class {name!r} is not one of this network's {suggestions(name, names)}")


class LiveTracking:
    """Gives the detections of a video's frames, in order, their track numbers; draws and counts them."""

    def __init__(
        self,
        options: TrackingOptions,
        info: VideoInfo,
        names: tuple[str, ...],
        *,
        on_event: Callable[[Event], object] = lambda event: None,
        on_new_event: Callable[[Event], object] = lambda event: None,
        draws: bool = True,
    ) -> None:
        """`on_new_event` is not called for events in skipped frames of an earlier run.

        Every refined frame must be annotated too, unless nothing is drawn.

        Raise `SettingsError` or `ZonesError` if the options do not fit the video.
        """
        options.check(names)
        self._on_event, self._on_new_event, self._draws = on_event, on_new_event, draws
        rate = None if info.frame_rate is None else float(info.frame_rate)
        self._tracker = None if options.tracker is None else open_tracker(options.tracker, rate)
        zones = Zones(Path(), size=(info.width, info.height))
        if options.zones is not None:
            zones = read_zones(options.zones).for_picture(info.width, info.height, names)
        self._zones = zones
        self.finder = EventFinder(zones, names)
        self._trails = Trails(options.trails_seconds) if options.trails_seconds else None
        self._hidden = [number for number, name in enumerate(names) if name in options.blur]
        self._ahead: deque[tuple[int, dict[str, str], Detections]] = deque()
        """Index, labels and detections of the frames that are not drawn yet."""
        self.status = RunStatus.COMPLETE
        """How the run ended; set by it, as the events of an unfinished run replace no earlier ones."""

    def refine(self, frame: Frame, detections: Detections) -> Detections:
        """Return the detections with their track numbers; call it for every frame, in order.

        Without a tracker the detections keep their numbers.
        """
        tracked, events = self._tracked(frame, detections)
        for event in events:
            self._on_new_event(event)
        if self._draws:
            shown = tracked
            if self._tracker is not None:
                shown = replace(tracked, class_id=self._tracker.classes(_ids(tracked), tracked.class_id))
            self._ahead.append((frame.index, self._labels(), shown))
        return tracked

    def pass_over(self, frame: Frame) -> None:
        """Process a frame that an earlier run has drawn, with its detections."""
        if frame.detections is None:
            return
        tracked, _ = self._tracked(frame, frame.detections)
        if self._trails is not None:
            self._trails.follow(tracked, float(frame.time))

    def annotate(self, frame: Frame, detections: Detections) -> None:
        """Hide the chosen classes; draw zones, counts, trails and boxes."""
        shown = self.draw_places(frame, detections)
        hidden = np.isin(shown.class_id, self._hidden)
        draw(frame.image, shown[~hidden])

    def draw_places(self, frame: Frame, detections: Detections) -> Detections:
        """Do the same without boxes; return the detections whose boxes are to be drawn."""
        labels: dict[str, str] = {}
        while self._ahead and self._ahead[0][0] <= frame.index:
            index, counted, shown = self._ahead.popleft()
            if index == frame.index:
                labels, detections = counted, shown
        hide(frame.image, detections.xyxy[np.isin(detections.class_id, self._hidden)])
        draw_zones(frame.image, self._zones, labels)
        if self._trails is not None:
            self._trails.follow(detections, float(frame.time))
            self._trails.draw(frame.image)
        return detections

    def _tracked(self, frame: Frame, detections: Detections) -> tuple[Detections, list[Event]]:
        # Rounded as in the log: its events are then those of this run, and a resumed run continues identically.
        boxes = np.asarray(detections.xyxy, np.float64).round(2)
        time = round(float(frame.time), 6)
        if self._tracker is not None:
            confidence = np.asarray(detections.confidence, np.float64).round(4)
            picture = frame.picture if self._tracker.wants_pictures else None
            numbers = self._tracker.update(time, boxes, confidence, detections.class_id, picture)
            detections = replace(detections, tracker_id=numbers)
        events: list[Event] = []
        if detections.tracker_id is not None:
            events = self.finder.update(frame.index, time, boxes, detections.class_id, detections.tracker_id)
        for event in events:
            self._on_event(event)
        return detections, events

    def _labels(self) -> dict[str, str]:
        labels = {
            name: f"{name}: {line.entered.total()} in, {line.left.total()} out"
            for name, line in self.finder.lines.items()
        }
        return labels | {name: f"{name}: {len(zone.inside)}" for name, zone in self.finder.zones.items()}


@contextmanager
def live_tracking(
    options: TrackingOptions,
    info: VideoInfo,
    names: tuple[str, ...],
    *,
    inputs: tuple[str | Path, ...],
    overwrite: bool,
    on_note: OnNote,
    draws: bool,
) -> Iterator[LiveTracking]:
    """Yield a `LiveTracking` whose events go where the options say."""
    tracking: LiveTracking | None = None
    with (
        _sent(options, info, on_note) as on_new_event,  # first: a wrong address leaves no file behind
        event_output(
            options.events,
            overwrite=overwrite,
            inputs=inputs,
            live=info.live,
            status=lambda: tracking.status if tracking else RunStatus.FAILED,
            on_note=on_note,
        ) as on_event,
    ):
        tracking = LiveTracking(options, info, names, on_event=on_event, on_new_event=on_new_event, draws=draws)
        yield tracking


def _sent(
    options: TrackingOptions, info: VideoInfo, on_note: OnNote
) -> AbstractContextManager[Callable[[Event], object]]:
    """Open the destinations of events; the modules of the network are imported only if there is one."""
    if options.webhook is None and options.mqtt is None:
        return nullcontext(lambda event: None)
    from detector.pipeline.webhook import event_senders

    return event_senders(options.webhook, options.mqtt, source=info.source, on_note=on_note)


@contextmanager
def event_output(
    path: Path | None,
    *,
    overwrite: bool,
    inputs: tuple[str | Path, ...] = (),
    live: bool = False,
    status: Callable[[], RunStatus] = lambda: RunStatus.COMPLETE,
    on_note: OnNote = ignore_note,
) -> Iterator[Callable[[Event], object]]:
    """Yield a function that writes an event to a file, or with `-` to standard output, at once.

    Like a frame log the file has its final name from the start, unless it replaces an earlier one: that stays until
    the new one is whole. `status`, asked at the end, says how the run went; a `live` one is whole when it is
    interrupted. Raise `OutputError` if the file must not be written, `WriteError` if the disk fills.
    """
    if path is None:
        yield lambda event: None
        return
    if str(path) == "-":
        yield lambda event: print(*json_lines([event]), end="", flush=True)
        return
    check_output(path, overwrite=overwrite, inputs=inputs)
    keep = KeepEarlier.NO
    if path.exists() and not is_special(path):
        keep = KeepEarlier.UNTIL_END if live else KeepEarlier.UNTIL_COMPLETE
    written = path if keep is KeepEarlier.NO else pending_log(path)
    with lock_outputs(path):
        check_output(written, overwrite=overwrite, inputs=inputs)
        create(written)
        ending = RunStatus.FAILED
        try:
            with written.open("wb", buffering=0) as file:
                yield _writer(written, file)
            ending = status()
        finally:
            _settle(path, written, keep.keeps(ending), on_note)


def _writer(path: Path, file: FileIO) -> Callable[[Event], object]:
    """Return a function that writes an event's line, the whole of it or, on a full disk, nothing."""
    size = 0

    def write(event: Event) -> None:
        nonlocal size
        line = memoryview("".join(json_lines([event])).encode("utf-8", "backslashreplace"))
        written = 0
        try:
            while written < len(line):  # a nearly full disk may accept only part of it
                written += file.write(line[written:])
        except OSError as error:
            with suppress(OSError):  # a device cannot be truncated
                file.truncate(size)
            raise WriteError(f"{path}: could not be written: {error.strerror or error}") from error
        size += len(line)

    return write


def _settle(path: Path, written: Path, keeps_earlier: bool, on_note: OnNote) -> None:
    """Give an events file its final name, or say where it is."""
    if written == path:
        return
    if not keeps_earlier:
        try:
            rename_whole(written, Path(os.path.realpath(path)))
        except OSError as error:
            raise WriteError(f"{path}: could not be written: {error.strerror or error}") from error
    elif written.stat().st_size:
        on_note(f"{path}: are still the earlier events; those of this run are in {written}")
    else:
        written.unlink()


def _ids(detections: Detections) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    assert detections.tracker_id is not None
    return detections.tracker_id
