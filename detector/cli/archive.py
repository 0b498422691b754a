"""The verb `archive`."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Annotated

import typer

from detector.cli.console import complain, input_progress, leave, note_printer, say
from detector.cli.exit_codes import WORK_FAILED
from detector.cli.options import DEFAULT_MODEL, Quiet, find_model, with_options
from detector.cli.video import Audio, Carry, Codec, Deinterlacing, Every, Quality, SkipStill
from detector.settings import Settings

if TYPE_CHECKING:
    from detector.archive.inputs import ArchiveInput
    from detector.archive.manifest import Entry
    from detector.archive.run import ArchiveResult, Execute
    from detector.archive.work import ArchiveOptions

MOST_LISTED = 1000


def register(app: typer.Typer) -> None:
    """Add the verb to the command."""
    app.command("archive")(with_options(Settings)(archive_verb))


def archive_verb(
    settings: Settings,
    out: Annotated[Path, typer.Option(metavar="DIR", help="folder for the results and the manifest")],
    inputs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[INPUT]...",
            help="videos and pictures: files, folders with their subfolders, patterns in quotes, addresses "
            "such as s3://bucket/folder/",
        ),
    ] = None,
    listed: Annotated[
        Path | None,
        typer.Option("--list", metavar="FILE", help="file with one input on each line; - for standard input"),
    ] = None,
    model: Annotated[  # found only where it is needed: --join needs none
        Path, typer.Option(envvar="YOLO3_MODEL", help="model file made by yolo3 convert, also set in yolo3.toml")
    ] = DEFAULT_MODEL,
    shard: Annotated[
        str, typer.Option(metavar="I/N", help="process only this share of the inputs: 0/4 to 3/4, or 1/4 to 4/4")
    ] = "0/1",
    segment_minutes: Annotated[
        str, typer.Option(metavar="M", help="cut longer videos into segments, which shards process apart; 0 cuts none")
    ] = "0",
    join: Annotated[bool, typer.Option("--join", help="check that all shards are complete, and merge them")] = False,
    parquet: Annotated[
        Path | None, typer.Option(metavar="DIR", help="with --join: write the boxes of videos as partitioned Parquet")
    ] = None,
    retries: Annotated[int, typer.Option(help="how often an input that failed is tried again")] = 2,
    copies: Annotated[bool, typer.Option("--copies/--logs-only", help="write annotated copies beside the logs")] = True,
    ray: Annotated[
        str | None, typer.Option(metavar="auto|local|ADDRESS", help="process on a Ray cluster, an actor for each core")
    ] = None,
    every: Every = 1,
    carry: Carry = "motion",
    skip_still: SkipStill = False,
    codec: Codec = None,
    quality: Quality = None,
    audio: Audio = "auto",
    deinterlace: Deinterlacing = "auto",
    quiet: Quiet = False,
) -> None:
    """Detect objects in many videos and pictures; typed again, it continues with those that are not done."""
    from detector.archive.inputs import find_inputs, read_list
    from detector.archive.segments import parse_segment_seconds
    from detector.archive.shards import Shard
    from detector.archive.work import ArchiveOptions
    from detector.errors import SettingsError
    from detector.tracking.frame_skipping import FrameSkipping
    from detector.video.writing.codecs import VideoSettings

    if parquet is not None and not join:
        raise SettingsError("--parquet writes the boxes of a finished archive: give it together with --join")
    if ray is not None:
        if shard != "0/1" or join:
            raise SettingsError("--ray hands out the work itself; leave out --shard and --join")
        settings = replace(settings, threads=settings.threads or 1)  # an actor is given as many cores
    options = ArchiveOptions(
        folder=out,
        model=model if join else find_model(model),
        settings=settings,
        encoding=VideoSettings(crf=quality, codec=codec, audio=audio),
        skipping=FrameSkipping(every, carry, skip_still),
        deinterlace=deinterlace,
        copies=copies,
        shard=Shard.parse(shard),
        retries=retries,
        segment_seconds=parse_segment_seconds(segment_minutes),
    )
    options.check()
    if not inputs and listed is None:
        if not join:
            raise SettingsError("nothing to process: name videos, pictures or folders, or a file of them with --list")
        found = None
    else:
        found = find_inputs(inputs or [], out=out, listed=[] if listed is None else read_list(listed))
    if join:
        from detector.archive.merging import join_archive

        joined = join_archive(out, found)
        say(f"Joined {joined.inputs} inputs with {joined.frames} frames and pictures")
        if parquet is not None:
            from detector.archive.parquet import write_parquet

            boxes, problems = write_parquet(out, parquet)
            joined.problems += problems
            say(f"Wrote {boxes} boxes of videos to {parquet}")
        _list(joined.problems)
        return
    assert found is not None
    began = monotonic()
    result = _run(found, options, ray, quiet)
    segments = f", {result.segments} segments of long videos" if result.segments else ""
    skipped = f", {result.skipped} done before" if result.skipped else ""
    done = f"{result.processed} inputs{segments}, {result.frames} frames and pictures{skipped}"
    say(f"Found {result.boxes} boxes in {done} ({monotonic() - began:.1f} s)")
    _list([error if error.startswith(source) else f"{source}: {error}" for source, error in result.problems])


def _run(found: list[ArchiveInput], options: ArchiveOptions, ray: str | None, quiet: bool) -> ArchiveResult:
    from convert.version import project_version
    from detector.archive.run import inputs_ahead, run_archive
    from detector.archive.work import Worker

    on_note = note_printer(quiet)
    with input_progress(quiet, inputs_ahead(found, options)) as bar:
        worker = Worker(options, count_frames=bar.count_frames, on_note=on_note)

        def failed(entry: Entry) -> None:
            on_note(f"{entry.error}; it will be tried again at the end")

        version, problems = project_version(), list[str]()
        cluster: contextlib.AbstractContextManager[Execute | None] = contextlib.nullcontext()
        if ray is not None:
            from detector.archive.ray_actors import ray_cluster

            cluster = ray_cluster(ray, worker, version, on_problem=problems.append)
        try:
            with cluster as execute:
                result = run_archive(found, worker, version=version, progress=bar, on_failure=failed, execute=execute)
        except KeyboardInterrupt:
            on_note("interrupted; the same command continues where it stopped")
            raise
        result.problems += [("", problem) for problem in problems]
        return result


def _list(problems: list[str]) -> None:
    """Print what went wrong, and end with the exit code for it."""
    for problem in problems[:MOST_LISTED]:
        complain(problem)
    if len(problems) > MOST_LISTED:
        complain(f"and {len(problems) - MOST_LISTED} more; the manifest has them all")
    leave(WORK_FAILED if problems else 0)
