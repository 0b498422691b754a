"""The campaign itself: its cases come from the seed, and what is wrong is noticed."""

import json

import av
import numpy as np
import pytest
from PIL import Image

from benchmarks.torture import page
from benchmarks.torture.fork_server import ForkServer, Job
from benchmarks.torture.mutated import KINDS, Cases, read_case
from benchmarks.torture.outcomes import Outcome, Tally
from benchmarks.torture.privacy import LARGEST_LIKENESS, likeness
from benchmarks.torture.stage import FRAMES, cell, set_up
from benchmarks.torture.verbs import complete_pair, leftovers, unsound
from convert.errors import Yolo3Error
from detector.drawing.blur import hide


@pytest.fixture(scope="module")
def stage(tmp_path_factory):
    return set_up(tmp_path_factory.mktemp("stage"))


def test_there_are_ten_thousand_damaged_inputs():
    assert sum(KINDS.values()) >= 10_000


@pytest.mark.parametrize("kind", KINDS)
def test_a_case_is_the_same_each_time_and_ends_well(stage, tmp_path, kind):
    first, second = (Cases(stage, 5, tmp_path / name) for name in ("a", "b"))
    if kind.startswith(("model structure", "dataset")):  # HDF5 stores times, a dataset the folder
        path = first.write(kind, 3)
    else:
        path = first.write(kind, 3)
        assert path.read_bytes() == second.write(kind, 3).read_bytes()
    try:
        read_case(kind, path, str(path))
    except Yolo3Error as error:
        assert str(error)


def test_what_is_not_whole_is_found(tmp_path, clips):
    clips.make(tmp_path / "whole.mp4")
    data = (tmp_path / "whole.mp4").read_bytes()
    (tmp_path / "half.mp4").write_bytes(data[: len(data) // 2])
    (tmp_path / "half.json").write_text('{"a": ')
    (tmp_path / "half.jsonl").write_text('{"type": "frame"}\n')
    (tmp_path / "half.h5").write_bytes(b"\x89HDF\r\n\x1a\n")
    Image.fromarray(np.zeros((40, 40, 3), np.uint8)).save(tmp_path / "whole.png")
    (tmp_path / "half.png").write_bytes((tmp_path / "whole.png").read_bytes()[:60])
    (tmp_path / ".0123456789abcdef.yolo3-tmp.mp4").write_bytes(b"")
    found = unsound(tmp_path)
    assert [line.split()[0] for line in found] == ["half.h5", "half.json", "half.jsonl", "half.mp4", "half.png"]
    assert leftovers(tmp_path) == [".0123456789abcdef.yolo3-tmp.mp4"]


def test_a_pair_of_different_runs_is_found(stage, tmp_path):
    assert complete_pair(stage.clip, stage.log) == []
    short = tmp_path / "short.jsonl"
    short.write_text("".join(stage.log.read_text().splitlines(keepends=True)[:-3]))
    assert f"{FRAMES} frames and {FRAMES - 2} lines" in complete_pair(stage.clip, short)[0]


def test_a_killed_run_and_a_finished_one(stage, tmp_path):
    server = ForkServer(keras=False, cache=tmp_path / "cache")
    try:
        words = ["summary", str(stage.log)]
        (tmp_path / "case").mkdir()
        ending = server.run(Job(words, str(tmp_path / "case")))
        assert (ending.code, ending.hung, ending.left) == (0, False, 0)
        assert f"in {FRAMES} frames" in ending.out
        assert server.run(Job(words, str(tmp_path / "case"), kill_after=0.0)).code == -9
        missing = server.run(Job(["summary", "missing.jsonl"], str(tmp_path / "case"), closed=[1]))
        assert (missing.code, "cannot be opened" in missing.err) == (2, True)
    finally:
        server.close()


def test_an_object_in_clear_is_told_from_a_hidden_one():
    texture = np.random.default_rng(1).integers(0, 255, (12, 12, 3), np.uint8).repeat(4, 0).repeat(4, 1)
    picture = np.full((96, 96, 3), 90, np.uint8)
    picture[20:68, 20:68] = texture
    hidden = picture.copy()
    hide(hidden, np.array([[20, 20, 68, 68]], np.float32))
    assert likeness(texture, picture[20:68, 20:68]) > 0.99
    assert likeness(texture, hidden[20:68, 20:68]) < LARGEST_LIKENESS


def test_the_page_states_what_was_run(tmp_path, monkeypatch):
    monkeypatch.setattr(page, "PAGE", tmp_path / "page.md")
    tally = Tally(200)
    tally.add(Outcome("killed", seconds=1.5, peak_bytes=90 << 20), "killed:video:0")
    tally.add(Outcome("killed", "v.mp4 is not whole"), "killed:video:1")
    assert Tally.from_json(json.loads(json.dumps(tally.as_json()))) == tally
    page.write_page({("killed", "video"): tally}, seed=3)
    text = (tmp_path / "page.md").read_text()
    assert "2 of the 200 cases of a whole campaign were run; 1 of them failed" in text
    assert "2 of the 200 cases of a whole campaign were run" in text
    assert "| video | 2 | 200 | killed 1 | 1.5 s | 90 MB | 1 |" in text
    assert "`killed:video:1: v.mp4 is not whole`" in text


def test_the_clip_shows_its_cells(stage):
    with av.open(str(stage.clip)) as video:
        frames = [frame.to_ndarray(format="rgb24") for frame in video.decode(video=0)]
    assert len(frames) == FRAMES
    assert np.abs(frames[0].astype(int) - cell(0)).mean() < 8
