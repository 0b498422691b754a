"""`yolo3 archive` as it is typed."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


@pytest.fixture
def videos(colour_clip, tmp_path):
    folder = tmp_path / "vid eos"
    folder.mkdir()
    for name in ("ä 1.mp4", "2.mp4", "3.mp4"):
        shutil.copy(colour_clip, folder / name)
    return folder


def test_shards_and_their_join(yolo3, videos, colour_model, tmp_path):
    command = ["archive", videos, "--out", tmp_path / "runs", "--model", colour_model]
    for shard in ("1/2", "2/2"):
        code, out, _ = yolo3(*command, "--shard", shard)
        assert code == 0 and "Found" in out

    code, out, err = yolo3("archive", "--join", "--out", tmp_path / "runs")
    assert (code, err) == (0, "") and "Joined 3 inputs with 27 frames" in out


def test_failures_are_listed_at_the_end(yolo3, videos, colour_model, tmp_path):
    (videos / "4.mp4").write_bytes(b"no video")
    code, out, err = yolo3("archive", videos, "--out", tmp_path / "runs", "--model", colour_model)
    assert code == 1 and "3 inputs" in out
    assert err.splitlines()[-1].startswith(f"error: {videos / '4.mp4'}: cannot be read")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "nothing to process"),
        (["none/*.mp4"], "nothing matches"),
        (["a.mp4", "--shard", "3/2"], "expected i/n"),
        (["a.mp4", "--list", "missing.txt"], "missing.txt: the list cannot be read"),
        (["a.mp4", "--precision", "auto"], "--calibrate"),
        (["a.mp4", "--retries", "-1"], "out of range"),
        (
            ["a.mp4", "--segment-minutes", "1", "--every", "5"],
            "--segment-minutes is for runs that detect in every frame",
        ),
        (["a.mp4", "--ray", "local", "--shard", "0/2"], "leave out --shard and --join"),
        (["a.mp4", "--parquet", "table"], "together with --join"),
        (["--join"], "holds no manifest"),
    ],
)
def test_a_wrong_command(arguments, words, yolo3, monkeypatch, colour_model, tmp_path):
    monkeypatch.chdir(tmp_path)
    code, _, err = yolo3("archive", *arguments, "--out", "runs", "--model", colour_model)
    assert code == 2 and words in err
    assert not (tmp_path / "runs").exists()


def test_a_folder_of_another_run(yolo3, videos, colour_model, tmp_path):
    command = ["archive", videos / "2.mp4", "--out", tmp_path / "runs", "--model", colour_model]
    assert yolo3(*command)[0] == 0
    code, _, err = yolo3(*command, "--confidence", "0.5")
    assert code == 2 and "its confidence was 0.25, not 0.5; use the same, or name another folder" in err


def test_killed_and_started_again(yolo3, clips, videos, colour_model, tmp_path):
    clips.make(videos / "0.mp4", range(200))
    command = ["archive", videos, "--out", tmp_path / "runs", "--model", colour_model]
    assert yolo3(*command[:3], tmp_path / "whole", *command[4:])[0] == 0
    process = subprocess.Popen(
        [sys.executable, "-m", "detector", *map(str, command)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stderr=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
    log = None
    while process.poll() is None and (log is None or log.stat().st_size < 2000):
        log = next(iter((tmp_path / "runs").glob("0-*.jsonl")), None)
    process.send_signal(signal.SIGKILL)
    process.wait()

    code, _, err = yolo3(*command)
    assert code == 0, err
    logs = {path.name: path.read_bytes() for path in (tmp_path / "runs").glob("*-*.jsonl")}
    assert logs == {path.name: path.read_bytes() for path in (tmp_path / "whole").glob("*-*.jsonl")}
