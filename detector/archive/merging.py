"""Check that the shards of an archive are complete, and merge their manifests and logs."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import BinaryIO, cast, get_args

from convert.files import lock_outputs, replacing
from detector.archive.inputs import ArchiveInput
from detector.archive.joining import SegmentedVideo
from detector.archive.manifest import (
    MERGED,
    ArchiveRun,
    Entry,
    ManifestIndex,
    ManifestWriter,
    State,
    end_line,
    keys_sha256,
    manifests_in,
    read_entries,
    run_line,
)
from detector.archive.work import joined_entry
from detector.errors import ArchiveError, InputError
from detector.video.writing.audio import Audio

DETECTIONS = "detections.jsonl"
"""The frames and pictures of all logs, a line for each."""

_FRAME = b'{"type":"frame",'
_SHARD_NAME = re.compile(r"manifest-(\d+)-of-(\d+)\.jsonl")
_NAMED = 20


@dataclass
class JoinResult:
    """What was merged, and what is wrong with it."""

    inputs: int = 0
    frames: int = 0
    problems: list[str] = field(default_factory=list)
    """What is missing, failed or damaged, one line each; nothing if the archive is complete."""


def join_archive(folder: Path, inputs: Sequence[ArchiveInput] | None = None) -> JoinResult:
    """Merge the manifests of a folder into `manifest.jsonl`, and all logs into `detections.jsonl`.

    What is complete is merged whatever is missing. `inputs` are those that must be there; without them, as many as the
    manifests say. Logs stay as they are. Raise `ArchiveError` for a folder without manifests, `WriteError` if the
    merged files cannot be written.
    """
    paths = manifests_in(folder)
    if not paths:
        raise ArchiveError(f"{folder}: holds no manifest.jsonl; name the folder that yolo3 archive was given as --out")
    result, index = JoinResult(), ManifestIndex()
    for path in paths:
        index.read(path)
    run = _common_run(index, result, joined=inputs)
    if _join_segments(folder, paths, index, run, result):
        paths = manifests_in(folder)
        index.read(folder / MERGED)
    with ExitStack() as files:
        files.enter_context(lock_outputs(folder / MERGED, folder / DETECTIONS))
        manifest = files.enter_context((files.enter_context(replacing(folder / MERGED))).open("wb"))
        detections = files.enter_context((files.enter_context(replacing(folder / DETECTIONS))).open("wb"))
        manifest.write(run_line(run))
        found = set()
        for entry in _latest(paths, index):
            found.add(int(entry.key, 16))
            manifest.write(entry.as_line())
            if entry.state is not State.COMPLETE:
                error = entry.error or "is damaged"
                result.problems.append(error if error.startswith(entry.source) else f"{entry.source}: {error}")
            if entry.state is not State.FAILED:
                result.inputs += 1
                _merge(folder, entry, detections, result)
        manifest.write(end_line())
    _check_complete(folder, index, found, run, inputs, result)
    return result


def _common_run(index: ManifestIndex, result: JoinResult, *, joined: Sequence[ArchiveInput] | None) -> ArchiveRun:
    """Return the run of all manifests; what differs in them is a problem."""
    runs = {path: run for path, run in index.runs.items() if run.shard != "0/1"} or index.runs
    if not runs:
        raise ArchiveError(f"{next(iter(index.ended), 'the manifest')}: holds no run; start yolo3 archive again")
    first_path, first = next(iter(runs.items()))
    for path, run in runs.items():
        try:
            run.check_same(first_path, first)
        except ArchiveError as error:
            result.problems.append(f"{path}: differs: {error}")
        if run.inputs_sha256 != first.inputs_sha256 and joined is None:
            result.problems.append(
                f"{path}: its run found {run.inputs} inputs, that of {first_path.name} {first.inputs}, and not the "
                "same ones; run its shard again"
            )
        if not index.ended[path]:
            result.problems.append(f"{path}: its run has not ended; wait for it, or run the shard again")
    if joined is not None:
        first = replace(first, inputs=len(joined), inputs_sha256=keys_sha256(item.key for item in joined))
    return replace(first, shard="0/1")


@dataclass
class _Cut:
    """A long video whose segments the shards processed."""

    video: SegmentedVideo
    done: set[int] = field(default_factory=set)


def _join_segments(
    folder: Path, paths: Sequence[Path], index: ManifestIndex, run: ArchiveRun, result: JoinResult
) -> bool:
    """Join the long videos whose segments are all done; return whether there was one."""
    cut: dict[str, _Cut] = {}
    for path in paths:
        for entry in read_entries(path):
            if entry.segment is None or not entry.segments or not index.is_latest(entry):
                continue
            one = cut.get(entry.key)
            if one is None:
                name = f"{Path(entry.log or '').parent.name.removesuffix('.segments')}"
                one = cut[entry.key] = _Cut(SegmentedVideo(entry.source, folder, name, entry.segments))
            if entry.state is State.FAILED:
                result.problems.append(f"{entry.source}: its segment {entry.segment} failed: {entry.error}")
            elif entry.log:
                name = Path(entry.log).parent.name.removesuffix(".segments")
                one.video = replace(one.video, name=name)
                one.done.add(entry.segment)
    waiting = {key: one for key, one in cut.items() if one.video.parts_folder.is_dir() and one.video.name}
    joined: list[tuple[SegmentedVideo, Entry]] = []
    for key, one in waiting.items():
        missing = [str(number) for number in range(one.video.count) if number not in one.done]
        if missing:
            some = ", ".join(missing[:_NAMED]) + (" …" if len(missing) > _NAMED else "")
            result.problems.append(f"{one.video.source}: of its {one.video.count} segments have no result yet: {some}")
            continue
        try:
            joined.append((one.video, _joined(one.video, key, run)))
        except InputError as error:
            result.problems.append(str(error))
    if not joined:
        return False
    with ManifestWriter(folder / MERGED, run) as manifest:
        for _, entry in joined:
            manifest.add(entry)
    for video, _ in joined:
        video.remove_parts()
    return True


def _joined(video: SegmentedVideo, key: str, run: ArchiveRun) -> Entry:
    copies, audio = run.settings.get("copies") is True, run.settings.get("audio")
    entry = joined_entry(video, key, copies=copies, audio=cast(Audio, audio) if audio in get_args(Audio) else "auto")
    return replace(entry, stamp=ArchiveInput(video.source, key).stamp)


def _latest(paths: Sequence[Path], index: ManifestIndex) -> Iterator[Entry]:
    """Yield the last entry of each input, without the segments of long videos."""
    done: set[int] = set()
    for path in paths:
        for entry in read_entries(path):
            if entry.segment is None and entry.identity not in done and index.is_latest(entry):
                done.add(entry.identity)
                yield entry


def _merge(folder: Path, entry: Entry, into: BinaryIO, result: JoinResult) -> None:
    """Append the lines of a log, if it is the one that the manifest describes."""
    if entry.log is None:
        return
    log, source = folder / Path(entry.log).name, json.dumps(entry.source).encode()
    digest, begin, frames = hashlib.sha256(), into.tell(), 0
    try:
        with log.open("rb") as lines:
            for line in lines:
                digest.update(line)
                if line.startswith(_FRAME):
                    into.write(b'{"source":' + source + b"," + line[len(_FRAME) :])
                    frames += 1
                elif line.startswith(b'{"source":'):  # the record of a picture
                    into.write(line)
                    frames += 1
    except OSError as error:
        result.problems.append(f"{entry.source}: its log {log} cannot be read: {error.strerror or error}")
    else:
        if digest.hexdigest() == entry.log_sha256:
            result.frames += frames
            return
        result.problems.append(
            f"{entry.source}: its log {log} was changed since it was written; delete it and run yolo3 archive again"
        )
    into.seek(begin)
    into.truncate()


def _check_complete(
    folder: Path,
    index: ManifestIndex,
    found: set[int],
    run: ArchiveRun,
    inputs: Sequence[ArchiveInput] | None,
    result: JoinResult,
) -> None:
    """Add what is missing to the problems."""
    if inputs is not None:
        _name_some((item.shown for item in inputs if int(item.key, 16) not in found), result)
        return
    if len(found) >= run.inputs:
        return
    shards: dict[int, set[int]] = {}
    for path in index.runs:
        if match := _SHARD_NAME.fullmatch(path.name):
            shards.setdefault(int(match[2]), set()).add(int(match[1]))
    for count, there in shards.items():
        for number in sorted(set(range(count)) - there):
            result.problems.append(f"{folder}: has nothing of shard {number}/{count}; run it")
    result.problems.append(
        f"{folder}: {run.inputs - len(found)} of {run.inputs} inputs have no result; to see which, name the inputs too"
    )


def _name_some(missing: Iterator[str], result: JoinResult) -> None:
    count = 0
    for source in missing:
        count += 1
        if count <= _NAMED:
            result.problems.append(f"{source}: has no result yet")
    if count > _NAMED:
        result.problems.append(f"{count - _NAMED} more have no result yet")
