"""Write only the moments of a video in which a condition holds, with boxes drawn."""

from __future__ import annotations

from dataclasses import dataclass, replace

from convert.files import check_output, is_special
from convert.opened_model import OpenedModel
from detector.detector import Detector
from detector.errors import SettingsError, ZonesError
from detector.logs.frame_log import STANDARD_STREAM
from detector.logs.replay import LogIndex
from detector.pipeline.annotate_video import OpenDetector, VideoOptions, annotate_video
from detector.pipeline.clips import ClipOptions, write_clips
from detector.pipeline.loop import RunResult
from detector.pipeline.moments import Wanted
from detector.pipeline.outputs import Bar, OnNote, ignore_note
from detector.pipeline.resume import journal_path
from detector.tracking.conditions import Condition
from detector.tracking.zone_file import read_zones
from detector.tracking.zones import Zones
from detector.video.reading.containers import counted
from detector.video.reading.pipes import is_pipe
from detector.video.status import RunStatus
from detector.video.writing.codecs import container_of, encoder_for


@dataclass(frozen=True)
class MomentOptions:
    """A video of which only some moments are wanted."""

    video: VideoOptions
    wanted: Wanted

    def check(self) -> None:
        """Raise errors in the options before the network runs."""
        options, out = self.video, self.video.outputs.video
        if out is None:
            raise SettingsError("--only makes a video of some moments; name an OUT.mp4")
        if is_pipe(str(options.source)) or str(options.source) == "-":
            raise SettingsError(f"{options.source}: a pipe can be read only once, and --only reads it twice")
        log = options.outputs.log
        if log is not None and (log == STANDARD_STREAM or is_special(log)):
            raise SettingsError(f"{log}: --only reads the log again; name a file")
        if options.tracking.trails_seconds or options.tracking.blur:
            raise SettingsError(
                "--only cannot be combined with --trails and --blur; make a log with --log, then use yolo3 clips "
                "and yolo3 redraw"
            )
        container_of(out)
        encoder_for(options.outputs.encoding, out)
        options.outputs.refuse_existing(options.source)
        replaces = options.outputs.overwrite or options.outputs.resume
        check_output(out, overwrite=replaces, inputs=[options.model, str(options.source)])

    def condition(self) -> Condition:
        """Return the condition in the classes of the network. Raise `ZonesError` if it is invalid."""
        names = OpenedModel.read(self.video.model).description.names
        zones = Zones(self.wanted.zones or self.video.model)
        if self.wanted.zones is not None:
            with self.video.open_video() as video:
                zones = read_zones(self.wanted.zones).for_picture(video.info.width, video.info.height, names)
        condition = Condition.parse(self.wanted.when, names, zones)
        if condition.needs_tracks and self.video.tracking.tracker is None:
            raise ZonesError(f"condition {self.wanted.when!r}: needs identities; pass --track too")
        return condition


def annotate_moments(
    options: MomentOptions, *, bar: Bar, on_note: OnNote = ignore_note, open_detector: OpenDetector = Detector.open
) -> RunResult:
    """Detect in a whole video, then write the chosen moments into one video, with boxes and zones drawn.

    Without a log the detections are kept beside the video until it is complete, and `resume` continues from them.
    """
    options.check()
    options.condition()
    video, outputs = options.video, options.video.outputs
    assert outputs.video is not None
    journal = outputs.log or journal_path(outputs.video)
    # A journal is this program's own file, started anew unless the run is resumed.
    overwrite = outputs.overwrite or (outputs.log is None and not outputs.resume)
    detecting = replace(outputs, video=None, log=journal, overwrite=overwrite)
    detected = annotate_video(replace(video, outputs=detecting), bar=bar, on_note=on_note, open_detector=open_detector)
    if detected.status in (RunStatus.INTERRUPTED, RunStatus.STOPPED):
        kept = f"{outputs.video}: not made; --resume continues with the detections in {journal}"
        return replace(detected, notes=(*detected.notes, kept))
    clips = ClipOptions(
        video.source,
        journal,
        options.wanted,
        joined=outputs.video,
        draws=True,
        encoding=outputs.encoding,
        overwrite=outputs.overwrite or outputs.resume,
    )
    cut = write_clips(clips, bar=bar)
    found = f"found {counted(cut.moments, 'moment')} of {options.wanted.when!r}: {counted(cut.frames, 'frame')}"
    on_note(f"{found} of {LogIndex(journal).count}, {cut.seconds:.1f} s")
    if cut.status is RunStatus.COMPLETE and outputs.log is None:
        journal.unlink(missing_ok=True)
    status = detected.status if cut.status is RunStatus.COMPLETE else cut.status
    return replace(detected, status=status, notes=(*detected.notes, *cut.notes))
