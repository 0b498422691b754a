"""The command, run in this process; tests that need a separate process are at the end."""

import contextlib
import functools
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import av
import pytest
import typer
from PIL import Image

from detector.cli.app import VERBS, build_app
from detector.pipeline import annotate_video as streaming
from detector.pipeline.outputs import Outputs
from detector.settings import Settings


@pytest.fixture
def photo(tmp_path, flag):
    path = tmp_path / "Flagge 旗.png"
    Image.fromarray(flag).save(path)
    return path


def test_each_verb_is_registered_by_the_module_that_is_listed_with_it():
    for verbs in VERBS.values():
        for verb in verbs:
            assert tuple(typer.main.get_command(build_app(verb)).commands) == verbs
    every = [verb for verbs in VERBS.values() for verb in verbs]
    for other in ("", "--help", "vidoe"):
        assert list(typer.main.get_command(build_app(other)).commands) == every


def test_help_names_the_verbs(yolo3):
    code, out, _ = yolo3("--help")

    assert code == 0
    assert all(verb in out for verb in ("convert", "image", "video", "webcam"))


def test_version(yolo3):
    code, out, err = yolo3("--version")

    assert (code, err) == (0, "")
    assert re.fullmatch(r"yolo3 (\d+\.\d+\S*|\(not installed\)), Python \d\S*, Keras \d\S*, .+\n", out)


def test_shell_completion_knows_verbs_and_options():
    def complete(words):
        environment = {**os.environ, "_YOLO3_COMPLETE": "complete_bash", "COMP_WORDS": words}
        environment["COMP_CWORD"] = str(len(words.split(" ")) - 1)
        script = "import sys; sys.argv[0] = 'yolo3'; from detector.__main__ import main; main()"
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment)
        assert done.stderr == ""
        return done.stdout.split()

    assert complete("yolo3 vi") == ["video"]
    assert "--confidence" in complete("yolo3 image --con")


def test_convert_says_what_it_read(yolo3, colour_model, tmp_path):
    source = colour_model.parent
    code, out, err = yolo3("convert", source / "colours.cfg", source / "colours.weights", tmp_path / "new" / "m.h5")

    assert code == 0
    assert out == "Read 24584 of 24584 from Darknet weights.\n"
    assert "class 0 to class 2" in err
    assert (tmp_path / "new" / "m.h5").is_file()


def test_convert_goes_back_to_darknet_byte_for_byte(yolo3, colour_model, tmp_path):
    weights = tmp_path / "back.weights"

    code, out, _ = yolo3("convert", colour_model, tmp_path / "back.cfg", weights)

    assert (code, out) == (0, f"Wrote 24584 floats to {weights}\n")
    assert weights.read_bytes() == (colour_model.parent / "colours.weights").read_bytes()
    assert (tmp_path / "back.cfg").read_text() == (colour_model.parent / "colours.cfg").read_text()
    assert yolo3("convert", colour_model, tmp_path / "back.cfg", weights)[0] == 2


def test_quiet_says_nothing_on_standard_error(yolo3, colour_model, tmp_path):
    source = colour_model.parent
    _, out, err = yolo3("convert", source / "colours.cfg", source / "colours.weights", tmp_path / "m.h5", "--quiet")

    assert out == "Read 24584 of 24584 from Darknet weights.\n"
    assert err == ""


def test_image_prints_boxes_best_first(yolo3, colour_model, photo):
    code, out, _ = yolo3("image", photo, "--model", colour_model)

    assert code == 0
    assert out.splitlines() == [
        f"Found 2 boxes for {photo}",
        "red 1.00 (0, 0) (32, 32)",
        "blue 1.00 (32, 64) (64, 96)",
    ]


def test_image_writes_copies_and_json(yolo3, colour_model, photo, tmp_path):
    out_folder, json_path = tmp_path / "out", tmp_path / "boxes.json"

    code, *_ = yolo3("image", photo, "--model", colour_model, "--out", out_folder, "--json", json_path)

    assert code == 0
    with Image.open(out_folder / photo.name) as copy:
        assert copy.size == (96, 96)
    record = json.loads(json_path.read_text("utf-8"))
    assert record["source"] == str(photo)
    assert [box["name"] for box in record["detections"]] == ["red", "blue"]


def test_json_on_standard_output_is_all_there_is(yolo3, colour_model, photo):
    _, out, _ = yolo3("image", photo, photo.parent, "--model", colour_model, "--json", "-")

    assert [json.loads(line)["source"] for line in out.splitlines()] == [str(photo)]


def test_a_second_run_replaces_nothing_unasked(yolo3, colour_model, photo, tmp_path):
    again = ["image", photo, "--model", colour_model, "--out", tmp_path / "out"]
    assert yolo3(*again)[0] == 0

    code, out, err = yolo3(*again)

    assert (code, out) == (2, "")
    assert "--overwrite" in err
    assert yolo3(*again, "--overwrite")[0] == 0


def test_one_bad_picture_among_several_is_exit_code_1(yolo3, colour_model, photo, tmp_path):
    bad = tmp_path / "truncated.jpg"
    bad.write_bytes(b"\xff\xd8\xff\xe0 and no more")

    code, out, err = yolo3("image", bad, photo, tmp_path / "missing.png", "--model", colour_model, "--quiet")

    assert code == 1
    assert out.startswith(f"Found 2 boxes for {photo}")
    assert len(err.splitlines()) == 2
    assert "truncated.jpg" in err
    assert "missing.png" in err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        pytest.param(["image", "no.jpg", "--model", "MODEL"], "no.jpg", id="missing picture"),
        pytest.param(["image", "PHOTO", "--model", "no.h5"], "no.h5", id="missing model"),
        pytest.param(["image", "PHOTO", "--model", "PHOTO"], "a PNG picture", id="a picture as the model"),
        pytest.param(["image", "PHOTO", "--model", "MODEL", "--classes", "pink"], "pink", id="unknown class"),
        pytest.param(["image", "PHOTO", "--model", "MODEL", "--size", "100"], "stride 32", id="odd size"),
        pytest.param(["image", "PHOTO", "--model", "MODEL", "--confidence", "2"], "0 to 1", id="confidence"),
        pytest.param(["image", "PHOTO", "--model", "MODEL", "--shape", "round"], "round", id="not a choice"),
        pytest.param(["image", "PHOTO", "--model", "MODEL", "--out", "PHOTO/x"], "cannot be made", id="no folder"),
        pytest.param(["image", "nothing*.jpg", "--model", "MODEL"], "nothing*.jpg", id="empty glob"),
        pytest.param(["image"], "PICTURE", id="no picture at all"),
        pytest.param(["video", "no.mp4", "o.mp4", "--model", "MODEL"], "no.mp4", id="missing video"),
        pytest.param(["video", "PHOTO", "--model", "MODEL"], "--log", id="nothing to make"),
        pytest.param(["video", "CLIP", "o.xyz", "--model", "MODEL"], ".xyz", id="unknown container"),
        pytest.param(["video", "CLIP", "CLIP", "--model", "MODEL"], "is the input", id="the input as output"),
        pytest.param(["video", "CLIP", "o.mp4", "--model", "no.h5"], "no.h5", id="video without a model"),
        pytest.param(["video", "CLIP", "o.mp4", "--start", "1:75", "--model", "MODEL"], "1:75", id="no time"),
        pytest.param(
            ["video", "CLIP", "o.mp4", "--start", "9", "--model", "MODEL"], "0.72 s", id="start after the end"
        ),
        pytest.param(
            ["video", "CLIP", "o.mp4", "--start", ".5", "--end", "0.4", "--model", "MODEL"], ".5", id="end before start"
        ),
        pytest.param(["video", "CLIP", "o.mp4", "--fps", "10", "--model", "MODEL"], "--fps", id="fps of a video"),
        pytest.param(["video", "PHOTO", "o.mp4", "--model", "MODEL"], "yolo3 image", id="a picture as a video"),
        pytest.param(["video", ".", "o.mp4", "--fps", "x", "--model", "MODEL"], "'x'", id="no rate"),
        pytest.param(["video", "nothing*.png", "o.mp4", "--model", "MODEL"], "nothing*.png", id="a glob of nothing"),
        pytest.param(["webcam", "9" * 20, "--no-window", "--model", "MODEL"], "no such camera", id="a huge number"),
        pytest.param(["image", "PHOTO", "--model", "MODEL", "--size", "99968"], "too large", id="huge size"),
        pytest.param(["video", "/dev/zero", "o.mp4", "--model", "MODEL"], "/dev/zero", id="a device"),
        pytest.param(["convert", "/dev/zero", "no.weights", "o.h5"], "/dev/zero", id="a device as cfg"),
        pytest.param(["image", "PHOTO", "--model", "no.h5", "--json", "j.json"], "no.h5", id="nothing is left"),
        pytest.param(["webcam", "87", "--no-window", "--model", "MODEL"], "87", id="no such camera"),
        pytest.param(["webcam", "no.mp4", "--no-window", "--model", "MODEL"], "no.mp4", id="no such file"),
        pytest.param(["convert", "no.cfg", "no.weights", "o.h5"], "no.cfg", id="missing cfg"),
        pytest.param(["convert", "no.cfg", "no.weights", "o.txt"], ".h5", id="not an .h5"),
        pytest.param(["fly"], "fly", id="unknown verb"),
    ],
)
def test_a_wrong_command_is_one_line_and_exit_code_2(
    yolo3, colour_model, colour_clip, photo, tmp_path, monkeypatch, arguments, words
):
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.iterdir())
    known = {"MODEL": str(colour_model), "PHOTO": str(photo), "CLIP": str(colour_clip)}
    for word, path in known.items():
        arguments = [argument.replace(word, path) for argument in arguments]

    code, out, err = yolo3(*arguments)

    assert (code, out) == (2, "")
    assert words in err
    if "Usage:" not in err:
        assert len(err.splitlines()) == 1
        assert err.startswith("error: ")
    assert sorted(tmp_path.iterdir()) == before


def frames_of(path):
    with av.open(str(path)) as container:
        return [
            (float(frame.pts * frame.time_base), frame.to_ndarray(format="rgb24"))
            for frame in container.decode(video=0)
        ]


def test_video_keeps_frames_times_and_boxes_together(yolo3, colour_model, colour_clip, tmp_path):
    out, log = tmp_path / "out dir" / "ø.mp4", tmp_path / "ø.jsonl"

    code, printed, err = yolo3("video", colour_clip, out, "--log", log, "--model", colour_model)

    assert code == 0
    assert printed.startswith("Found 9 boxes in 9 frames")
    assert "9/9" not in err  # no bar where there is no terminal
    lines = [json.loads(line) for line in log.read_text("utf-8").splitlines()]
    assert lines[0]["type"] == "run"
    assert lines[0]["frame_rate"] == "25/2"
    assert lines[0]["settings"]["confidence"] == 0.25
    assert lines[0]["classes"] == ["red", "green", "blue"]
    assert lines[-1] == {"type": "end", "frames": 9, "status": "complete"}
    source, result = frames_of(colour_clip), frames_of(out)
    assert len(source) == len(result) == len(lines) - 2 == 9
    for index, (line, (time_before, _), (time_after, picture)) in enumerate(
        zip(lines[1:-1], source, result, strict=True)
    ):
        top, left = 32 * (index // 3), 32 * (index % 3)
        assert abs(time_after - time_before) < 0.001
        assert line["frame"] == index
        assert line["time"] == pytest.approx(time_before, abs=1e-6)
        (box,) = line["detections"]
        assert box["box"] == pytest.approx([left, top, left + 32, top + 32], abs=0.5)
        # The outline of red's own colour is on this frame's cell: bright where the cell alone would be pure red.
        assert picture[top + 16, left + 16, 0] > 150


def test_a_section_of_a_video(yolo3, colour_model, colour_clip, tmp_path):
    out, log = tmp_path / "o.mp4", tmp_path / "o.jsonl"

    code, printed, _ = yolo3(
        *("video", colour_clip, out, "--log", log, "--model", colour_model),
        *("--start", "0:00.2", "--end", "0.5", "--quiet"),
    )

    assert code == 0
    assert printed.startswith("Found 4 boxes in 4 frames")
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert (lines[0]["settings"]["start"], lines[0]["settings"]["end"]) == (0.2, 0.5)
    assert [(line["frame"], line["time"]) for line in lines[1:-1]] == [(0, 0.24), (1, 0.32), (2, 0.4), (3, 0.48)]
    assert lines[1]["detections"][0]["box"] == pytest.approx([0, 32, 32, 64], abs=0.5)  # the fourth cell
    assert [time for time, _ in frames_of(out)] == pytest.approx([0, 0.08, 0.16, 0.24])


def test_a_folder_of_pictures_is_a_video_whatever_is_wrong_with_one(yolo3, colour_model, flag, tmp_path):
    (tmp_path / "b").mkdir()
    for number in (1, 2, 10):
        Image.fromarray(flag).save(tmp_path / "b" / f"{number}.png")
    (tmp_path / "b" / "3.png").write_bytes(b"nothing")

    code, printed, err = yolo3("video", tmp_path / "b", tmp_path / "o.mp4", "--fps", "5", "--model", colour_model)

    assert code == 1
    assert printed.startswith("Found 6 boxes in 3 frames")
    assert "3.png" in err and "1 of 4 pictures could not be read" in err
    assert [time for time, _ in frames_of(tmp_path / "o.mp4")] == pytest.approx([0, 0.2, 0.6])


def test_quiet_leaves_out_what_was_only_put_right(yolo3, colour_model, flag, tmp_path):
    (tmp_path / "b").mkdir()
    Image.fromarray(flag).save(tmp_path / "b" / "1.png")
    Image.fromarray(flag[:, :48]).save(tmp_path / "b" / "2.png")
    command = ("video", tmp_path / "b", tmp_path / "o.mp4", "--model", colour_model, "--overwrite")

    assert "1 picture of another size fitted" in yolo3(*command)[2]
    assert yolo3(*command, "--quiet")[2] == ""


def test_a_log_alone_is_enough(yolo3, colour_model, colour_clip, tmp_path):
    code, *_ = yolo3("video", colour_clip, "--log", tmp_path / "log.jsonl", "--model", colour_model, "--quiet")

    assert code == 0
    assert len((tmp_path / "log.jsonl").read_text().splitlines()) == 11


def test_profile_shows_where_the_time_goes_and_logs_it(yolo3, colour_model, colour_clip, tmp_path):
    out, log = tmp_path / "out.mp4", tmp_path / "out.jsonl"
    _, printed, _ = yolo3("video", colour_clip, out, "--log", log, "--model", colour_model, "--profile")
    assert [line.split()[0] for line in printed.splitlines()[2:5]] == ["reading", "finding", "writing"]
    stages = json.loads(log.read_text().splitlines()[-1])["milliseconds"]
    assert set(stages) == {"decode", "resize", "network", "boxes", "draw", "encode", "log"}
    assert all(0 < taken < 10_000 for taken in stages.values())
    plain = tmp_path / "plain.jsonl"
    yolo3("video", colour_clip, "--log", plain, "--model", colour_model)
    assert plain.read_text().splitlines()[:-1] == log.read_text().splitlines()[:-1]
    assert "milliseconds" not in plain.read_text()


def test_the_log_is_the_same_however_many_frames_are_looked_into_at_a_time(
    colour_model, colour_clip, tmp_path, monkeypatch
):
    logs = []
    for workers in (1, 3):
        monkeypatch.setattr(streaming, "workers_for", lambda model, settings, workers=workers: workers)
        log = tmp_path / f"{workers}.jsonl"
        options = streaming.VideoOptions(colour_clip, colour_model, Settings(), Outputs(None, log))
        summary = streaming.annotate_video(options, bar=lambda _: contextlib.nullcontext())
        assert summary.workers == workers
        logs.append(log.read_text())
    assert logs[0] == logs[1]


def test_small_networks_get_a_lane_for_each_core_and_large_ones_one(colour_model, tmp_path, monkeypatch):
    monkeypatch.setattr(streaming, "available_cores", lambda: 3)
    assert streaming.workers_for(colour_model, Settings()) == 3
    assert streaming.workers_for(colour_model, Settings(threads=1)) == 1
    assert streaming.workers_for(colour_model, Settings(engine="keras")) == 1
    large = tmp_path / "large.h5"
    with large.open("wb") as file:
        file.truncate(100 << 20)
    assert streaming.workers_for(large, Settings()) == 1


def test_a_video_file_stands_in_for_a_camera(yolo3, colour_model, colour_clip, tmp_path):
    code, printed, err = yolo3(
        *("webcam", colour_clip, "--no-window", "--log", tmp_path / "c.jsonl", "--out", tmp_path / "c.mp4"),
        *("--model", colour_model, "--buffer", "all", "--quiet"),
    )

    assert (code, err) == (0, "")
    assert "9 frames" in printed
    assert len(frames_of(tmp_path / "c.mp4")) == 9


def test_without_a_display_the_window_is_refused_in_words(yolo3, colour_model, colour_clip, monkeypatch):
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    if sys.platform == "darwin":
        pytest.skip("macOS has a display without saying so")

    code, out, err = yolo3("webcam", colour_clip, "--model", colour_model)

    assert (code, out) == (2, "")
    assert "--no-window" in err


def in_a_process(*arguments, **options):
    return subprocess.run(
        [sys.executable, "-c", "from detector.__main__ import main; main()", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
        **options,
    )


def test_help_answers_without_importing_anything_heavy():
    heavy = ["numpy", "cv2", "av", "h5py", "PIL", "tensorflow", "keras", "tqdm"]
    code = (
        "import sys\nfrom detector.__main__ import main\nsys.argv = ['yolo3', 'video', '--help']\n"
        f"try: main()\nexcept SystemExit: pass\nprint([name for name in {heavy} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.splitlines()[-1] == "[]"


def test_standard_error_is_free_of_tensorflows_chatter(colour_model, photo):
    done = in_a_process("image", photo, "--model", colour_model, "--quiet")

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("Found 2 boxes")


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_leaves_whole_files_and_exit_code_130(colour_model, colour_clip, tmp_path, sent):
    long_clip = tmp_path / "long.mp4"
    with av.open(str(long_clip), "w") as output:
        stream = output.add_stream("libx264", rate=25)
        stream.width = stream.height = 96
        stream.pix_fmt = "yuv420p"
        stream.options = {"preset": "ultrafast"}
        for _, picture in frames_of(colour_clip) * 500:
            output.mux(stream.encode(av.VideoFrame.from_ndarray(picture)))
        output.mux(stream.encode(None))
    out, log = tmp_path / "out.mp4", tmp_path / "out.jsonl"
    running = subprocess.Popen(
        [sys.executable, "-c", "from detector.__main__ import main; main()"]
        + [str(part) for part in ("video", long_clip, out, "--log", log, "--model", colour_model)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 100
    while time.monotonic() < deadline and not (log.exists() and log.read_text().count("\n") > 20):
        time.sleep(0.05)
    running.send_signal(sent)
    _, err = running.communicate(timeout=60)

    assert running.returncode == 130, err
    assert "Traceback" not in err
    end = json.loads(log.read_text().splitlines()[-1])
    assert end["status"] == "interrupted"
    assert 20 <= end["frames"] < 4500
    assert len(frames_of(out)) == end["frames"]


@pytest.mark.parametrize("where", ["json", "log", "stdout"])
def test_a_full_disk_is_exit_code_1_and_one_line(colour_model, colour_clip, photo, where):
    full = Path("/dev/full")
    if not full.is_char_device():
        pytest.skip("needs /dev/full")
    command = {
        "json": ["image", photo, "--json", full, "--overwrite"],
        "log": ["video", colour_clip, "--log", full, "--overwrite"],
        "stdout": ["image", photo],
    }[where]

    with full.open("w") as nowhere:
        done = subprocess.run(
            [sys.executable, "-m", "detector", *map(str, command), "--model", str(colour_model), "--quiet"],
            stdout=nowhere if where == "stdout" else subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            timeout=120,
        )

    assert done.returncode == 1
    assert re.fullmatch(r"error: .*(/dev/full|standard output).*\n", done.stderr), done.stderr
    assert full.is_char_device()


def test_what_is_read_is_never_replaced(yolo3, colour_model, colour_clip, photo, tmp_path):
    model = tmp_path / "model.h5"
    model.write_bytes(colour_model.read_bytes())
    (tmp_path / "link.h5").symlink_to(model)
    clip = tmp_path / "out.mp4.yolo3-part1.mp4"
    clip.write_bytes(colour_clip.read_bytes())
    kept = {path: path.read_bytes() for path in (model, photo, clip)}
    common = ["--model", model, "--overwrite", "--quiet"]
    commands = [
        ["image", photo, "--json", photo],
        ["image", photo, "--json", model],
        ["image", photo, "--json", tmp_path / "link.h5"],
        ["image", photo, "--out", tmp_path / "o", "--json", tmp_path / "o" / photo.name],
        ["image", photo, "--out", photo.parent],
        ["video", clip, clip],
        ["video", clip, tmp_path / "out.mp4"],
        ["video", clip, "--log", tmp_path / "link.h5"],
        ["video", clip, tmp_path / "a.mp4", "--log", tmp_path / "a.mp4"],
    ]

    for command in commands:
        code, out, err = yolo3(*command, *common)
        assert (code, out) == (2, ""), command
        assert err.startswith("error: "), command
    assert {path: path.read_bytes() for path in kept} == kept


def test_names_that_are_no_utf_8(yolo3, colour_model, colour_clip, photo, tmp_path):
    odd = os.fsdecode(os.fsencode(str(tmp_path)) + b"/bad\xff")
    try:
        Path(odd + ".png").write_bytes(photo.read_bytes())
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    Path(odd + ".mp4").write_bytes(colour_clip.read_bytes())

    json_path, log = tmp_path / "b.json", tmp_path / "b.jsonl"
    done = in_a_process("image", odd + ".png", "--json", json_path, "--model", colour_model, "--quiet")
    code, *_ = yolo3("video", odd + ".mp4", "--log", log, "--model", colour_model, "--quiet")

    assert (done.returncode, done.stderr) == (0, "")
    assert (code, len(log.read_text().splitlines())) == (0, 11)
    assert json.loads(json_path.read_text())["source"] == odd + ".png"


def test_a_folder_that_is_gone(colour_model, photo, tmp_path):
    gone = tmp_path / "gone"
    gone.mkdir()
    script = f"import os; os.chdir({str(gone)!r}); os.rmdir({str(gone)!r}); from detector.__main__ import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", script, "image", str(photo), "--model", str(colour_model)],
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: the current folder no longer exists; change to another one\n"


def test_a_closed_pipe_is_no_drama(colour_model, photo):
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    command = [sys.executable, "-c", "from detector.__main__ import main; main()", "image", *[str(photo)]]
    running = subprocess.Popen(
        [*command, "--model", str(colour_model), "--quiet"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )
    assert running.stdout is not None
    assert running.stderr is not None
    running.stdout.close()
    err = running.stderr.read()
    running.stderr.close()
    running.wait(timeout=60)

    assert "Traceback" not in err


@pytest.mark.skipif(not hasattr(os, "fork"), reason="closing a stream before the program starts is a Unix thing")
@pytest.mark.parametrize(("verb", "closed"), [("image", 1), ("image", 2), ("video", 1), ("inspect", 1), ("--help", 1)])
def test_a_closed_standard_stream(verb, closed, colour_model, colour_clip, photo, tmp_path):
    out = tmp_path / "out"
    arguments = {
        "image": ["image", photo, "--json", out, "--model", colour_model],
        "video": ["video", colour_clip, "--log", out, "--model", colour_model],
        "inspect": ["inspect", colour_model],
        "--help": ["--help"],
    }[verb]

    done = in_a_process(*arguments, preexec_fn=functools.partial(os.close, closed))

    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    if out.exists():
        # Nothing that was to be printed has landed in the file that took the stream's number.
        assert all(line.startswith("{") for line in out.read_text().splitlines())
