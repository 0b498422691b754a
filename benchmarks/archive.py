"""Measure yolo3 archive: the figures of docs/scale.md, and the service times that its simulation is fed with.

python -m benchmarks.archive MODEL.h5 overhead VIDEO...      against yolo3 video on the same files
python -m benchmarks.archive MODEL.h5 shards VIDEO           200 copies of it: one process, and two shards
python -m benchmarks.archive MODEL.h5 segments               a generated hour, whole and cut
python -m benchmarks.archive MODEL.h5 service VIDEO...       frames/s on one core, bytes read and written
python -m benchmarks.archive MODEL.h5 manifest               a million entries
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median
from time import monotonic, process_time

import av
import cv2
import numpy as np

from benchmarks.report import machine, table
from detector.archive.manifest import ArchiveRun, Entry, ManifestIndex, ManifestWriter, State, read_entries

ENTRIES = 1_000_000
COPIES = 200
_SHARDS = 2
_HOUR_RATE = 2
_SOUND_RATE = 8000
_CHECKOUT = Path(__file__).parents[1]


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("what", choices=["overhead", "shards", "segments", "service", "manifest"])
    parser.add_argument("videos", nargs="*", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    print(machine())
    with tempfile.TemporaryDirectory(prefix="yolo3-archive-") as folder:
        print(
            _measure(
                given.what, given.model.resolve(), [path.resolve() for path in given.videos], Path(folder), given.rounds
            )
        )


def _measure(what: str, model: Path, videos: Sequence[Path], folder: Path, rounds: int) -> str:
    if what == "overhead":
        return overhead(model, videos, folder, rounds)
    if what == "shards":
        return shards(model, videos[0], folder)
    if what == "segments":
        return segments(model, folder, rounds)
    if what == "service":
        return service(model, videos, folder)
    return manifest(folder)


def overhead(model: Path, videos: Sequence[Path], folder: Path, rounds: int) -> str:
    """Return a table of `yolo3 archive` against `yolo3 video` on the same videos, alternating."""
    times: dict[str, list[float]] = {"video": [], "archive": []}
    for number in range(rounds):
        for verb, seconds in times.items():
            command = [verb, *map(str, videos), "--out", str(folder / f"{verb}-{number}"), "--quiet"]
            seconds.append(_run(command, model))
    rows = [(f"yolo3 {verb}", f"{median(seconds):.2f}", f"{min(seconds):.2f}") for verb, seconds in times.items()]
    ratio = median(times["archive"]) / median(times["video"])
    return f"{table(('', 'median, s', 'best, s'), rows)}\n\narchive / video: {ratio:.3f}, {rounds} rounds"


def shards(model: Path, video: Path, folder: Path) -> str:
    """Return a table of one process and two shards over copies of a video, a core for each; compare their logs."""
    inputs = folder / "inputs"
    inputs.mkdir()
    for number in range(COPIES):
        shutil.copy(video, inputs / f"{number}.mp4")
    command = ["archive", str(inputs), "--threads", "1", "--quiet"]
    began = monotonic()
    (one_cpu,) = _cpu_of([_start([*command, "--out", str(folder / "one")], model, core=0)])
    one = monotonic() - began
    began = monotonic()
    both_cpu = _cpu_of(
        [
            _start([*command, "--out", str(folder / "two"), "--shard", f"{number}/{_SHARDS}"], model, core=number)
            for number in range(_SHARDS)
        ]
    )
    two = monotonic() - began
    join = _run(["archive", "--join", "--out", str(folder / "two")], model)
    logs = [
        {
            path.name: path.read_bytes()
            for path in (folder / name).glob("*-*.jsonl")
            if not path.name.startswith("manifest")
        }
        for name in ("one", "two")
    ]
    same = "equal" if logs[0] == logs[1] and len(logs[0]) == COPIES else "DIFFERENT"
    rows = [
        ("one process on one core", f"{one:.1f}", f"{one_cpu:.1f}"),
        ("two shards on a core each", f"{two:.1f}", " and ".join(f"{cpu:.1f}" for cpu in both_cpu)),
        ("--join", f"{join:.1f}", ""),
    ]
    ratio = f"two / one: {two / one:.2f}; of CPU time, the longer shard / one: {max(both_cpu) / one_cpu:.2f}"
    return f"{table(('', 's', 'CPU s'), rows)}\n\n{ratio}; logs of all {len(logs[0])} inputs: {same}"


def _cpu_of(processes: Sequence[subprocess.Popen[bytes]]) -> list[float]:
    """Wait for processes and return the CPU seconds of each."""
    found = []
    for process in processes:
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise SystemExit("a shard failed")
        found.append(used.ru_utime + used.ru_stime)
    return found


def segments(model: Path, folder: Path, rounds: int) -> str:
    """Return a table of a generated hour with sound, whole and in segments of ten minutes; compare the results."""
    film = generated_hour(folder / "hour.mp4")
    times: dict[str, list[float]] = {"0": [], "10": []}
    for number in range(rounds):
        for minutes, seconds in times.items():
            out = folder / f"out-{minutes}-{number}"
            seconds.append(
                _run(["archive", str(film), "--out", str(out), "--segment-minutes", minutes, "--quiet"], model)
            )
    whole, cut = (folder / f"out-{minutes}-0" for minutes in times)
    same = {
        "log": _one(whole, "hour-*.jsonl").read_bytes() == _one(cut, "hour-*.jsonl").read_bytes(),
        "timestamps": _packets(_one(whole, "*.mp4"), "video") == _packets(_one(cut, "*.mp4"), "video"),
        "sound": _packets(_one(whole, "*.mp4"), "audio") == _packets(_one(cut, "*.mp4"), "audio"),
    }
    rows = [
        (f"--segment-minutes {minutes}", f"{median(seconds):.1f}", f"{min(seconds):.1f}")
        for minutes, seconds in times.items()
    ]
    words = ", ".join(f"{name} {'equal' if equal else 'DIFFERENT'}" for name, equal in same.items())
    ratio = median(times["10"]) / median(times["0"])
    return f"{table(('', 'median, s', 'best, s'), rows)}\n\ncut / whole: {ratio:.3f}, {rounds} rounds; {words}"


def service(model: Path, videos: Sequence[Path], folder: Path) -> str:
    """Return what one process with one thread does in CPU time, and what it reads and writes, as a table and as JSON.

    The time of a run over one small picture is that of starting.
    """
    picture = folder / "picture.png"
    picture.write_bytes(cv2.imencode(".png", np.full((96, 96, 3), 127, np.uint8))[1].tobytes())
    start, _ = _cpu_seconds(model, [picture], folder / "start", [])
    rows, found = [], []
    for copies in (True, False):
        out = folder / f"service-{copies}"
        cpu, frames = _cpu_seconds(model, videos, out, [] if copies else ["--logs-only"])
        shown = sum(_seconds(video) for video in videos)
        written = sum(path.stat().st_size for path in out.iterdir()) / shown * 3600
        read = sum(video.stat().st_size for video in videos) / shown * 3600
        rate = frames / (cpu - start)
        found.append({"copies": copies, "rate": rate, "start": start, "read": read, "written": written})
        what = "log and copy" if copies else "log"
        rows.append((what, f"{rate:.0f}", f"{start:.1f}", f"{read / 1e6:.0f}", f"{written / 1e6:.0f}"))
    head = ("results", "frames per CPU second", "start, CPU s", "read, MB per hour", "written, MB per hour")
    return f"{model.stem}\n\n{table(head, rows)}\n\n{json.dumps(found)}"


def _cpu_seconds(model: Path, inputs: Sequence[Path], out: Path, more: Sequence[str]) -> tuple[float, int]:
    """Run an archive with one thread; return the CPU seconds of its process and the frames of its manifest."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    _run(["archive", *map(str, inputs), "--out", str(out), "--threads", "1", "--quiet", *more], model)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return cpu, sum(entry.frames or 0 for entry in read_entries(out / "manifest.jsonl"))


def manifest(folder: Path) -> str:
    """Return how long a manifest of a million entries takes, and how much memory."""
    path = folder / "manifest.jsonl"
    run = ArchiveRun("0.1.0", "0" * 64, {}, ENTRIES, "0" * 64)
    entry = Entry(
        "", State.COMPLETE, "", "1048576@1732222222123456789", frames=250, boxes=31, seconds=3.2, log_sha256="0" * 64
    )
    began = monotonic()
    with ManifestWriter(path, run) as writer:
        for number in range(ENTRIES):
            key = f"{number * 7919:012x}"
            state = State.FAILED if number % 100 == 0 else State.COMPLETE
            writer.add(
                replace(
                    entry, key=key, state=state, at=number, source=f"videos/{number}.mp4", log=f"{number}-{key}.jsonl"
                )
            )
    written = monotonic() - began
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began, spent = monotonic(), process_time()
    index = ManifestIndex()
    index.read(path)
    left = sum(
        index.state(f"{number * 7919:012x}", stamp=entry.stamp) is not State.COMPLETE for number in range(ENTRIES)
    )
    opened, spent = monotonic() - began, process_time() - spent
    peak = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    size = path.stat().st_size / 1e6
    return (
        f"{ENTRIES:,} entries, {size:.0f} MB: written line by line in {written:.1f} s; opened and filtered in "
        f"{opened:.2f} s, {spent:.2f} s of CPU ({left:,} of them to be done again), {peak:.0f} MB of memory"
    )


def generated_hour(path: Path) -> Path:
    """Write an hour of 2 frames per second with sound: a bright square that wanders."""
    with av.open(str(path), "w") as output:
        stream = output.add_stream("libx264", rate=_HOUR_RATE)
        stream.width, stream.height, stream.pix_fmt, stream.gop_size = 320, 192, "yuv420p", 50
        stream.options = {"preset": "ultrafast"}
        sound = output.add_stream("aac", rate=_SOUND_RATE, layout="mono")
        tone = (np.sin(np.arange(_SOUND_RATE) * 0.3) * 8000).astype(np.int16)[None]
        for second in range(3600):
            for number in range(_HOUR_RATE):
                picture = np.full((192, 320, 3), 60, np.uint8)
                place = (second * _HOUR_RATE + number) % 280
                picture[80:112, place : place + 32] = (230, 40, second % 256)
                output.mux(stream.encode(av.VideoFrame.from_ndarray(picture)))
            samples = av.AudioFrame.from_ndarray(tone, format="s16", layout="mono")
            samples.sample_rate, samples.pts = _SOUND_RATE, second * _SOUND_RATE
            output.mux(sound.encode(samples))
        output.mux(stream.encode(None))
        output.mux(sound.encode(None))
    return path


def _start(arguments: Sequence[str], model: Path, *, core: int | None = None) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-P", "-m", "detector", *arguments, "--model", str(model)]
    if core is not None:
        command = ["taskset", "--cpu-list", str(core), *command]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, cwd=_CHECKOUT)


def _run(arguments: Sequence[str], model: Path, *, core: int | None = None) -> float:
    """Run the command and return its seconds."""
    began = monotonic()
    if _start(arguments, model, core=core).wait():
        raise SystemExit(f"yolo3 {' '.join(arguments)} failed")
    return monotonic() - began


def _one(folder: Path, pattern: str) -> Path:
    (path,) = folder.glob(pattern)
    return path


def _packets(path: Path, kind: str) -> list[tuple[int | None, bytes]]:
    """Return the timestamps of a stream's packets, in order, and of sound also the bytes."""
    with av.open(str(path)) as video:
        stream = getattr(video.streams, kind)[0]
        found = [
            (packet.pts, b"" if kind == "video" else bytes(packet)) for packet in video.demux(stream) if packet.size
        ]
    return sorted(found, key=lambda packet: packet[0] or 0)


def _seconds(video: Path) -> float:
    with av.open(str(video)) as opened:
        return (opened.duration or 0) / av.time_base


if __name__ == "__main__":
    main()
