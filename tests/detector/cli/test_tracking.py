"""The verbs for tracks, from the command line."""

import csv
import json

import pytest

from tests.detector.pipeline.test_track_log import box, write_log

ZONES = '[[line]]\nname = "middle"\nfrom = [0.25, 1]\nto = [0.25, 0]\n'


@pytest.fixture
def log(tmp_path):
    return write_log(tmp_path / "log.jsonl", [[] if 20 <= n < 40 else [box(n, 200.0)] for n in range(60)])


@pytest.fixture
def zones(tmp_path):
    path = tmp_path / "zones.toml"
    path.write_text(ZONES)
    return path


def test_track_then_events(yolo3, log, zones, tmp_path):
    tracked = tmp_path / "tracked.jsonl"

    code, out, _ = yolo3("track", log, tracked)
    assert (code, out.splitlines()) == (
        0,
        [
            "Found 1 tracks in 60 frames: 40 detections, 20 more where nothing was detected; 0 left out",
            f"Wrote {tracked}",
        ],
    )

    code, out, _ = yolo3("events", tracked, "--zones", zones, "--out", tmp_path / "e.csv", "--only", "crossed")
    assert code == 0
    assert out.splitlines() == [
        "middle: 1 in (1 car), 0 out",
        "objects: 1 (1 car)",
        f"Wrote {tmp_path / 'e.csv'}",
    ]
    (crossing,) = csv.DictReader((tmp_path / "e.csv").read_text().splitlines())
    assert (crossing["event"], crossing["place"], crossing["direction"]) == ("crossed", "middle", "in")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("track", "none.jsonl", "out.jsonl"), "none.jsonl: the log cannot be opened"),
        (("track", "log.jsonl", "out.jsonl", "--longest-gap", "-1"), "the longest gap is -1; expected 0 to 3600"),
        (("track", "zones.toml", "out.jsonl"), "line 1 is not a line of a frame log"),
        (("events", "log.jsonl"), "has no tracks; make them with yolo3 track"),
        (("events", "log.jsonl", "--out", "e.txt"), "e.txt: events are written as .jsonl, .csv, .srt, .vtt"),
        (("events", "log.jsonl", "--only", "crossd"), "'crossd' is no kind of event; expected some of appeared"),
        (("zones", "none.mp4", "zones.toml", "out.png"), "none.mp4"),
        (("zones", "none.mp4", "none.toml", "out.png"), "none.toml: the zones cannot be read"),
        (("clips", "in.mp4", "log.jsonl", "--when", "car"), "nothing to make"),
        (("clips", "in.mp4", "log.jsonl", "--when", "cr", "--out", "d"), "class 'cr' is not one of the 2: person, car"),
        (("clips", "-", "log.jsonl", "--when", "car", "--out", "d"), "-: a pipe can be read only once"),
        (("clips", "in.mp4", "log.jsonl", "--when", "car", "--out", "d", "--pad", "x"), "pad 'x' is not a duration"),
        (("clips", "none.mp4", "log.jsonl", "--when", "car", "--out", "d"), "none.mp4"),
    ],
)
def test_mistakes_are_told_in_one_line(yolo3, log, zones, tmp_path, monkeypatch, arguments, said):
    monkeypatch.chdir(tmp_path)
    before = sorted(path.name for path in tmp_path.iterdir())

    code, out, err = yolo3(*arguments)

    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert said in err
    assert err.count("\n") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_a_tracked_log_is_tracked_again_only_when_asked(yolo3, log, tmp_path):
    yolo3("track", log, tmp_path / "a.jsonl")
    code, _, err = yolo3("track", tmp_path / "a.jsonl", tmp_path / "b.jsonl")
    assert (code, "pass --again to replace them" in err) == (2, True)
    assert yolo3("track", tmp_path / "a.jsonl", tmp_path / "b.jsonl", "--again")[0] == 0


def test_clips_of_a_video(yolo3, clips, tmp_path):
    source = clips.make(tmp_path / "in.mp4", range(30))
    log = write_log(tmp_path / "log.jsonl", [[box(0)] if 5 <= n < 8 or n == 20 else [] for n in range(30)])
    lines = log.read_text().replace('"width": 1280, "height": 720', '"width": 224, "height": 160')
    log.write_text(lines)

    code, out, _ = yolo3(
        *("clips", source, log, "--when", "car", "--pad", "0.04s", "--out", tmp_path / "c"),
        *("--join", tmp_path / "all.mp4", "--boxes"),
    )

    assert code == 0
    assert out.splitlines() == [
        "Found 2 moments: 8 frames, 0.3 s",
        f"Wrote {tmp_path / 'c' / 'index.html'}",
        f"Wrote {tmp_path / 'all.mp4'}",
    ]
    shown = [clips.number(picture) for _, picture in clips.decoded(tmp_path / "all.mp4")]
    assert shown == [4, 5, 6, 7, 8, 19, 20, 21]


def test_zones_are_drawn_onto_a_frame(yolo3, clips, zones, tmp_path):
    source = clips.make(tmp_path / "in.mp4", range(10))

    code, out, _ = yolo3("zones", source, zones, tmp_path / "shown.png", "--at", "0.2")

    assert (code, out) == (0, f"Wrote {tmp_path / 'shown.png'}\n")


def test_events_of_a_video_that_runs_are_lines_of_json(yolo3, clips, zones, colour_model, tmp_path):
    pytest.importorskip("trackers")
    source = clips.make(tmp_path / "in.mp4", range(10))

    code, _, err = yolo3(
        *("video", source, "--model", colour_model, "--log", tmp_path / "log.jsonl", "--engine", "keras"),
        *("--track", "bytetrack", "--zones", zones, "--events", tmp_path / "e.jsonl"),
    )

    assert code == 0, err
    assert all(json.loads(line)["type"] == "event" for line in (tmp_path / "e.jsonl").read_text().splitlines())


def test_summary_counts_and_plots(yolo3, log, zones, tmp_path):
    pytest.importorskip("matplotlib")
    yolo3("track", log, tmp_path / "tracked.jsonl")

    code, out, _ = yolo3("summary", tmp_path / "tracked.jsonl", "--zones", zones, "--plot", tmp_path / "o.png")

    assert code == 0
    assert "middle: 1 in (1 car), 0 out" in out
    assert out.endswith(f"Wrote {tmp_path / 'o.png'}\n")
    assert (tmp_path / "o.png").read_bytes().startswith(b"\x89PNG")
