"""Process one input of an archive: a video with the ordinary frame loop and its journal, or a picture."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from time import monotonic
from typing import Protocol

import numpy as np

from convert.files import file_sha256, write_whole
from convert.opened_model import OpenedModel
from detector.archive.inputs import ArchiveInput, is_animated
from detector.archive.joining import SegmentedVideo, join_segments
from detector.archive.manifest import Entry, State, milliseconds_now
from detector.archive.remote import fetched
from detector.archive.segments import Segment, segments_of
from detector.archive.shards import Shard
from detector.detector import Detector
from detector.drawing.boxes import draw
from detector.errors import SettingsError, VideoError
from detector.images.reading import read_picture, write_picture
from detector.logs.log_lines import frames_claimed
from detector.pipeline.annotate_video import OpenDetector, VideoOptions, annotate_video
from detector.pipeline.loop import Progress
from detector.pipeline.outputs import OnNote, Outputs, ignore_note
from detector.pipeline.picture_outputs import as_record
from detector.pipeline.shared_detector import SharedDetector
from detector.profiling import Stopwatch
from detector.settings import Settings
from detector.tracking.frame_skipping import EVERY_FRAME, FrameSkipping
from detector.video.frames import Frame, OpenedVideo
from detector.video.reading.deinterlacing import Deinterlace
from detector.video.section import WHOLE
from detector.video.status import RunStatus
from detector.video.writing.audio import Audio
from detector.video.writing.codecs import USUAL, VideoSettings


@dataclass(frozen=True)
class ArchiveOptions:
    """How the inputs are processed, and where the results go."""

    folder: Path
    model: Path
    settings: Settings
    encoding: VideoSettings = USUAL
    skipping: FrameSkipping = EVERY_FRAME
    deinterlace: Deinterlace = "auto"
    copies: bool = True
    """Whether annotated copies are written beside the logs."""
    shard: Shard = field(default_factory=Shard)
    retries: int = 2
    segment_seconds: float | None = None
    """Length of the segments into which long videos are cut; None to cut none."""

    def check(self) -> None:
        """Raise `SettingsError` for options with which the shares of the work would not fit together."""
        if self.settings.precision != "float" and self.settings.calibrate is None:
            raise SettingsError(
                f"--precision {self.settings.precision} needs the same pictures to calibrate on in every process; "
                "name them with --calibrate"
            )
        if self.segment_seconds is not None and not self.skipping.everything:
            raise SettingsError(
                "--segment-minutes is for runs that detect in every frame: with --every and --skip-still, boxes depend "
                "on the frames before; leave one of them out"
            )
        if self.retries < 0:
            raise SettingsError(f"retries {self.retries} is out of range; expected 0 or more")

    def as_json(self) -> dict[str, object]:
        """The settings for the manifest: everything that the results depend on."""
        encoding = {name: getattr(self.encoding, name) for name in ("codec", "crf", "audio")} if self.copies else {}
        interlaced = {} if self.deinterlace == "auto" else {"deinterlace": self.deinterlace}
        settings = {name: value for name, value in self.settings.as_json().items() if name != "threads"}
        cut = {} if self.segment_seconds is None else {"segment_seconds": self.segment_seconds}
        return {**settings, **self.skipping.as_json(), **interlaced, **cut, "copies": self.copies, **encoding}


class CountFrames(Protocol):
    """Counts the frames that are done, of all inputs."""

    def __call__(self, frames: int, /) -> object:
        """Count so many more."""
        ...


class Worker:
    """Processes inputs one after another with a model that is opened once."""

    def __init__(
        self,
        options: ArchiveOptions,
        *,
        count_frames: CountFrames = lambda frames: None,
        on_note: OnNote = ignore_note,
        open_detector: OpenDetector = Detector.open,
    ) -> None:
        self.options = options
        self.model = OpenedModel.read(options.model)
        self._count_frames = count_frames
        self._on_note = on_note
        self._shared = SharedDetector(open_detector)

    def segments(self, item: ArchiveInput) -> list[Segment]:
        """Return the segments of an input; empty if it is processed as a whole."""
        seconds = self.options.segment_seconds
        if seconds is None or item.remote or item.named_as_picture:
            return []
        return segments_of(Path(item.source), seconds, deinterlace=self.options.deinterlace == "auto")

    def process(self, item: ArchiveInput, segment: Segment | None = None, *, afresh: bool = False) -> Entry:
        """Process an input or a segment of it, or continue it where an earlier run stopped.

        `afresh` replaces what is there.

        Raise the errors of `detector.errors`, and `KeyboardInterrupt` once what is done is safe.
        """
        began, stamp = monotonic(), item.stamp
        with self._local(item) as path:
            if item.named_as_picture and not is_animated(path):
                entry = self._picture(item, path)
            else:
                entry = self._video(item, path, segment, afresh=afresh)
        return replace(entry, stamp=stamp, seconds=round(monotonic() - began, 3))

    def join(self, item: ArchiveInput, count: int) -> Entry:
        """Join the segments of an input, which are all done. Raise as `join_segments` does."""
        began, stamp, options = monotonic(), item.stamp, self.options
        entry = joined_entry(
            SegmentedVideo(item.source, options.folder, item.name, count),
            item.key,
            copies=options.copies,
            audio=options.encoding.audio,
        )
        return replace(entry, source=item.shown, stamp=stamp, seconds=round(monotonic() - began, 3))

    def remove_segments(self, item: ArchiveInput, count: int) -> None:
        """Delete the segments of an input that are joined."""
        SegmentedVideo(item.source, self.options.folder, item.name, count).remove_parts()

    def is_done(self, item: ArchiveInput, segment: Segment | None = None) -> bool:
        """Return whether the results of an input or of a segment that was processed are still there, and whole."""
        outputs = self._outputs(item, segment)
        if outputs.log and outputs.log.exists():
            whole = frames_claimed(outputs.log) is not None
            return whole and (outputs.video is None or outputs.video.exists())
        record, copy = self._picture_outputs(item)
        return item.named_as_picture and record.exists() and (not self.options.copies or copy.exists())

    def _local(self, item: ArchiveInput) -> AbstractContextManager[Path]:
        return fetched(item.source) if item.remote else contextlib.nullcontext(Path(item.source))

    def _video(self, item: ArchiveInput, path: Path, segment: Segment | None, *, afresh: bool) -> Entry:
        outputs = replace(self._outputs(item, segment), overwrite=afresh, resume=not afresh)
        options = ArchivedVideo(
            source=str(path),
            model=self.options.model,
            settings=self.options.settings,
            outputs=outputs,
            skipping=self.options.skipping,
            deinterlace=self.options.deinterlace,
            origin=item.shown,
            section=WHOLE if segment is None else segment.section,
            images_alone=segment is not None,
        )
        assert outputs.log is not None
        result = annotate_video(
            options,
            bar=self._bar,
            on_note=self._on_note,
            open_detector=self._shared.open,
            model=self.model,
        )
        if result.status is RunStatus.INTERRUPTED:
            raise KeyboardInterrupt
        truncated = result.status is RunStatus.TRUNCATED
        frames = frames_claimed(outputs.log)
        if segment is not None and not truncated and frames != segment.frames:
            raise VideoError(
                f"{item.shown}: its segment {segment.number} holds {frames} frames, its file {segment.frames}; process "
                "it without --segment-minutes"
            )
        return Entry(
            item.key,
            State.TRUNCATED if truncated else State.COMPLETE,
            item.shown,
            segment=None if segment is None else segment.number,
            segments=None if segment is None else segment.count,
            frames=frames,
            boxes=result.boxes if result.frames else None,
            log=outputs.log.relative_to(self.options.folder).as_posix(),
            log_sha256=file_sha256(outputs.log),
            error=result.notes[-1] if truncated and result.notes else None,
            notes=result.notes[:-1] if truncated else result.notes,
        )

    @contextmanager
    def _bar(self, total: int | None) -> Iterator[Progress]:
        yield _FrameCounter(self._count_frames)

    def _picture(self, item: ArchiveInput, path: Path) -> Entry:
        notes: list[str] = []
        picture = read_picture(path, as_darknet=self.options.settings.interpolation == "darknet", on_note=notes.append)
        detector = self._shared.open(
            self.model, self.options.settings, on_note=self._on_note, stopwatch=Stopwatch(), workers=1
        )
        detections = detector.detect_frame(Frame(0, 0, Fraction(1), picture))
        record, copy = self._picture_outputs(item)
        fields = {**as_record(item.shown, picture, detections), "model": str(self.options.model)}
        if self.options.copies:
            fields["copy"] = copy.name
            drawn = np.array(picture)
            draw(drawn, detections)
            write_picture(copy, drawn)
        # Last: a picture with a record is done.
        write_whole(record, json.dumps(fields).encode() + b"\n")
        self._count_frames(1)
        return Entry(
            item.key,
            State.COMPLETE,
            item.shown,
            frames=1,
            boxes=len(detections),
            log=record.name,
            log_sha256=file_sha256(record),
            notes=tuple(notes),
        )

    def _outputs(self, item: ArchiveInput, segment: Segment | None = None) -> Outputs:
        whole = SegmentedVideo(item.source, self.options.folder, item.name, 0)
        video, log = (whole.video, whole.log) if segment is None else whole.outputs(segment.number)
        return Outputs(video if self.options.copies else None, log, self.options.encoding, resume=True)

    def _picture_outputs(self, item: ArchiveInput) -> tuple[Path, Path]:
        """Return the paths of a picture's record and of its annotated copy."""
        suffix = item.suffix if item.suffix in (".jpg", ".jpeg", ".png") else ".png"
        return self.options.folder / f"{item.name}.json", self.options.folder / f"{item.name}{suffix}"


def joined_entry(video: SegmentedVideo, key: str, *, copies: bool, audio: Audio) -> Entry:
    """Join the segments of a video and return the entry about the whole. Raise as `join_segments` does."""
    joined = join_segments(video, copies=copies, audio=audio)
    truncated = joined.status is RunStatus.TRUNCATED
    return Entry(
        key,
        State.TRUNCATED if truncated else State.COMPLETE,
        video.source,
        frames=joined.frames,
        boxes=joined.boxes,
        log=video.log.name,
        log_sha256=joined.log_sha256,
        error=f"{video.source}: damaged; {joined.frames} frames could be read" if truncated else None,
        notes=joined.notes,
        at=milliseconds_now(),
    )


@dataclass(frozen=True)
class ArchivedVideo(VideoOptions):
    """A video whose log names the input rather than a temporary copy of it."""

    origin: str = ""

    def open_video(self) -> OpenedVideo:
        """Open the video."""
        video = super().open_video()
        video.info = replace(video.info, source=self.origin)
        return video


class _FrameCounter:
    def __init__(self, count: CountFrames) -> None:
        self._count = count

    def update(self, n: int = 1, /) -> None:
        """Count `n` more frames."""
        self._count(n)
