"""`-` in place of a file: standard input and standard output."""

import json
import subprocess
import sys

import pytest

from detector.logs.frame_log import read_log


def command(*arguments, given=None):
    ended = subprocess.run(
        [sys.executable, "-m", "detector", *map(str, arguments)], stdin=given, capture_output=True, check=False
    )
    assert b"Traceback" not in ended.stderr
    return ended.returncode, ended.stdout.decode(), ended.stderr.decode()


@pytest.mark.parametrize("with_video", [True, False])
def test_a_log_on_standard_output_is_nothing_but_the_log(colour_model, colour_clip, tmp_path, with_video):
    out = [tmp_path / "out.mp4"] if with_video else []
    code, printed, told = command("video", colour_clip, *out, "--model", colour_model, "--log", "-")
    assert code == 0
    assert [json.loads(line)["type"] for line in printed.splitlines()] == ["run", *["frame"] * 9, "end"]
    assert "Found 9 boxes in 9 frames" in told
    assert not (tmp_path / "-").exists()
    log = tmp_path / "log.jsonl"
    log.write_text(printed)
    assert len(list(read_log(log))) == 11


def test_a_log_on_standard_input_is_summarised_and_exported(colour_model, colour_clip, tmp_path):
    log = tmp_path / "log.jsonl"
    assert command("video", colour_clip, "--model", colour_model, "--log", log)[0] == 0
    with log.open("rb") as given:
        assert "9 boxes in 9 frames" in command("summary", "-", given=given)[1]
    with log.open("rb") as given:
        assert command("export", "-", "-", "--to", "csv", given=given)[1].count("\n") == 10


def test_a_reader_that_has_seen_enough_ends_the_run_quietly(colour_model, colour_clip):
    words = [sys.executable, "-m", "detector", "video", colour_clip, "--model", colour_model, "--log", "-"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        running.stdout.close()
        told = running.stderr.read().decode()
        assert running.wait(60) == 1
    assert "Traceback" not in told
    assert "error" not in told


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("export", "MODEL", "-"), "standard output"),
        (("export", "MODEL", "-", "--to", "litert"), "standard output"),
        (("export", "LOG", "-", "--to", "yolo"), "yolo is not a text format"),
        (("track", "LOG", "-"), "standard output"),
        (("video", "CLIP", "--log", "-", "--resume"), "cannot be resumed"),
        (("video", "CLIP", "--log", "-", "--events", "-", "--track", "sort"), "both go to standard output"),
        (("video", "CLIP", "-"), "without a suffix"),
    ],
)
def test_what_cannot_go_to_standard_output_makes_no_file_of_that_name(
    yolo3, monkeypatch, colour_model, colour_clip, tmp_path, arguments, message
):
    monkeypatch.chdir(tmp_path)
    log = tmp_path / "log.jsonl"
    assert yolo3("video", colour_clip, "--model", colour_model, "--log", log)[0] == 0
    files = sorted(tmp_path.iterdir())
    names = {"MODEL": colour_model, "LOG": log, "CLIP": colour_clip}
    model = ["--model", colour_model] if arguments[0] == "video" else []
    code, _, told = yolo3(*(names.get(word, word) for word in arguments), *model)
    assert code == 2
    assert message in told
    assert sorted(tmp_path.iterdir()) == files
