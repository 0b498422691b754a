"""Clips: exactly the frames of a moment, with their audio, and an index of all."""

import contextlib
import csv
import signal
import threading
from fractions import Fraction
from html.parser import HTMLParser
from time import sleep

import numpy as np
import pytest
from PIL import Image

from detector.errors import LogError, OutputError, SettingsError, VideoError, ZonesError
from detector.logs.frame_log import FrameLog, RunRecord
from detector.pipeline.clips import ClipOptions, write_clips
from detector.pipeline.moments import Wanted
from detector.video.frames import VideoInfo
from detector.video.status import RunStatus
from tests.detector.video.writing.test_joined_audio import decoded

NAMES = ("car", "person")
MET = (*range(10, 15), *range(30, 32), 45)
"""In these of 50 frames there is a person."""


def write_log(path, source, frames, boxes_of, met=MET, size=(224, 160)):
    info = VideoInfo(str(source), *size, Fraction(1, 25), frame_rate=Fraction(25))
    with FrameLog(path, RunRecord.of(info, model="m", model_sha256="0", settings={}, classes=NAMES)) as log:
        for frame in frames:
            found = boxes_of((10, 60, 60, 100), (120, 50, 180, 150), names=NAMES)
            found.class_id[1] = 1
            log.write(frame, found if frame.index in met else found[:1])
    return path


@pytest.fixture
def logged(clips, tmp_path, boxes_of):
    source = clips.make(tmp_path / "ein Film ∞ & <b>.mp4", range(50), sound="aac")
    return source, write_log(tmp_path / "log.jsonl", source, clips.frames(50), boxes_of)


def cut(logged, when="person", pad=0.08, **outputs):
    options = ClipOptions(*logged, Wanted(when, pad), **outputs)
    return write_clips(options, bar=lambda total: contextlib.nullcontext(None))


def numbers(clips, path):
    return [clips.number(picture) for _, picture in clips.decoded(path)]


SPANS = [range(8, 17), range(28, 34), range(43, 48)]


def test_every_clip_contains_exactly_its_frames(clips, logged, tmp_path):
    result = cut(logged, folder=tmp_path / "clips")

    files = sorted((tmp_path / "clips").glob("*.mp4"))
    assert [numbers(clips, file) for file in files] == [list(span) for span in SPANS]
    for file, span in zip(files, SPANS, strict=True):
        assert clips.times(file) == [Fraction(n, 25) for n in range(len(span))]
        assert abs(clips.samples(file).shape[1] / 44100 - len(span) / 25) < 0.1
    assert (result.moments, result.frames, result.status) == (3, 20, RunStatus.COMPLETE)
    assert result.seconds == pytest.approx(20 / 25)


def test_joined_leaves_the_rest_out(clips, logged, tmp_path):
    cut(logged, joined=tmp_path / "all.mp4")

    assert numbers(clips, tmp_path / "all.mp4") == [n for span in SPANS for n in span]
    assert clips.times(tmp_path / "all.mp4") == [Fraction(n, 25) for n in range(20)]
    assert abs(len(decoded(tmp_path / "all.mp4")) / 44100 - 20 / 25) < 0.05
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([logged[0].name, "log.jsonl", "all.mp4"])


def test_index_and_table(logged, tmp_path):
    cut(logged, folder=tmp_path / "my clips")

    links = []

    class Page(HTMLParser):
        def handle_starttag(self, tag, attributes):
            links.extend(value for name, value in attributes if name in ("href", "src"))

    page = (tmp_path / "my clips" / "index.html").read_text("utf-8")
    Page().feed(page)
    assert links == ["clips.csv", *(f"clip_000{n}.{ending}" for n in (1, 2, 3) for ending in ("mp4", "jpg"))]
    assert all((tmp_path / "my clips" / link).is_file() for link in links)
    assert "<h1>person – ein Film ∞ &amp; &lt;b&gt;.mp4</h1>" in page
    rows = list(csv.DictReader((tmp_path / "my clips" / "clips.csv").read_text().splitlines()))
    assert [(row["start"], row["end"], row["first_frame"], row["last_frame"]) for row in rows] == [
        ("0.320", "0.680", "8", "16"),
        ("1.120", "1.360", "28", "33"),
        ("1.720", "1.920", "43", "47"),
    ]
    assert {row["objects"] for row in rows} == {"1 person"}
    thumbnail = np.asarray(Image.open(tmp_path / "my clips" / "clip_0001.jpg"))
    assert thumbnail.shape == (160, 224, 3)
    plain = thumbnail[120:140, 130:170].astype(int)
    assert np.abs(thumbnail[70:140, 120].astype(int) - plain.mean((0, 1))).mean() > 30  # the person's box


def test_boxes_are_drawn_only_on_request(clips, logged, tmp_path):
    cut(logged, folder=tmp_path / "plain")
    cut(logged, folder=tmp_path / "drawn", draws=True)

    source = [picture for _, picture in clips.decoded(logged[0])][8:17]
    for name, drawn in (("plain", False), ("drawn", True)):
        pictures = [picture for _, picture in clips.decoded(tmp_path / name / "clip_0001.mp4")]
        changes = [np.abs(one.astype(int) - two)[60:100, 10].mean() for one, two in zip(pictures, source, strict=True)]
        assert all((change > 30) == drawn for change in changes)


def test_uneven_times_and_a_video_that_starts_late(clips, tmp_path, boxes_of):
    ticks = [n * n + 500 for n in range(50)]
    source = clips.make(tmp_path / "in.mkv", ticks, time_base=Fraction(1, 1000))
    frames = list(clips.frames(50))
    for frame, tick in zip(frames, ticks, strict=True):
        frame.pts, frame.time_base = tick, Fraction(1, 1000)
    log = write_log(tmp_path / "log.jsonl", source, frames, boxes_of)

    cut((source, log), pad=0.0, folder=tmp_path / "clips", joined=tmp_path / "all.mkv")

    files = sorted((tmp_path / "clips").glob("*.mp4"))
    assert [numbers(clips, file) for file in files] == [list(range(10, 15)), [30, 31], [45]]
    assert numbers(clips, tmp_path / "all.mkv") == list(MET)
    # 10 to 15, then 30 and 31 after the time at which 15 would have come, then 45 after that of 32.
    expected = [n * n - 100 for n in range(10, 15)] + [125, 186, 249]
    assert [round(time * 1000) for time in clips.times(tmp_path / "all.mkv")] == pytest.approx(expected, abs=1)


def test_a_logged_section(clips, tmp_path, boxes_of):
    source = clips.make(tmp_path / "in.mp4", range(50))
    frames = [frame for frame in clips.frames(50) if frame.index >= 20]
    for frame in frames:
        frame.index -= 20
    info = VideoInfo(str(source), 224, 160, Fraction(1, 25), frame_rate=Fraction(25))
    record = RunRecord.of(info, model="m", model_sha256="0", settings={"start": 0.8}, classes=NAMES)
    with FrameLog(tmp_path / "log.jsonl", record) as log:
        for frame in frames:
            found = boxes_of((10, 60, 60, 100), names=NAMES)
            log.write(frame, found if frame.index in (5, 6) else found[:0])

    cut((source, tmp_path / "log.jsonl"), "car", 0.0, folder=tmp_path / "clips")

    assert numbers(clips, tmp_path / "clips" / "clip_0001.mp4") == [25, 26]


def test_no_moment(logged, tmp_path):
    result = cut(logged, "2 person", folder=tmp_path / "clips", joined=tmp_path / "all.mp4")

    assert (result.moments, result.frames) == (0, 0)
    assert sorted(path.name for path in (tmp_path / "clips").iterdir()) == ["clips.csv", "index.html"]
    assert not (tmp_path / "all.mp4").exists()
    assert result.notes == (f"{tmp_path / 'all.mp4'}: not made, because no frame meets the condition",)


def test_another_video_is_refused_and_leaves_nothing(clips, logged, tmp_path):
    before = sorted(path.name for path in tmp_path.iterdir())
    shorter = clips.make(tmp_path.parent / f"{tmp_path.name}-shorter.mp4", range(5))
    smaller = clips.make(tmp_path.parent / f"{tmp_path.name}-small.mp4", range(50), size=(192, 160))
    other = clips.make(tmp_path.parent / f"{tmp_path.name}-other.mp4", range(0, 100, 2), time_base=Fraction(1, 49))
    for source, said in ((shorter, "is not the log of"), (smaller, "of 224x160"), (other, "is not the log of")):
        with pytest.raises(LogError, match=said):
            cut((source, logged[1]), folder=tmp_path / "clips", joined=tmp_path / "all.mp4")
    with pytest.raises(VideoError, match=r"none\.mp4"):
        cut((tmp_path / "none.mp4", logged[1]), folder=tmp_path / "clips")
    assert sorted(path.name for path in tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    ("when", "outputs", "error", "said"),
    [
        ("persn", {"folder": "clips"}, ZonesError, "'persn' is not one of the 2: car, person"),
        ("person", {}, SettingsError, "nothing to make"),
        ("person", {"joined": "all.avi"}, OutputError, r"use one of \.mp4"),
        ("person", {"joined": "log.jsonl"}, OutputError, "cannot write a video"),
        ("person", {"folder": "taken"}, OutputError, "is not empty"),
        ("person", {"folder": "taken", "overwrite": True}, OutputError, r"contains mine\.txt"),
        ("person", {"folder": "log.jsonl"}, OutputError, "is a file; name a folder"),
    ],
)
def test_wrong_options(logged, tmp_path, when, outputs, error, said):
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "mine.txt").write_text("mine")
    given = {name: tmp_path / value if isinstance(value, str) else value for name, value in outputs.items()}
    with pytest.raises(error, match=said):
        cut(logged, when, **given)
    assert (tmp_path / "taken" / "mine.txt").read_text() == "mine"


def test_the_video_itself_is_never_replaced(logged):
    before = logged[0].read_bytes()
    with pytest.raises(OutputError, match="is the input"):
        cut(logged, joined=logged[0], overwrite=True)
    assert logged[0].read_bytes() == before


def test_again_only_with_overwrite(clips, logged, tmp_path):
    cut(logged, folder=tmp_path / "clips", joined=tmp_path / "all.mp4")
    with pytest.raises(OutputError, match="is not empty"):
        cut(logged, folder=tmp_path / "clips")
    with pytest.raises(OutputError, match="exists already"):
        cut(logged, joined=tmp_path / "all.mp4")

    cut(logged, "person", 1.0, folder=tmp_path / "clips", joined=tmp_path / "all.mp4", overwrite=True)

    assert [path.name for path in sorted((tmp_path / "clips").glob("*.mp4"))] == ["clip_0001.mp4"]
    assert numbers(clips, tmp_path / "all.mp4") == list(range(50))


def test_ctrl_c_keeps_complete_clips(logged, tmp_path):
    class Bar:
        done = 0

        def update(self, n=1, /):
            self.done += n
            if self.done == 12:  # in the second clip
                signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
                sleep(0.3)  # the other frames wait for this one

    options = ClipOptions(*logged, Wanted("person", 0.08), folder=tmp_path / "clips")
    result = write_clips(options, bar=lambda total: contextlib.nullcontext(Bar()))

    assert result.status is RunStatus.INTERRUPTED
    names = {path.name for path in (tmp_path / "clips").iterdir()}
    clips_left = {name for name in names if name.endswith(".mp4")}
    rows = list(csv.DictReader((tmp_path / "clips" / "clips.csv").read_text().splitlines()))
    assert {row["clip"] for row in rows} == clips_left < {"clip_0001.mp4", "clip_0002.mp4", "clip_0003.mp4"}
    assert names == clips_left | {name.replace("mp4", "jpg") for name in clips_left} | {"index.html", "clips.csv"}
    assert any("contains" in note for note in result.notes)
