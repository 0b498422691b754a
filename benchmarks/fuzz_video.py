"""Read damaged copies of videos: `python -m benchmarks.fuzz_video VIDEO... [--copies 1000] [--seed 1]`.

Each copy must yield frames and at most one of this project's errors, within seconds. Copies are read in a separate
process, so that one that crashes FFmpeg is counted and the others are still read.
"""

from __future__ import annotations

import argparse
import faulthandler
import random
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from detector.errors import Yolo3Error

_SLOWEST_SECONDS = 10.0
_BATCH = 50


def mutated(content: bytes, dice: random.Random) -> bytes:
    """Return a damaged copy: bytes flipped, a block zeroed, cut off, or several of these."""
    damaged = bytearray(content)
    for _ in range(dice.randint(1, 3)):
        if not damaged:
            break
        where = dice.randrange(len(damaged))
        match dice.choice(("flip", "flip head", "zero", "cut")):
            case "flip":
                for _ in range(dice.randint(1, 100)):
                    damaged[dice.randrange(len(damaged))] = dice.randrange(256)
            case "flip head":
                for _ in range(dice.randint(1, 10)):
                    damaged[dice.randrange(min(2000, len(damaged)))] = dice.randrange(256)
            case "zero":
                size = min(dice.randint(1, 5000), len(damaged) - where)
                damaged[where : where + size] = bytes(size)
            case _:
                del damaged[where:]
    return bytes(damaged)


def read(path: Path) -> str:
    """Return how a video ends: `frames`, or the name of this project's error that it ends with."""
    from detector.video.reading.video_file import VideoFile

    try:
        with VideoFile(path) as video:
            for _ in video:
                pass
    except Yolo3Error as error:
        return type(error).__name__
    return "frames"


def fuzz(videos: Sequence[Path], *, copies: int, seed: int) -> tuple[Counter[str], list[str]]:
    """Read this many damaged copies of the videos in turn; return how they ended, and which ended badly."""
    endings: Counter[str] = Counter()
    bad: list[str] = []
    contents = [video.read_bytes() for video in videos]
    with tempfile.TemporaryDirectory() as folder:
        for first in range(0, copies, _BATCH):
            numbers = list(range(first, min(first + _BATCH, copies)))
            paths = []
            for number in numbers:
                which = number % len(videos)
                path = Path(folder) / f"{number}{videos[which].suffix}"
                path.write_bytes(mutated(contents[which], random.Random(seed * 1_000_003 + number)))
                paths.append(path)
            while paths:
                done = _read_apart(paths)
                endings.update(done)
                if len(done) < len(paths):
                    name = paths[len(done)].name
                    bad.append(f"copy {name} (of {videos[int(name.split('.')[0]) % len(videos)]}, seed {seed})")
                    endings["crash, hang or traceback"] += 1
                    paths = paths[len(done) + 1 :]
                else:
                    paths = []
            for number in numbers:
                for path in Path(folder).glob(f"{number}.*"):
                    path.unlink()
    return endings, bad


def _read_apart(paths: Sequence[Path]) -> list[str]:
    """Return how each video ended, up to the first that crashed the process."""
    command = [sys.executable, "-m", "benchmarks.fuzz_video", "--read", *map(str, paths)]
    told = subprocess.run(command, capture_output=True, text=True, check=False)
    return told.stdout.split()


def main() -> None:
    """Print how the copies ended; return 1 if any ended badly."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("videos", nargs="+", type=Path)
    parser.add_argument("--copies", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--read", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.read:
        for path in given.videos:
            faulthandler.dump_traceback_later(_SLOWEST_SECONDS, exit=True)  # a hang ends the process
            print(read(path), flush=True)
        return
    endings, bad = fuzz(given.videos, copies=given.copies, seed=given.seed)
    for ending, count in endings.most_common():
        print(f"{count} {ending}")
    for line in bad:
        print(f"bad: {line}")
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
