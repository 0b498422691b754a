"""Inputs of an archive, and a detector that finds the number that each frame shows."""

import shutil
from pathlib import Path

import pytest
from PIL import Image

from detector.archive.inputs import find_inputs
from detector.archive.run import run_archive
from detector.archive.work import ArchiveOptions, Worker
from detector.settings import Settings
from tests.detector.clips import FakeDetector


class NumberDetector(FakeDetector):
    """Finds as many boxes as the number of the frame says, modulo three; may fail or press Ctrl-C."""

    def __init__(self, clips, boxes_of) -> None:
        super().__init__()
        self.clips, self.boxes_of = clips, boxes_of
        self.opened_times = self.frames = 0
        self.error, self.error_at = None, None

    def detect(self, image):
        self.frames += 1
        if self.frames == self.error_at:
            raise self.error
        return self.boxes_of(*[(8.0 * n, 30.0, 8.0 * n + 6, 50.0) for n in range(self.clips.number(image) % 3)])

    def opened(self, model, settings, **how):
        self.opened_times += 1
        return self


class Bar:
    done = 0

    def update(self, n=1):
        self.done += n


@pytest.fixture
def numbers(clips, boxes_of):
    return NumberDetector(clips, boxes_of)


@pytest.fixture
def inputs(clips, tmp_path) -> Path:
    """Two videos of one name and a picture, in folders with spaces and letters beyond ASCII."""
    folder = tmp_path / "in put" / "ü"
    folder.mkdir(parents=True)
    clips.make(folder.parent / "a.mp4", range(12), sound="aac")
    clips.make(folder / "a.mp4", range(7))
    Image.fromarray(clips.picture(5)).save(folder / "10.png")
    (folder / "notes.txt").write_text("no picture")
    return folder.parent


@pytest.fixture
def archive(tmp_path, colour_model, numbers):
    """Run over these inputs, with an opened fake detector; returns the result."""

    def run(*arguments, version="1.0", out="out put", **options):
        given = ArchiveOptions(tmp_path / out, colour_model, Settings(), **options)
        given.check()
        worker = Worker(given, open_detector=numbers.opened)
        found = find_inputs([str(argument) for argument in arguments], out=given.folder)
        return run_archive(found, worker, version=version, progress=Bar())

    return run


@pytest.fixture
def turns(monkeypatch) -> None:
    """Shards that take turns, because the folder of a test, and with it the share of an input, is another each time."""
    seen: dict[str, int] = {}
    monkeypatch.setattr(
        "detector.archive.shards.Shard.owns",
        lambda shard, key: seen.setdefault(key, len(seen)) % shard.count == shard.index,
    )


@pytest.fixture
def out(tmp_path) -> Path:
    return tmp_path / "out put"


def contents(folder: Path) -> dict[str, bytes]:
    """All files of a folder but its manifests."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if not path.name.startswith("manifest")}


def copy_tree(source: Path, target: Path) -> Path:
    return Path(shutil.copytree(source, target))
