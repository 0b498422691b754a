"""A frame log as one picture: counts over time, crossings, how long objects stay, where they are and how they move."""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from convert.files import check_output, replacing
from detector.errors import LogError, OutputError, SettingsError
from detector.logs.frame_log import FrameRecord, RunRecord, open_log
from detector.logs.log_lines import frames_claimed
from detector.logs.summary import LogSummary, summarize_log
from detector.pipeline.log_events import zones_for
from detector.pipeline.outputs import Bar
from detector.pipeline.show_zones import draw_zones, frame_at
from detector.tracking.events import Event, EventFinder
from detector.tracking.zones import Zones
from detector.video.frames import Picture

FORMATS = (".png", ".jpg", ".pdf", ".svg")

_BAR_FRAMES = 200
_MOST_BINS = 400
_MOST_CLASSES = 8
_GRID_COLUMNS = 160
_MOST_PATHS = 2000
_MOST_POINTS = 200
_STEP_PARTS = 0.01
"""Of the picture's diagonal: the points of a path are at least so far apart."""

_BACKGROUND = 235
_BACKGROUND_WIDTH = 640
_COLUMNS = 2
_UNITS = ((3600, "hours"), (60, "minutes"), (1, "seconds"))

Draw = Callable[[Any], object]
"""Draws into axes of matplotlib."""


@dataclass(frozen=True)
class PlotOptions:
    """What to make a picture of."""

    out: Path | None = None
    """The picture; None only counts."""
    zones: Path | None = None
    video: str | None = None
    """Whose first frame lies below heat map and paths."""
    overwrite: bool = False

    def check(self, log: Path) -> None:
        """Raise `OutputError` where the picture cannot or must not be written, `SettingsError` without matplotlib."""
        if self.out is None:
            return
        if self.out.suffix.lower() not in FORMATS:
            raise OutputError(f"{self.out}: a plot is not written as this; use one of {', '.join(FORMATS)}")
        inputs: list[str | Path] = [path for path in (log, self.zones, self.video) if path is not None]
        check_output(self.out, overwrite=self.overwrite, inputs=inputs)
        _figure_class()


class _Bins:
    """Means over time in at most so many bins, whose length doubles when time goes on."""

    def __init__(self, kinds: int) -> None:
        self._sums = np.zeros((kinds, _MOST_BINS))
        self._frames = np.zeros(_MOST_BINS)
        self._seconds = 0.1
        self._start: float | None = None
        self._used = 0

    def add(self, time: float, counts: NDArray[np.intp]) -> None:
        """Take the counts of a frame."""
        if self._start is None:
            self._start = time
        while (into := int((time - self._start) / self._seconds)) >= _MOST_BINS:
            for rows in (self._sums, self._frames[None]):
                rows[:, : _MOST_BINS // 2] = rows[:, ::2] + rows[:, 1::2]
                rows[:, _MOST_BINS // 2 :] = 0
            self._seconds *= 2
        self._sums[:, into] += counts
        self._frames[into] += 1
        self._used = into + 1

    @property
    def start(self) -> float:
        """The time of the first frame."""
        return self._start or 0.0

    def means(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The beginnings of the bins in seconds, and (kinds, bins) the mean counts in them."""
        begins = np.array([self.start + number * self._seconds for number in range(self._used)])
        return begins, self._sums[:, : self._used] / np.maximum(self._frames[: self._used], 1)


class _Paths:
    """The ways of tracks; of many, every second, fourth and so on."""

    def __init__(self, step: float) -> None:
        self._step = step
        self._every = 1
        self.points: dict[int, list[tuple[float, float]]] = {}
        self.names: dict[int, str] = {}

    def add(self, track: int, name: str, x: float, y: float) -> None:
        """Take the next position of a track."""
        if track % self._every:
            return
        way = self.points.setdefault(track, [])
        self.names[track] = name
        if not way or (abs(way[-1][0] - x) + abs(way[-1][1] - y) >= self._step and len(way) < _MOST_POINTS):
            way.append((x, y))
        if len(self.points) > _MOST_PATHS:
            self._every *= 2
            self.points = {number: way for number, way in self.points.items() if number % self._every == 0}


def summarize_with_tracks(log: Path, options: PlotOptions, *, bar: Bar) -> tuple[LogSummary, EventFinder | None]:
    """Summarise a log, and write the picture if there is to be one; what was counted, where the log has tracks.

    Raises `LogError` for a log without tracks where zones are given, `ZonesError` for zones that do not fit it.
    """
    options.check(log)
    run, _ = open_log(log)
    plot = LogPlot(run, options)
    with bar(frames_claimed(log)) as progress:
        done = 0

        def on_frame(frame: FrameRecord) -> None:
            nonlocal done
            plot.add(frame)
            done += 1
            if progress is not None and done % _BAR_FRAMES == 0:
                progress.update(_BAR_FRAMES)

        summary = summarize_log(log, on_frame=on_frame)
    if options.zones and not plot.tracked and summary.boxes:
        raise LogError(f"{log}: has no tracks; make them with yolo3 track {log} OUT.jsonl, and name that")
    if options.out:
        plot.write(options.out)
    return summary, plot.finder if plot.tracked else None


class LogPlot:
    """What a plot needs of a log, collected frame by frame in memory that does not grow with it."""

    def __init__(self, run: RunRecord, options: PlotOptions) -> None:
        self._run, self._options = run, options
        self._zones = zones_for(run, options.zones)
        self.finder = EventFinder(self._zones, run.classes)
        self._bins = _Bins(len(run.classes))
        rows = max(1, round(_GRID_COLUMNS * run.height / run.width))
        self._heat = np.zeros((rows, _GRID_COLUMNS))
        self._paths = _Paths(_STEP_PARTS * float(np.hypot(run.width, run.height)))
        self._crossings: dict[tuple[str, str], array[float]] = defaultdict(lambda: array("d"))
        self._stays: dict[str, array[float]] = defaultdict(lambda: array("d"))
        self._tracked = False
        self._last_time = 0.0

    @property
    def tracked(self) -> bool:
        """Whether the log has tracks."""
        return self._tracked

    def add(self, frame: FrameRecord) -> None:
        """Take the next frame."""
        found = frame.detections
        boxes = np.array([box.box for box in found], np.float64).reshape(-1, 4)
        class_id = np.array([box.class_id for box in found], np.intp)
        self._last_time = frame.time
        self._bins.add(frame.time, np.bincount(class_id, minlength=len(self._run.classes)))
        rows, columns = self._heat.shape
        scale = np.array([columns / self._run.width, rows / self._run.height] * 2)
        cells = np.concatenate([np.floor(boxes[:, :2] * scale[:2]), np.ceil(boxes[:, 2:] * scale[2:])], 1)
        for left, top, right, bottom in np.maximum(cells, 0).astype(int).tolist():
            self._heat[top:bottom, left:right] += 1
        for box in found:
            if box.track is not None:
                self._tracked = True
                left, _, right, bottom = box.box
                self._paths.add(box.track, box.name, (left + right) / 2, bottom)
        numbers = np.array([-1 if box.track is None else box.track for box in found], np.int64)
        for event in self.finder.update(frame.frame, frame.time, boxes, class_id.astype(np.int64), numbers):
            self._note(event)

    def _note(self, event: Event) -> None:
        if event.kind == "crossed" and event.place and event.direction:
            self._crossings[event.place, event.direction].append(event.time)
        elif event.kind == "left" and event.place and event.seconds is not None:
            self._stays[f"in {event.place}"].append(event.seconds)
        elif event.kind == "vanished" and event.seconds is not None and not self._zones.zones:
            self._stays["in the picture"].append(event.seconds)

    def write(self, out: Path) -> None:
        """Draw everything and write the picture."""
        panels = self._panels()
        rows = -(-len(panels) // _COLUMNS)
        figure = _figure_class()(figsize=(13, 3.6 * rows), layout="constrained")
        grid = figure.add_gridspec(rows, _COLUMNS)
        for number, (title, draw) in enumerate(panels):
            axes = figure.add_subplot(grid[number // _COLUMNS, number % _COLUMNS])
            axes.set_title(title, fontsize=10)
            draw(axes)
        with replacing(out) as private:
            figure.savefig(private, dpi=110, format=out.suffix.lower().removeprefix("."))

    def _panels(self) -> Sequence[tuple[str, Draw]]:
        panels: list[tuple[str, Draw]] = [("objects in a frame", self._draw_counts)]
        if self._zones.lines:
            panels.append(("crossings", self._draw_crossings))
        if self._tracked:
            panels.append(("different objects", self._draw_unique))
            panels.append(("how long they stay", self._draw_stays))
        panels.append(("where they are", self._draw_heat))
        if self._tracked:
            panels.append(("how they move (feet)", self._draw_paths))
        return panels

    def _draw_counts(self, axes: Any) -> None:
        begins, means = self._bins.means()
        totals = means.sum(1)
        for kind in np.argsort(-totals, kind="stable")[:_MOST_CLASSES]:
            if totals[kind]:
                axes.step(begins, means[kind], where="post", label=self._run.classes[kind], linewidth=1)
        _time_axis(axes, self._last_time)
        _legend(axes)

    def _draw_crossings(self, axes: Any) -> None:
        for number, line in enumerate(self._zones.lines):
            for direction, style in (("in", "-"), ("out", "--")):
                times = self._crossings.get((line.name, direction), array("d"))
                steps = [self._bins.start, *times, self._last_time]
                counts = [0, *range(1, len(times) + 1), len(times)]
                label = f"{line.name}: {len(times)} {direction}"
                axes.step(steps, counts, style, where="post", label=label, color=f"C{number}")
        _time_axis(axes, self._last_time)
        _legend(axes)

    def _draw_unique(self, axes: Any) -> None:
        most = self.finder.unique.most_common(_MOST_CLASSES)
        bars = axes.barh([name for name, _ in most][::-1], [count for _, count in most][::-1], color="C0")
        axes.bar_label(bars, padding=3)
        axes.margins(x=0.1)

    def _draw_stays(self, axes: Any) -> None:
        stays: Mapping[str, Sequence[float]] = {name: list(times) for name, times in sorted(self._stays.items())}
        longest = max((max(times) for times in stays.values()), default=1.0)
        edges = np.linspace(0, max(longest, 1e-3), 25).tolist()
        if stays:
            labels = [f"{name}: {len(times)}, median {np.median(times):.1f} s" for name, times in stays.items()]
            axes.hist(list(stays.values()), bins=edges, label=labels)
        axes.set_xlabel("seconds")
        axes.set_ylabel("objects")
        _legend(axes)

    def _draw_heat(self, axes: Any) -> None:
        picture = self._background(self._zones)
        height, width = picture.shape[:2]  # smaller than the video: matplotlib needs 80 bytes for each pixel
        heat = np.sqrt(self._heat / max(float(self._heat.max()), 1.0)).astype(np.float32)
        smooth = cv2.resize(heat, (width, height), interpolation=cv2.INTER_LINEAR)
        axes.imshow(picture)
        axes.imshow(smooth, cmap="inferno", alpha=0.75 * np.clip(smooth * 2, 0, 1), vmin=0, vmax=1)
        axes.axis("off")

    def _draw_paths(self, axes: Any) -> None:
        axes.imshow(self._background(self._zones), extent=(0, self._run.width, self._run.height, 0))
        kinds = [name for name, _ in self.finder.unique.most_common()]
        for number, way in self._paths.points.items():
            if len(way) > 1:
                name = self._paths.names[number]
                color = f"C{kinds.index(name) % 10 if name in kinds else 9}"
                axes.plot(*zip(*way, strict=True), color=color, linewidth=0.8, alpha=0.7)
        axes.set_xlim(0, self._run.width)
        axes.set_ylim(self._run.height, 0)
        axes.axis("off")

    def _background(self, zones: Zones) -> Picture:
        """The first frame of the video, or grey, with zones."""
        run, video = self._run, self._options.video
        if video is None:
            picture = np.full((run.height, run.width, 3), _BACKGROUND, np.uint8)
        else:
            picture = frame_at(video, "0")
            if picture.shape[:2] != (run.height, run.width):
                found = f"{picture.shape[1]}x{picture.shape[0]}"
                raise SettingsError(f"{video}: is {found}; the log is of a video of {run.width}x{run.height}")
        draw_zones(picture, zones)
        scale = min(1.0, _BACKGROUND_WIDTH / run.width)
        size = max(1, round(scale * run.width)), max(1, round(scale * run.height))
        return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)


def _time_axis(axes: Any, last: float) -> None:
    """Seconds, or for longer videos minutes or hours."""
    size, unit = next(one for one in _UNITS if last >= 3 * one[0] or one[0] == 1)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value / size:g}")
    axes.set_xlabel(unit)
    if size > 1:
        from matplotlib.ticker import MaxNLocator

        step = MaxNLocator(8).tick_values(0, last / size)
        axes.set_xticks([tick * size for tick in step if tick * size <= last * 1.02])


def _legend(axes: Any) -> None:
    if axes.get_legend_handles_labels()[0]:
        axes.legend(fontsize=8)


def _figure_class() -> Any:
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise SettingsError("a plot needs the package matplotlib: pip install -e '.[train]'") from None
    return Figure
