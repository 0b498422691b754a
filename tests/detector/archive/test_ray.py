"""`yolo3 archive --ray` on a cluster of two nodes, of which one is killed in the middle."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("ray")
ROOT = Path(__file__).parents[3]

PROGRAM = """
import sys, threading, time
from pathlib import Path
from ray.cluster_utils import Cluster
from detector.__main__ import main

out, *arguments = sys.argv[1:]
cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
node = cluster.add_node(num_cpus=1)

def kill():
    manifest = Path(out, "manifest.jsonl")
    while not manifest.exists() or manifest.read_text().count('"type":"input"') < 3:
        time.sleep(0.05)
    cluster.remove_node(node, allow_graceful=False)
    print("killed", flush=True)

killer = threading.Thread(target=kill, daemon=True)
killer.start()
sys.argv = ["yolo3", "archive", *arguments, "--out", out, "--ray", cluster.address]
try:
    main()
finally:
    killer.join(20)
    cluster.shutdown()
"""


def logs(folder):
    return {path.name: path.read_bytes() for path in folder.glob("*-*.jsonl")}


@pytest.mark.slow
def test_two_nodes_of_which_one_dies(clips, colour_model, tmp_path, yolo3_process):
    folder = tmp_path / "in put"
    folder.mkdir()
    for number in range(8):
        clips.make(folder / f"{number}.mp4", range(150), key_every=25)
    common = [str(folder), "--model", str(colour_model), "--threads", "1"]
    yolo3_process(*common, "--out", str(tmp_path / "one"))

    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path / "two"), *common],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=280,
    )

    assert done.returncode == 0, done.stderr[-2000:]
    assert "killed" in done.stdout and "8 inputs" in done.stdout
    assert logs(tmp_path / "two") == logs(tmp_path / "one") and len(logs(tmp_path / "one")) == 8
    lines = [json.loads(line) for line in (tmp_path / "two" / "manifest.jsonl").read_text("utf-8").splitlines()]
    complete = [line["key"] for line in lines if line.get("state") == "complete"]
    assert len(complete) == len(set(complete)) == 8


@pytest.fixture
def yolo3_process():
    def run(*arguments):
        command = [sys.executable, "-m", "detector", "archive", *arguments]
        subprocess.run(
            command, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=True, capture_output=True, timeout=120
        )

    return run
