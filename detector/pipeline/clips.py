"""Cut the moments of a video in which a condition holds, as separate clips or joined into one video."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from types import TracebackType

import cv2
import numpy as np

from convert.files import check_output, lock_outputs
from convert.folders import check_folder, replacing_folder
from detector.detections import Detections
from detector.drawing.boxes import draw
from detector.errors import SettingsError, WriteError
from detector.images.reading import write_picture
from detector.logs.frame_log import FrameRecord
from detector.logs.replay import LogIndex, LogReplay, clock_shift
from detector.pipeline.clip_index import Clip, is_of_clips, write_index
from detector.pipeline.loop import LoopOptions, Progress, known_or, run
from detector.pipeline.moments import Moment, Wanted, find_moments, understood
from detector.pipeline.outputs import Bar
from detector.pipeline.show_zones import draw_zones
from detector.pipeline.signals import signals_noted
from detector.tracking.zones import Zones
from detector.video.frames import Frame, OpenedVideo, Sink, Source
from detector.video.reading.containers import DAMAGE, counted, reason
from detector.video.reading.deinterlacing import Deinterlace
from detector.video.reading.image_sequence import is_picture_series
from detector.video.reading.opening import open_video
from detector.video.reading.pipes import is_pipe
from detector.video.section import Section
from detector.video.status import RunStatus
from detector.video.writing.codecs import USUAL, VideoSettings, container_of
from detector.video.writing.joined_audio import join_audio
from detector.video.writing.video_writer import VideoWriter

_THUMBNAIL_WIDTH = 480
_MICROSECONDS = 1_000_000


@dataclass(frozen=True)
class ClipOptions:
    """Which moments of a video to write, and where."""

    source: str | Path
    log: Path
    wanted: Wanted
    folder: Path | None = None
    """Folder for a clip of each moment, an index page and a table."""
    joined: Path | None = None
    """Path for one video of all moments."""
    draws: bool = False
    """Whether boxes and zones are drawn."""
    encoding: VideoSettings = USUAL
    overwrite: bool = False

    def check(self) -> None:
        """Raise errors in the options before any work is done."""
        if self.folder is None and self.joined is None:
            raise SettingsError("nothing to make: name a folder with --out, or a video with --join")
        if is_pipe(str(self.source)) or str(self.source) == "-":
            raise SettingsError(f"{self.source}: a pipe can be read only once; save it to a file first")
        if self.folder:
            check_folder(self.folder, overwrite=self.overwrite, is_ours=is_of_clips)
        if self.joined:
            container_of(self.joined)
            inputs = [self.source, self.log, *([self.wanted.zones] if self.wanted.zones else [])]
            check_output(self.joined, overwrite=self.overwrite, inputs=inputs)


@dataclass(frozen=True)
class ClipsResult:
    """What was made."""

    moments: int
    frames: int
    """Frames in them."""
    seconds: float
    status: RunStatus
    notes: tuple[str, ...] = ()


def write_clips(options: ClipOptions, *, bar: Bar) -> ClipsResult:
    """Find the moments in a log and write them.

    Every clip contains exactly the frames of its moment, with their audio. Ctrl-C ends the work after the last complete
    clip. Raise the errors of `detector.errors`: `ZonesError` for an invalid condition or invalid zones, `LogError` if
    the log is of another video.
    """
    options.check()
    logged = LogIndex(options.log)
    _, zones = understood(options.wanted, logged)
    cutting = _Cutting(options, logged, zones)
    moments = list(find_moments(logged, options.wanted))
    frames = sum(moment.frames for moment in moments)
    seconds = sum(moment.end(cutting.interval) - moment.begin for moment in moments)
    outputs = [path for path in (options.joined,) if path]
    passes = bool(options.folder) + bool(options.joined)
    with lock_outputs(*outputs), bar(frames * passes) as progress:
        if options.folder:
            _write_folder(options.folder, moments, cutting, progress)
        if options.joined and cutting.status is RunStatus.COMPLETE:
            _write_joined(options.joined, moments, cutting, progress)
    return ClipsResult(len(moments), frames, seconds, cutting.status, tuple(dict.fromkeys(cutting.notes)))


class _Cutting:
    """A video and its log, from which moments are cut."""

    def __init__(self, options: ClipOptions, logged: LogIndex, zones: Zones) -> None:
        self.options, self.logged, self.zones = options, logged, zones
        settings = logged.run.settings
        self._fps = logged.run.frame_rate if is_picture_series(str(options.source)) else None
        self._deinterlace: Deinterlace = "off" if settings.get("deinterlace") == "off" else "auto"
        self._whole = Section.logged(settings)
        self.interval = None if logged.run.frame_rate is None else float(1 / logged.run.frame_rate)
        self.status = RunStatus.COMPLETE
        self.notes: list[str] = []
        with self._open(self._whole) as video:
            self.info = video.info
            logged.check_size(video.info.width, video.info.height, Path(options.source))
            first = next(iter(video))
            self.shift = clock_shift(video, logged, float(first.time))
            self.audio_from = video.audio_from

    def opened(self, moment: Moment) -> OpenedVideo:
        """Open the video, cut to a moment."""
        begin = self._on_video(moment.cut(moment.begin, moment.before))
        end = self._whole.end
        if moment.after is not None:
            end = self._on_video(moment.cut(moment.after, moment.last_time))
        elif self.logged.status is not RunStatus.COMPLETE:
            end = self._on_video(moment.cut(moment.end(self.interval), moment.last_time))
        return self._open(Section(begin if begin and begin > 0 else self._whole.start, end))

    def section(self, moment: Moment) -> tuple[Fraction, Fraction]:
        """Return when a moment begins and ends, on the source's own clock."""
        edges = (moment.begin, moment.end(self.interval))
        begin, end = (Fraction(round((edge - self.shift) * _MICROSECONDS), _MICROSECONDS) for edge in edges)
        return begin, end

    def in_player(self, seconds: float) -> float:
        """Return a time of the log as a player shows it."""
        return seconds - self.shift - float(self.info.start_seconds)

    def replayed(self, video: OpenedVideo, records: Iterator[FrameRecord]) -> LogReplay:
        """Return the frames of a moment with their boxes."""
        return LogReplay(video, self.logged, records=records, shift_seconds=self.shift)

    def marks(self) -> list[Sink]:
        """What is drawn."""
        return [_Marks(self.zones)] if self.options.draws else []

    def note_end(self, status: RunStatus, notes: Sequence[str]) -> None:
        """Record how a part of the work ended."""
        self.notes.extend(notes)
        if status is not RunStatus.COMPLETE and self.status is RunStatus.COMPLETE:
            self.status = status

    def _on_video(self, seconds: float) -> Fraction:
        """Return a time of the log, counted from the beginning of the video."""
        on_clock = Fraction(round((seconds - self.shift) * _MICROSECONDS), _MICROSECONDS)
        return on_clock - self.info.start_seconds

    def _open(self, section: Section) -> OpenedVideo:
        return open_video(self.options.source, section=section, fps=self._fps, deinterlace=self._deinterlace)


def _write_folder(folder: Path, moments: Sequence[Moment], cutting: _Cutting, progress: Progress | None) -> None:
    options = cutting.options
    with replacing_folder(folder, overwrite=options.overwrite, is_ours=is_of_clips) as aside:
        records = cutting.logged.records()
        clips: list[Clip] = []
        pressed: list[int] = []
        loop = LoopOptions(progress=progress, interrupted=lambda: bool(pressed))
        with signals_noted(pressed):
            for number, moment in enumerate(moments, 1):
                if pressed:
                    cutting.note_end(RunStatus.INTERRUPTED, ())
                    break
                length = moment.end(cutting.interval) - moment.begin
                clip = Clip(number, moment, cutting.in_player(moment.begin), length)
                if _write_clip(aside, clip, cutting, _records_of(moment, records), loop):
                    clips.append(clip)
        if len(clips) < len(moments):
            cutting.notes.append(f"{folder}: contains {len(clips)} of {counted(len(moments), 'clip')}")
        write_index(aside, clips, source=str(options.source), when=options.wanted.when)


def _write_clip(folder: Path, clip: Clip, cutting: _Cutting, records: Iterator[FrameRecord], loop: LoopOptions) -> bool:
    """Write one clip and its thumbnail; return False if interrupted, in which case nothing is left of it."""
    moment, path = clip.moment, folder / clip.file
    nothing = Detections.empty(cutting.logged.run.classes)
    with cutting.opened(moment) as video:
        writer = VideoWriter(path, video.info, audio_from=video.audio_from, settings=cutting.options.encoding)
        thumbnail = _Thumbnail(folder / clip.thumbnail, moment)
        result = run(
            cutting.replayed(video, records),
            known_or(lambda frame: nothing),
            [thumbnail, *cutting.marks(), writer],
            loop,
        )
    shown = [note.replace(str(path), clip.file) for note in result.notes]
    cutting.note_end(result.status, shown)
    if result.status in (RunStatus.INTERRUPTED, RunStatus.STOPPED):
        path.unlink(missing_ok=True)
        (folder / clip.thumbnail).unlink(missing_ok=True)
        return False
    return True


def _write_joined(path: Path, moments: Sequence[Moment], cutting: _Cutting, progress: Progress | None) -> None:
    if not moments:
        cutting.notes.append(f"{path}: not made, because no frame meets the condition")
        return
    nothing = Detections.empty(cutting.logged.run.classes)
    sections = [cutting.section(moment) for moment in moments]
    with tempfile.TemporaryDirectory(prefix="yolo3-") as folder:
        audio_from = None
        if cutting.audio_from is not None and cutting.options.encoding.audio != "none":
            audio = Path(folder) / f"audio{'.webm' if path.suffix.lower() == '.webm' else '.mp4'}"
            try:
                notes = join_audio(cutting.audio_from, sections, audio)
            except (OSError, *DAMAGE) as error:
                raise WriteError(f"{path}: its audio could not be written to {folder}: {reason(error)}") from error
            cutting.notes += notes or []
            audio_from = None if notes is None else audio
        frames = _JoinedFrames(cutting, moments, sections)
        info = replace(
            cutting.info,
            start_seconds=Fraction(0),
            begin_seconds=None,
            end_seconds=None,
            frame_count=sum(moment.frames for moment in moments),
            duration_seconds=sum((end - begin for begin, end in sections), Fraction(0)),
        )
        options = cutting.options
        writer = VideoWriter(path, info, audio_from=audio_from, settings=options.encoding, overwrite=options.overwrite)
        result = run(
            frames, known_or(lambda frame: nothing), [*cutting.marks(), writer], LoopOptions(progress=progress)
        )
    cutting.note_end(result.status, result.notes)


class _JoinedFrames(Source):
    """The frames of several moments, joined without the time between them."""

    def __init__(
        self, cutting: _Cutting, moments: Sequence[Moment], sections: Sequence[tuple[Fraction, Fraction]]
    ) -> None:
        self._cutting, self._moments, self._sections = cutting, moments, sections
        self._notes: list[str] = []

    @property
    def notes(self) -> Sequence[str]:
        """The notes of the video, each once."""
        return list(dict.fromkeys(self._notes))

    def __iter__(self) -> Iterator[Frame]:
        records = self._cutting.logged.records()
        offset, last = Fraction(0), -1
        for moment, (begin, end) in zip(self._moments, self._sections, strict=True):
            with self._cutting.opened(moment) as video:
                replay = self._cutting.replayed(video, _records_of(moment, records))
                for frame in replay:
                    # Rounding to ticks must not put a frame before the previous one.
                    frame.pts = max(round((frame.time - begin + offset) / frame.time_base), last + 1)
                    last = frame.pts
                    yield frame
                self._notes += replay.notes
            offset += end - begin


class _Marks(Sink):
    """Draws boxes, zones and lines."""

    def __init__(self, zones: Zones) -> None:
        super().__init__()
        self._zones = zones

    def write(self, frame: Frame, detections: Detections) -> None:
        """Change the frame's image."""
        draw_zones(frame.image, self._zones)
        draw(frame.image, detections)

    def __exit__(self, *ending: object) -> None:
        pass


class _Thumbnail(Sink):
    """Saves the frame of a moment that best shows why it was chosen, with the boxes that meet the condition."""

    def __init__(self, path: Path, moment: Moment) -> None:
        super().__init__()
        self.path, self.moment = path, moment

    def write(self, frame: Frame, detections: Detections) -> None:
        """Save the frame if it is the chosen one."""
        if frame.index != self.moment.best:
            return
        width, height = frame.size
        across = min(_THUMBNAIL_WIDTH, width)
        down = max(1, round(height * across / width / float(frame.pixel_aspect)))
        small = np.asarray(cv2.resize(frame.picture, (across, down), interpolation=cv2.INTER_AREA), np.uint8)
        scale = np.array([across / width, down / height] * 2, np.float32)
        boxes = self.moment.best_boxes
        draw(small, replace(boxes, xyxy=boxes.xyxy * scale))
        write_picture(self.path, small)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass


def _records_of(moment: Moment, records: Iterator[FrameRecord]) -> Iterator[FrameRecord]:
    """Yield the frames of a moment from those of a log, which are read up to its last."""
    for record in records:
        if record.frame >= moment.first:
            yield record
        if record.frame >= moment.last:
            return
