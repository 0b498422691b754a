"""Summary and contact sheet of logs, edge cases."""

import json
import subprocess
import sys

import pytest
from PIL import Image

from detector.cli.logs import redraw_verb, summary_verb
from detector.errors import LogError
from detector.logs.summary import summarize_log

RUN = {
    **{"type": "run", "schema": 1, "source": "a.mp4", "width": 224, "height": 160, "frame_rate": "25"},
    **{"model": "m.h5", "model_sha256": "0", "settings": {}, "classes": ["car", "person"]},
}
CAR = {"class_id": 0, "name": "car", "confidence": 0.9, "box": [10, 60, 60, 100]}
END = {"type": "end", "frames": 0, "status": "complete"}


def frame(number, *boxes):
    return {"type": "frame", "frame": number, "time": number / 25, "detections": list(boxes)}


def gap(seconds):
    return {"type": "gap", "after_frame": 0, "time": 0.0, "seconds": seconds, "reason": "it ended"}


NOTHING = "a.mp4: 0 boxes in 0 frames, 0.00 s"
KILLED = "the log has no end line: the run was killed or is still running"
EDGES = {
    "no frames": ([RUN, END], [NOTHING]),
    "killed before its first frame": ([RUN], [NOTHING, KILLED]),
    "interrupted before its first frame": (
        [RUN, END | {"status": "interrupted"}],
        [NOTHING, "the run ended before its source did: interrupted"],
    ),
    "no detections": (
        [RUN, *(frame(number) for number in range(26)), END],
        ["a.mp4: 0 boxes in 26 frames, 1.04 s"],
    ),
    "one frame": (
        [RUN, frame(0, CAR), END],
        [
            "a.mp4: 1 boxes in 1 frames, 0.04 s",
            "car: 1 boxes in 1 frames, seen 0.00 s to 0.00 s, at most 1 at once (at 0.00 s)",
            "busiest second: 0 s to 1 s, 1 boxes",
        ],
    ),
    "gaps": (
        [RUN, gap(1), frame(0), gap(2.5), frame(1), gap(10), END | {"status": "stopped"}],
        [
            "a.mp4: 0 boxes in 2 frames, 0.08 s",
            "the source was lost 3 times, for 13.5 s in all",
            "the run ended before its source did: stopped",
        ],
    ),
}


def written(path, lines, end=""):
    path.write_text("".join(json.dumps(line) + "\n" for line in lines) + end)
    return path


@pytest.mark.parametrize(("lines", "said"), EDGES.values(), ids=EDGES)
def test_summary(tmp_path, capsys, lines, said):
    summary_verb(written(tmp_path / "log.jsonl", lines))
    assert capsys.readouterr().out.splitlines() == said


def test_summary_of_a_log_whose_last_line_is_incomplete(tmp_path, capsys):
    torn = json.dumps(frame(2, CAR))[:-20]
    summary_verb(written(tmp_path / "log.jsonl", [RUN, frame(0), frame(1, CAR)], torn))
    assert capsys.readouterr().out.splitlines() == [
        "a.mp4: 1 boxes in 2 frames, 0.08 s",
        "car: 1 boxes in 1 frames, seen 0.04 s to 0.04 s, at most 1 at once (at 0.04 s)",
        "busiest second: 0 s to 1 s, 1 boxes",
        KILLED,
    ]


def test_summary_of_a_live_source_counts_from_its_first_frame(tmp_path):
    digest = summarize_log(written(tmp_path / "log.jsonl", [RUN, frame(25_000), frame(25_050), END]))
    assert digest.lines() == ["a.mp4: 0 boxes in 2 frames, 2.04 s"]


@pytest.mark.parametrize("content", ["", "{", json.dumps(RUN)])
def test_summary_of_an_empty_log(tmp_path, content):
    (tmp_path / "log.jsonl").write_text(content)
    with pytest.raises(LogError, match=r"log\.jsonl: line 1 is missing or incomplete"):
        summarize_log(tmp_path / "log.jsonl")


@pytest.mark.parametrize("count", [1, 3])
def test_sheet_of_a_short_video(clips, tmp_path, count):
    pytest.importorskip("matplotlib")
    source = clips.make(tmp_path / "in.mp4", range(count))
    log = written(tmp_path / "log.jsonl", [RUN, *(frame(number) for number in range(count)), END])
    redraw_verb(source, log, sheet=tmp_path / "sheet.png", quiet=True)
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.size == (1200, 600)


def test_sheet_of_a_log_without_frames_is_not_made_with_a_note(clips, tmp_path, capsys):
    pytest.importorskip("matplotlib")
    source = clips.make(tmp_path / "in.mp4", range(3))
    redraw_verb(source, written(tmp_path / "log.jsonl", [RUN]), sheet=tmp_path / "sheet.png", quiet=True)
    assert not (tmp_path / "sheet.png").exists()
    assert "sheet.png: not made, because no frame of the video is in the log" in capsys.readouterr().err
    # A run that came to its end, and has no frames, is of another video.
    with pytest.raises(LogError, match="is not the log of"):
        redraw_verb(source, written(tmp_path / "log.jsonl", [RUN, END]), sheet=tmp_path / "sheet.png", quiet=True)


LONG = """
import resource, sys
from pathlib import Path
from detector.logs.summary import summarize_log
from detector.logs.exports import export_log
from detector.logs.box_filter import BoxFilter
from detector.pipeline.contact_sheet import eventful_frames

def use(log):
    summarize_log(log).lines()
    eventful_frames(log, BoxFilter(), count=9)
    for to in ("csv", "coco", "mot", "darknet", "labelstudio"):
        export_log(log, to, log.with_suffix("." + to))

short, long = map(Path, sys.argv[1:])
use(short)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
use(long)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="counts memory in Linux's units")
def test_a_long_log_takes_little_memory(tmp_path):
    """An hour and more: 100,000 frames with half a million boxes."""
    paths = []
    for count in (1000, 100_000):
        path = tmp_path / f"{count}.jsonl"
        with path.open("w") as file:
            file.write(json.dumps(RUN) + "\n")
            file.writelines(json.dumps(frame(number, *[CAR] * (number % 11))) + "\n" for number in range(count))
            file.write(json.dumps(END) + "\n")
        paths.append(path)
    command = [sys.executable, "-c", LONG, *paths]
    grown = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, timeout=600).stdout
    assert int(grown) < 15
