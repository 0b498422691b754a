"""The command `yolo3`: one thin function per verb.

Nothing heavy is imported here; each verb imports what it needs, so that `yolo3 --help` answers at once.
"""

from __future__ import annotations

import contextlib
import functools
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Any, Literal

import typer

from detector.cli import export as cli_export
from detector.cli import logs as cli_log
from detector.cli import training as cli_training
from detector.cli.options import with_options
from detector.settings import Settings

if TYPE_CHECKING:
    from detector.pipeline.annotate_video import Outputs
    from detector.pipeline.loop import RunResult

app = typer.Typer(
    help="Take a Darknet network into Keras once; then find objects in pictures, videos and live cameras.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

DEFAULT_MODEL = Path("model_data/yolov3.h5")

Model = Annotated[Path, typer.Option(help="the model, made by yolo3 convert")]
Profile = Annotated[bool, typer.Option("--profile", help="show how long each stage takes, and log it")]
Quiet = Annotated[bool, typer.Option("--quiet", help="no progress and no notes on standard error")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="replace outputs that are there already")]
Log = Annotated[Path | None, typer.Option(help="frame log to write (JSON Lines), one line per frame")]
Codec = Annotated[
    Literal["h264", "hevc", "av1", "vp9"] | None,
    typer.Option(help="how the video is encoded; default is h264, in .webm vp9"),
]
Every = Annotated[int, typer.Option(help="less work: look into every so many frames only, and carry boxes between")]
Carry = Annotated[
    Literal["motion", "still"], typer.Option(help="with --every: boxes move with the picture, or stay where they were")
]
SkipStill = Annotated[
    bool, typer.Option("--skip-still", help="less work: keep the boxes while nothing moves, for 2 seconds at most")
]
Quality = Annotated[int | None, typer.Option(help="0 is the best and largest; 18 to 28 is usual for h264")]


@app.command("convert")
def convert_verb(
    cfg: Annotated[Path, typer.Argument(metavar="CFG", help="the network's Darknet .cfg; or a MODEL.h5")],
    weights: Annotated[Path, typer.Argument(metavar="WEIGHTS", help="its Darknet .weights; or the OUT.cfg to write")],
    model: Annotated[Path, typer.Argument(metavar="OUT.h5", help="the Keras model to write; or the OUT.weights")],
    names: Annotated[Path | None, typer.Option(help="class names, one a line")] = None,
    resize: Annotated[
        Literal["letterbox", "stretch"] | None,
        typer.Option(help="how training fitted pictures to the network; the cfg tells in most cases"),
    ] = None,
    batch_norm: Annotated[
        Literal["alexeyab", "pjreddie"],
        typer.Option(help="whose batch normalisation to fold in: all GPU code's, or that of pjreddie's CPU code"),
    ] = "alexeyab",
    verify: Annotated[
        bool | None,
        typer.Option(help="run it beside plain NumPy, layer by layer; small networks are verified in any case"),
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Convert a Darknet network into a Keras .h5, once; or MODEL.h5 OUT.cfg OUT.weights, back to Darknet."""
    if cfg.suffix == ".h5":
        from convert.export import export_weights

        print(f"Wrote {export_weights(cfg, weights, model)} floats to {model}")
        return
    from convert import convert

    print(
        convert(
            cfg,
            weights,
            model,
            names=names,
            resize=resize,
            batch_norm=batch_norm,
            verify=verify,
            on_note=_note_printer(quiet),
        )
    )


@app.command("inspect")
def inspect_verb(
    file: Annotated[Path, typer.Argument(help="a .cfg, .weights or .h5 file")],
    weights: Annotated[Path | None, typer.Argument(help="weights, to see whether they fit the .cfg")] = None,
) -> None:
    """Say what a network's file holds, or what is wrong with it."""
    from convert.inspection import inspect

    print(inspect(file, weights))


@app.command("adopt")
def adopt_verb(
    old: Annotated[Path, typer.Argument(metavar="OLD.h5", help="a model that an old Keras port saved")],
    model: Annotated[Path, typer.Argument(metavar="OUT.h5", help="the Keras model to write")],
    anchors: Annotated[str, typer.Option(help="a file of anchors, or the anchors: 10,13, 16,30, …")],
    names: Annotated[Path, typer.Option(help="class names, one a line")],
    repair_epsilon: Annotated[
        bool, typer.Option("--repair-epsilon", help="the weights came from Darknet: take its batch-norm epsilon")
    ] = False,
    resize: Annotated[
        Literal["letterbox", "stretch"], typer.Option(help="how training fitted pictures to the network")
    ] = "letterbox",
    quiet: Quiet = False,
) -> None:
    """Take over an .h5 of an old Keras port of YOLO, with its anchors and class names."""
    from convert.adoption import adopt

    options: dict[str, Any] = {"anchors": anchors, "names": names, "repair_epsilon": repair_epsilon, "resize": resize}
    print(adopt(old, model, **options, on_note=_note_printer(quiet)))


@app.command("image")
@with_options(Settings)
def image_verb(
    pictures: Annotated[list[str], typer.Argument(metavar="PICTURE...", help="files, folders, globs or URLs")],
    settings: Settings,
    model: Model = DEFAULT_MODEL,
    out: Annotated[Path | None, typer.Option(help="folder for annotated copies")] = None,
    json: Annotated[str | None, typer.Option(help="file for one JSON object per picture; - for stdout")] = None,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> None:
    """Find objects in pictures."""
    from detector.detector import Detector
    from detector.images.finding import find_pictures
    from detector.images.reading import read_picture
    from detector.pipeline.annotate_images import Copies, json_file, run_batch

    sources = find_pictures(pictures)
    copies = Copies.plan(sources, out, overwrite=overwrite) if out else None
    lines: contextlib.AbstractContextManager[IO[str] | None] = contextlib.nullcontext()
    if json == "-":
        lines = contextlib.nullcontext(sys.stdout)
    elif json:
        written = copies.paths.values() if copies else ()
        lines = json_file(Path(json), overwrite=overwrite, inputs=[*sources, model, *written])
    with lines as json_lines:
        opened = functools.cache(lambda: Detector.open(model, settings, on_note=_note_printer(quiet)))
        if len(sources) > 1:  # a single picture is looked at before the network
            opened()
        failed = run_batch(
            sources,
            lambda picture: opened().detect(picture),
            read=functools.partial(read_picture, as_darknet=settings.interpolation == "darknet"),
            say=_nothing if json == "-" else _say,
            complain=complain,
            copies=copies,
            json_lines=json_lines,
            progress=functools.partial(_bar, quiet=quiet or len(sources) == 1, unit="picture"),
        )
    if failed:
        # One picture that is no picture is a wrong command; among several it is work partly done.
        raise typer.Exit(2 if len(sources) == 1 else 1)


@app.command("video")
@with_options(Settings)
def video_verb(
    video: Annotated[
        str,
        typer.Argument(metavar="IN", help="a video; a folder of pictures, or 'frames/*.png' in quotes; an animation"),
    ],
    settings: Settings,
    out: Annotated[Path | None, typer.Argument(metavar="[OUT.mp4]", help="the annotated video to write")] = None,
    model: Model = DEFAULT_MODEL,
    log: Log = None,
    every: Every = 1,
    carry: Carry = "motion",
    skip_still: SkipStill = False,
    start: Annotated[
        str | None, typer.Option(metavar="TIME", help="begin here: seconds, or [HH:]MM:SS, such as 1:30")
    ] = None,
    end: Annotated[str | None, typer.Option(metavar="TIME", help="stop before this moment")] = None,
    fps: Annotated[
        str | None, typer.Option(metavar="RATE", help="pictures per second, for folders and patterns; 25 unless given")
    ] = None,
    codec: Codec = None,
    quality: Quality = None,
    overwrite: Overwrite = False,
    resume: Annotated[bool, typer.Option("--resume", help="go on where a run was broken off")] = False,
    profile: Profile = False,
    quiet: Quiet = False,
) -> None:
    """Find objects in a video."""
    from detector.pipeline.annotate_video import Outputs, annotate_video
    from detector.tracking.frame_skipping import FrameSkipping
    from detector.video.reading.image_sequence import parse_rate
    from detector.video.section import Section
    from detector.video.writing.codecs import VideoSettings

    encoding = VideoSettings(crf=quality, codec=codec)
    outputs = Outputs(out, log, encoding, overwrite=overwrite, profile=profile, resume=resume)
    bar = functools.partial(_frame_bar, quiet)
    options: dict[str, Any] = {"sparse": FrameSkipping(every, carry, skip_still), "section": Section.of(start, end)}
    options["fps"] = None if fps is None else parse_rate(fps)
    _conclude(
        annotate_video(video, model, settings, outputs, bar=bar, on_note=_note_printer(quiet), **options),
        outputs,
        quiet,
    )


@app.command("webcam")
@with_options(Settings)
def webcam_verb(
    settings: Settings,
    cameras: Annotated[
        list[str] | None, typer.Argument(metavar="[INDEX|URL|FILE]...", help="which camera, or several")
    ] = None,
    model: Model = DEFAULT_MODEL,
    out: Annotated[Path | None, typer.Option(help="record the annotated pictures to this video")] = None,
    log: Log = None,
    window: Annotated[bool, typer.Option("--window/--no-window", help="show the pictures; q or Esc ends it")] = True,
    buffer: Annotated[
        Literal["latest", "all"], typer.Option(help="when frames come too fast: drop old ones, or keep all")
    ] = "latest",
    every: Every = 1,
    carry: Carry = "motion",
    skip_still: SkipStill = False,
    codec: Codec = None,
    quality: Quality = None,
    timeout: Annotated[float, typer.Option(help="seconds without a picture after which a stream is lost")] = 10.0,
    overwrite: Overwrite = False,
    profile: Profile = False,
    quiet: Quiet = False,
) -> None:
    """Find objects in a live camera, or in several at once with a recording and a log each."""
    from detector.errors import SettingsError, Yolo3Error
    from detector.pipeline.annotate_video import Outputs, numbered, watch_camera, watch_cameras
    from detector.tracking.frame_skipping import FrameSkipping
    from detector.video.writing.codecs import VideoSettings

    outputs = Outputs(out, log, VideoSettings(crf=quality, codec=codec), overwrite=overwrite, profile=profile)
    sparse = FrameSkipping(every, carry, skip_still)
    bar = functools.partial(_frame_bar, quiet)
    on_note = _nothing if quiet else _say_aside_a_bar
    if cameras is None or len(cameras) < 2:
        camera = cameras[0] if cameras else "0"
        options: dict[str, Any] = {"window": window, "buffer": buffer, "timeout_seconds": timeout, "tell": on_note}
        _conclude(watch_camera(camera, model, settings, outputs, bar=bar, sparse=sparse, **options), outputs, quiet)
        return
    if window:
        raise SettingsError("several cameras have no window; pass --no-window, and --out or --log")
    silent = functools.partial(_frame_bar, True)
    answers = watch_cameras(
        cameras,
        model,
        settings,
        outputs,
        bar=silent,
        buffer=buffer,
        timeout_seconds=timeout,
        on_note=complain,
        sparse=sparse,
    )
    codes = set()
    for number, (camera, answer) in enumerate(zip(cameras, answers, strict=True), 1):
        if isinstance(answer, Yolo3Error):
            codes.add(1)
            continue
        print(f"{camera}:")
        try:
            _conclude(answer, numbered(outputs, number), quiet)
        except typer.Exit as exit_:
            codes.add(exit_.exit_code)
    if codes:
        raise typer.Exit(max(codes))


cli_export.register(app)
cli_log.register(app)
cli_training.register(app)


def _conclude(summary: RunResult, outputs: Outputs, quiet: bool) -> None:
    """Say what a run did, `quiet` without what was only put right; leave with the exit code of how it ended."""
    from detector.profiling import bars, milliseconds
    from detector.video.status import RunStatus

    say_aside = _nothing if quiet else _say_aside
    for note in summary.notes:
        complain(note) if summary.status is RunStatus.TRUNCATED else say_aside(note)
    if not summary.seconds:
        return  # it was complete before
    rate = f"{summary.seconds:.1f} s, {summary.frames_per_second:.1f} frames/s"
    dropped = f", {summary.dropped} dropped" if summary.dropped else ""
    print(f"Found {summary.boxes} boxes in {summary.frames} frames ({rate}{dropped})")
    if outputs.profile and summary.frames:
        stages = milliseconds(summary.stages, summary.frames)
        for line in bars(stages, 1000 * summary.seconds / summary.frames, workers=summary.workers):
            print(line)
    for path in (outputs.video, outputs.log):
        if path and path.exists():
            print(f"Wrote {path}")
    code = {RunStatus.TRUNCATED: 1, RunStatus.INTERRUPTED: 130}.get(summary.status, 0)
    if code:
        raise typer.Exit(code)


def _say(line: str) -> None:
    # Through tqdm, so that a running progress bar is not cut in two.
    from tqdm import tqdm

    tqdm.write(line, file=sys.stdout)


def complain(message: str) -> None:
    """Say an error on standard error."""
    from tqdm import tqdm

    tqdm.write(f"error: {message}", file=sys.stderr)


def _note_printer(quiet: bool) -> Callable[[str], None]:
    return _nothing if quiet else functools.partial(print, file=sys.stderr)


def _bar(things: Any, *, quiet: bool, unit: str) -> Any:
    """A progress bar on standard error around a sequence."""
    from tqdm import tqdm

    return tqdm(things, unit=unit, disable=quiet, leave=False, dynamic_ncols=True)


@contextlib.contextmanager
def _frame_bar(quiet: bool, total: int | None) -> Iterator[Any]:
    """A progress bar with frames per second and, where the number of frames is known, the time left."""
    from tqdm import tqdm

    with tqdm(total=total, unit="frame", disable=quiet, dynamic_ncols=True) as bar:
        yield bar


def _say_aside_a_bar(line: str) -> None:
    from tqdm import tqdm

    tqdm.write(line, file=sys.stderr)


def _say_aside(note: str) -> None:
    print(note, file=sys.stderr)


def _nothing(line: str) -> None:
    """Say it to nobody."""
