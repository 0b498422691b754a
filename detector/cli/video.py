"""The verbs for moving pictures: video, webcam, recover."""

from __future__ import annotations

import functools
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from detector.cli.console import complain, exit_code, frame_progress, leave, note_printer, progress, say
from detector.cli.exit_codes import INTERRUPTED, WORK_FAILED
from detector.cli.options import DEFAULT_MODEL, Model, Overwrite, Quiet, with_options
from detector.settings import Settings

if TYPE_CHECKING:
    from detector.pipeline.annotate_video import VideoOptions
    from detector.pipeline.loop import RunResult
    from detector.pipeline.many_cameras import ManyCamerasOptions
    from detector.pipeline.outputs import Outputs

Profile = Annotated[bool, typer.Option("--profile", help="show and log how long each stage takes")]
Log = Annotated[
    Path | None, typer.Option(help="frame log to write (JSON Lines), a line per frame; - for standard output")
]
Codec = Annotated[
    Literal["h264", "hevc", "av1", "vp9"] | None,
    typer.Option(help="video codec; default: h264, in .webm vp9"),
]
Every = Annotated[int, typer.Option(help="faster: detect in every Nth frame only, propagate boxes between")]
Carry = Annotated[
    Literal["motion", "still"],
    typer.Option(help="with --every: boxes follow the motion, or stay in place"),
]
SkipStill = Annotated[
    bool, typer.Option("--skip-still", help="faster: keep the boxes while nothing moves, for at most 2 seconds")
]
Quality = Annotated[int | None, typer.Option(help="rate factor: 0 is the best and largest, 18 to 28 usual for h264")]

Audio = Annotated[
    Literal["auto", "copy", "aac", "none"],
    typer.Option(help="auto copies audio that browsers play and re-encodes other audio; aac means Opus in .webm"),
]


Deinterlacing = Annotated[Literal["auto", "off"], typer.Option(help="auto makes whole pictures of interlaced frames")]
Track = Annotated[
    Literal["bytetrack", "botsort", "ocsort", "sort"] | None,
    typer.Option(help="give objects identities; botsort also makes up for the movement of the camera"),
]
Trails = Annotated[
    str, typer.Option(metavar="TIME", help="with --track: draw where each object was in this time, such as 2s")
]
ZonesFile = Annotated[
    Path | None, typer.Option(metavar="ZONES.toml", help="with --track: count at these zones and lines, and draw them")
]
Events = Annotated[
    Path | None,
    typer.Option(metavar="FILE.jsonl", help="with --track: what happens, as it happens; - for standard output"),
]
Webhook = Annotated[
    str | None,
    typer.Option(metavar="URL", help="with --track: post each event to this address as JSON, as it happens"),
]
Mqtt = Annotated[
    str | None, typer.Option(metavar="URL", help="the same for a broker: mqtt://USER:PASSWORD@HOST:1883/TOPIC")
]
Blur = Annotated[str | None, typer.Option(metavar="CLASSES", help="hide what is in the boxes of these classes")]


def register(app: typer.Typer) -> None:
    """Add the verbs to the command."""
    app.command("video")(with_options(Settings)(video_verb))
    app.command("webcam")(with_options(Settings)(webcam_verb))
    app.command("recover")(recover_verb)


def video_verb(
    paths: Annotated[
        list[str],
        typer.Argument(
            metavar="IN [OUT.mp4] | IN... --out DIR",
            help="a video, an animation, a folder of pictures, or a pattern: 'frames/*.png', and the video to write; "
            "or several videos and folders of videos",
        ),
    ],
    settings: Settings,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="of several videos: folder for the annotated ones and their logs")
    ] = None,
    model: Model = DEFAULT_MODEL,
    log: Log = None,
    every: Every = 1,
    carry: Carry = "motion",
    skip_still: SkipStill = False,
    start: Annotated[
        str | None, typer.Option(metavar="TIME", help="start here: seconds, or [HH:]MM:SS such as 1:30")
    ] = None,
    end: Annotated[str | None, typer.Option(metavar="TIME", help="stop before this time")] = None,
    fps: Annotated[
        str | None, typer.Option(metavar="RATE", help="pictures per second of a folder or pattern; default: 25")
    ] = None,
    codec: Codec = None,
    quality: Quality = None,
    audio: Audio = "auto",
    deinterlace: Deinterlacing = "auto",
    track: Track = None,
    trails: Trails = "0",
    zones: ZonesFile = None,
    events: Events = None,
    webhook: Webhook = None,
    mqtt: Mqtt = None,
    blur: Blur = None,
    only: Annotated[
        str | None,
        typer.Option(metavar="CONDITION", help="write only the moments that meet this, see yolo3 clips: 'person'"),
    ] = None,
    pad: Annotated[str, typer.Option(metavar="TIME", help="with --only: how much to keep before and after")] = "2s",
    overwrite: Overwrite = False,
    resume: Annotated[bool, typer.Option("--resume", help="continue an interrupted run")] = False,
    profile: Profile = False,
    quiet: Quiet = False,
) -> None:
    """Detect objects in a video, or in several; of several, those that are done already are skipped."""
    from detector.errors import SettingsError
    from detector.pipeline.annotate_moments import MomentOptions, annotate_moments
    from detector.pipeline.annotate_video import VideoOptions, annotate_video
    from detector.pipeline.live_tracking import TrackingOptions
    from detector.pipeline.moments import Wanted
    from detector.pipeline.outputs import Outputs
    from detector.tracking.frame_skipping import FrameSkipping
    from detector.video.reading.image_sequence import parse_rate
    from detector.video.section import Section, parse_seconds
    from detector.video.writing.codecs import VideoSettings

    for path in paths:
        if path.isdecimal() and not Path(path).exists():
            raise SettingsError(f"{path}: no such video; for a camera type: yolo3 webcam {path}")
    if out is None and len(paths) > 2:
        raise SettingsError("several videos need a folder for their results: --out DIR")
    if out is None and len(paths) == 2 and Path(paths[1]).is_dir():
        raise SettingsError(f"{paths[1]}: is a folder; for several videos, name the folder of their results with --out")
    if out is not None and (log or events or only):
        raise SettingsError("--out DIR is for several videos, each with its own log; leave out --log, --events, --only")
    encoding = VideoSettings(crf=quality, codec=codec, audio=audio)
    named = Path(paths[1]) if out is None and len(paths) > 1 else None
    outputs = Outputs(named, log, encoding, overwrite=overwrite, profile=profile, resume=resume)
    options = VideoOptions(
        source=paths[0],
        model=model,
        settings=settings,
        outputs=outputs,
        skipping=FrameSkipping(every, carry, skip_still),
        section=Section.of(start, end),
        fps=None if fps is None else parse_rate(fps),
        deinterlace=deinterlace,
        # A condition may name zones of a video without identities, where nothing is counted.
        tracking=TrackingOptions.of(
            track, trails, None if only and not track else zones, events, blur, webhook=webhook, mqtt=mqtt
        ),
    )
    if out is not None:
        leave(_each_of(paths, options, out, quiet))
        return
    bar = functools.partial(frame_progress, quiet)
    if only is None:
        result = annotate_video(options, bar=bar, on_note=note_printer(quiet))
    else:
        wanted = Wanted(only, parse_seconds("pad", pad), zones)
        result = annotate_moments(MomentOptions(options, wanted), bar=bar, on_note=note_printer(quiet))
    leave(_conclude(result, outputs, quiet))


def _each_of(sources: list[str], options: VideoOptions, folder: Path, quiet: bool) -> int:
    """Run several videos, each into the folder; a video that fails does not stop the others. Returns the exit code."""
    from convert.opened_model import OpenedModel
    from detector.errors import Yolo3Error
    from detector.pipeline.annotate_video import annotate_video
    from detector.pipeline.batch import plan_batch
    from detector.pipeline.shared_detector import SharedDetector

    model, detector = OpenedModel.read(options.model), SharedDetector()
    videos = plan_batch(sources, folder)
    codes = [0]
    for item in progress(videos, quiet=quiet, unit="video"):
        own = options.outputs
        outputs = replace(own, video=item.video, log=item.log, resume=own.resume or not own.overwrite)
        say(f"{item.source}:")
        try:
            result = annotate_video(
                replace(options, source=item.source, outputs=outputs),
                bar=functools.partial(frame_progress, quiet, desc=item.video.stem),
                on_note=note_printer(quiet),
                open_detector=detector.open,
                model=model,
            )
        except Yolo3Error as error:
            complain("\n".join([str(error), *getattr(error, "__notes__", ())]))
            codes.append(error.exit_code if len(videos) == 1 else WORK_FAILED)
            continue
        codes.append(_conclude(result, outputs, quiet))
        if codes[-1] == INTERRUPTED:
            break
    return max(codes)


def webcam_verb(
    settings: Settings,
    cameras: Annotated[
        list[str] | None, typer.Argument(metavar="[INDEX|URL|FILE]...", help="cameras; default: 0")
    ] = None,
    model: Model = DEFAULT_MODEL,
    out: Annotated[
        Path | None, typer.Option(help="video to record the annotated frames to; with --config a folder of them")
    ] = None,
    log: Log = None,
    window: Annotated[bool, typer.Option("--window/--no-window", help="show the frames; q or Esc ends the run")] = True,
    config: Annotated[
        Path | None, typer.Option(metavar="CAMERAS.toml", help="watch the cameras of this file day and night")
    ] = None,
    shard: Annotated[
        str, typer.Option(metavar="I/N", help="with --config: watch only this share of the cameras")
    ] = "0/1",
    metrics: Annotated[
        str | None, typer.Option(metavar="[HOST:]PORT", help="with --config: serve metrics to Prometheus here")
    ] = None,
    buffer: Annotated[
        Literal["latest", "all"], typer.Option(help="when frames arrive too fast: drop old ones (latest), or keep all")
    ] = "latest",
    every: Every = 1,
    carry: Carry = "motion",
    skip_still: SkipStill = False,
    codec: Codec = None,
    quality: Quality = None,
    timeout: Annotated[float, typer.Option(help="seconds without a frame after which a stream counts as lost")] = 10.0,
    track: Track = None,
    trails: Trails = "0",
    zones: ZonesFile = None,
    events: Events = None,
    webhook: Webhook = None,
    mqtt: Mqtt = None,
    blur: Blur = None,
    overwrite: Overwrite = False,
    profile: Profile = False,
    quiet: Quiet = False,
) -> None:
    """Detect objects in one or more live cameras."""
    from detector.errors import SettingsError, Yolo3Error
    from detector.pipeline.live_tracking import TrackingOptions
    from detector.pipeline.outputs import Outputs
    from detector.pipeline.watch import CameraOptions, watch_camera, watch_cameras
    from detector.tracking.frame_skipping import FrameSkipping
    from detector.video.writing.codecs import VideoSettings

    encoding = VideoSettings(crf=quality, codec=codec)
    if config is None and (metrics or shard != "0/1"):
        raise SettingsError("--shard and --metrics are for the cameras of a file: name it with --config")
    if config is not None:
        if cameras or track or zones or events or blur or webhook or mqtt or every != 1 or skip_still or profile:
            raise SettingsError(
                "--config watches the cameras of its file, without tracks and frame skipping: leave out other cameras, "
                "--track, --zones, --events, --blur, --webhook, --mqtt, --every, --skip-still and --profile"
            )
        from detector.pipeline.many_cameras import ManyCamerasOptions

        many = ManyCamerasOptions((), {}, logs=log, videos=out, encoding=encoding, timeout_seconds=timeout)
        _watch_config(config, model, settings, shard, metrics, many, quiet)
        return
    outputs = Outputs(out, log, encoding, overwrite=overwrite, profile=profile)
    options = CameraOptions(
        cameras=tuple(cameras or ["0"]),
        model=model,
        settings=settings,
        outputs=outputs,
        skipping=FrameSkipping(every, carry, skip_still),
        window=window,
        buffer=buffer,
        timeout_seconds=timeout,
        tracking=TrackingOptions.of(track, trails, zones, events, blur, webhook=webhook, mqtt=mqtt),
    )
    if len(options.cameras) == 1:
        result = watch_camera(options, bar=functools.partial(frame_progress, quiet), on_note=note_printer(quiet))
        leave(_conclude(result, outputs, quiet))
        return
    if window:
        raise SettingsError("several cameras have no window; pass --no-window, and --out or --log")
    results = watch_cameras(options, bar=functools.partial(frame_progress, True), on_note=complain)
    codes = []
    for number, (camera, result_or_error) in enumerate(zip(options.cameras, results, strict=True), 1):
        if isinstance(result_or_error, Yolo3Error):
            codes.append(WORK_FAILED)
            continue
        say(f"{camera}:")
        codes.append(_conclude(result_or_error, outputs.numbered(number), quiet))
    leave(max(codes))


def _watch_config(
    config: Path,
    model: Path,
    settings: Settings,
    shard: str,
    metrics: str | None,
    options: ManyCamerasOptions,
    quiet: bool,
) -> None:
    """Watch a share of the cameras of a file, until Ctrl-C or until all have ended.

    What the file says of a camera comes before the options of the command.
    """
    import contextlib

    from detector.archive.shards import Shard
    from detector.cli.options import find_model
    from detector.pipeline.camera_file import read_cameras
    from detector.pipeline.many_cameras import ManyCameras
    from detector.pipeline.metrics_server import metrics_server, parse_address

    share = Shard.parse(shard)
    chosen = [entry for entry in read_cameras(config, settings).values() if share.owns(entry.name)]
    on_note = note_printer(quiet)
    if not chosen:
        on_note(f"{config}: none of its cameras belongs to shard {share}")
        return
    models = {entry.name: find_model(Path(entry.model)) if entry.model else model for entry in chosen}
    many = ManyCameras(replace(options, cameras=chosen, models=models), on_note=on_note)
    with contextlib.ExitStack() as serving:
        if metrics is not None:
            host, port = parse_address(metrics)
            port = serving.enter_context(metrics_server(host, port, many.text))
            on_note(f"metrics: http://{host}:{port}/metrics")
        on_note(f"watching {', '.join(entry.name for entry in chosen)}")
        many.run()


def recover_verb(
    part: Annotated[Path, typer.Argument(metavar="PART", help="what the run left, such as OUT.mp4.yolo3-part1.mp4")],
    out: Annotated[Path, typer.Argument(metavar="OUT.mp4", help="the video to write")],
    overwrite: Overwrite = False,
) -> None:
    """Make a video of what a failed or killed run left."""
    from detector.pipeline.recover import recover

    found = recover(part, out, overwrite=overwrite)
    print(f"Recovered {found.frames} frames, without audio")
    print(f"Wrote {out}")
    print(f"No longer needed: {', '.join(map(str, found.parts))}")


def _conclude(result: RunResult, outputs: Outputs, quiet: bool) -> int:
    """Print what a run did, `quiet` without notes on what was merely corrected; returns its exit code."""
    from detector.logs.frame_log import STANDARD_STREAM
    from detector.profiling import bars, milliseconds
    from detector.video.status import RunStatus

    on_note = complain if result.status is RunStatus.TRUNCATED else note_printer(quiet and not result.kept_earlier)
    # What goes to standard output must not be mixed with the log.
    report = note_printer(False) if outputs.log == STANDARD_STREAM else say
    for note in result.notes:
        on_note(note)
    if not result.seconds:
        return 0  # it was complete before
    rate = f"{result.seconds:.1f} s, {result.frames_per_second:.1f} frames/s"
    dropped = f", {result.dropped} dropped" if result.dropped else ""
    report(f"Found {result.boxes} boxes in {result.frames} frames ({rate}{dropped})")
    if outputs.profile and result.frames:
        stages = milliseconds(result.stages, result.frames)
        for line in bars(stages, 1000 * result.seconds / result.frames, workers=result.workers):
            report(line)
    for path in outputs.paths if not result.kept_earlier else ():
        if path.exists():
            report(f"Wrote {path}")
    return exit_code(result.status)
