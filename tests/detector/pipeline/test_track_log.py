"""A log made into one with tracks."""

import contextlib
import json

import pytest

from detector.errors import LogError, OutputError, SettingsError
from detector.logs.frame_log import FrameRecord, RunRecord, read_log
from detector.pipeline.track_log import TrackOptions, track_log

CLASSES = ["person", "car"]


class Bar:
    def __init__(self):
        self.count = 0

    def update(self, n=1, /):
        self.count += n


@contextlib.contextmanager
def no_bar(total):
    yield None


def box(index, x=100.0, **more):
    left = x + 4 * index
    return {"class_id": 1, "name": "car", "confidence": 0.9, "box": [left, 100, left + 80, 160], **more}


def write_log(path, frames, *, end=True, gaps=()):
    run = {"type": "run", "schema": 1, "source": "a.mp4", "width": 1280, "height": 720, "frame_rate": "25"}
    lines = [{**run, "model": "m.h5", "model_sha256": "0", "settings": {"every": 1}, "classes": CLASSES}]
    for index, boxes in enumerate(frames):
        lines.append({"type": "frame", "frame": index, "time": round(index / 25, 6), "detections": boxes})
        if index in gaps:
            lines.append({"type": "gap", "after_frame": index, "time": index / 25, "seconds": 1.0, "reason": "lost"})
    if end:
        lines.append({"type": "end", "frames": len(frames), "status": "complete"})
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


@pytest.fixture
def log(tmp_path):
    return write_log(tmp_path / "log.jsonl", [[] if 20 <= n < 40 else [box(n)] for n in range(60)], gaps=[10])


def frames_of(path):
    return [record for record in read_log(path) if isinstance(record, FrameRecord)]


def test_tracks_are_written_and_gaps_marked(log, tmp_path):
    result = track_log(log, tmp_path / "out.jsonl", bar=no_bar)

    frames = frames_of(tmp_path / "out.jsonl")
    assert [frame.frame for frame in frames] == list(range(60))
    assert {found.track for frame in frames for found in frame.detections} == {1}
    assert [frame.detections[0].interpolated for frame in frames] == [20 <= n < 40 for n in range(60)]
    assert (result.frames, result.detections, result.tracks) == (60, 40, 1)
    assert (result.tracked, result.interpolated, result.notes) == (40, 20, ())


def test_other_lines_stay_where_they_were(log, tmp_path):
    track_log(log, tmp_path / "out.jsonl", bar=no_bar)

    kinds = [json.loads(line)["type"] for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert kinds == ["run", *["frame"] * 11, "gap", *["frame"] * 49, "end"]
    run = next(read_log(tmp_path / "out.jsonl"))
    assert isinstance(run, RunRecord)
    assert run.settings["every"] == 1
    assert run.settings["track"] == "offline"


def test_twice_gives_the_same_bytes(log, tmp_path):
    for name in ("a.jsonl", "b.jsonl"):
        track_log(log, tmp_path / name, bar=no_bar)

    assert (tmp_path / "a.jsonl").read_bytes() == (tmp_path / "b.jsonl").read_bytes()


def test_a_log_without_end_is_tracked_with_a_note(tmp_path):
    log = write_log(tmp_path / "log.jsonl", [[box(n)] for n in range(30)], end=False)

    (note,) = track_log(log, tmp_path / "out.jsonl", bar=no_bar).notes

    assert note == f"{log}: has no last line, as after a killed run; 30 frames are tracked"
    assert len(frames_of(tmp_path / "out.jsonl")) == 30


def test_a_tracked_log_is_refused_unless_asked(log, tmp_path):
    once, twice = tmp_path / "once.jsonl", tmp_path / "twice.jsonl"
    track_log(log, once, bar=no_bar)

    with pytest.raises(LogError, match=r"has tracks already \(track 1 in frame 0\)"):
        track_log(once, twice, bar=no_bar)
    assert not twice.exists()
    again = track_log(once, twice, TrackOptions(again=True), bar=no_bar)
    assert (again.detections, again.interpolated) == (40, 20)


@pytest.mark.parametrize("name", ["sort", "bytetrack", "botsort", "ocsort"])
def test_online_trackers_forward_only(log, tmp_path, name):
    pytest.importorskip("trackers")

    result = track_log(log, tmp_path / "out.jsonl", TrackOptions(name, forward_only=True), bar=no_bar)

    frames = frames_of(tmp_path / "out.jsonl")
    assert sum(len(frame.detections) for frame in frames) == 40
    assert result.interpolated == 0
    assert {found.track for frame in frames[5:20] for found in frame.detections} == {1}


def test_an_online_tracker_may_make_the_first_links(log, tmp_path):
    pytest.importorskip("trackers")

    result = track_log(log, tmp_path / "out.jsonl", TrackOptions("bytetrack"), bar=no_bar)

    assert (result.tracks, result.interpolated) == (1, 20)


def test_progress_counts_every_frame(log, tmp_path):
    bar, totals = Bar(), []

    @contextlib.contextmanager
    def opened(total):
        totals.append(total)
        yield bar

    track_log(log, tmp_path / "out.jsonl", bar=opened)

    assert (totals, bar.count) == ([60], 60)


def test_inputs_and_existing_files_are_not_replaced(log, tmp_path):
    before = log.read_bytes()
    with pytest.raises(OutputError, match="is the input"):
        track_log(log, log, overwrite=True, bar=no_bar)
    (tmp_path / "out.jsonl").write_text("mine")
    with pytest.raises(OutputError, match="exists already"):
        track_log(log, tmp_path / "out.jsonl", bar=no_bar)

    assert log.read_bytes() == before
    assert (tmp_path / "out.jsonl").read_text() == "mine"


@pytest.mark.parametrize("swap", [(5, 6), (59, 3)])
def test_frames_out_of_order_are_refused_with_their_line(log, tmp_path, swap):
    lines = log.read_text().splitlines(keepends=True)
    one, other = swap
    lines[one], lines[other] = lines[other], lines[one]
    log.write_text("".join(lines))

    with pytest.raises(LogError, match=r"line \d+ is not a line of a frame log: frame"):
        track_log(log, tmp_path / "out.jsonl", bar=no_bar)
    assert not (tmp_path / "out.jsonl").exists()


def test_several_runs_in_one_log_are_refused(log, tmp_path):
    log.write_text(log.read_text() * 2)

    with pytest.raises(LogError, match="split the logs"):
        track_log(log, tmp_path / "out.jsonl", bar=no_bar)


def two_that_turn_back(clips):
    """A red and a blue thing come together, are hidden for 12 frames, and come out where they went in."""
    pictures, frames = [], []
    for index in range(50):
        picture, boxes = clips.picture(index), []
        if not 22 <= index < 34:
            way = 3 * min(index, 56 - index)
            for left, colour in ((10 + way, (220, 20, 20)), (176 - way, (20, 20, 220))):
                picture[60:120, left : left + 24] = colour
                boxes.append({"class_id": 0, "name": "person", "confidence": 0.9, "box": [left, 60, left + 24, 120]})
        pictures.append(picture)
        frames.append(boxes)
    return pictures, frames


def test_looks_keep_apart_what_motion_would_join(clips, tmp_path, monkeypatch):
    pictures, frames = two_that_turn_back(clips)
    monkeypatch.setattr(clips, "picture", lambda number, **size: pictures[number])
    source = clips.make(tmp_path / "in.mp4", range(50))
    log = write_log(tmp_path / "log.jsonl", frames)
    log.write_text(log.read_text().replace('"width": 1280, "height": 720', '"width": 224, "height": 160'))

    exchanged = {}
    for name, options in {"motion": TrackOptions(), "looks": TrackOptions(video=source)}.items():
        track_log(log, tmp_path / f"{name}.jsonl", options, bar=no_bar)
        by_frame = {frame.frame: frame.detections for frame in frames_of(tmp_path / f"{name}.jsonl")}
        red = min(by_frame[10], key=lambda box: box.box[0]).track
        blue = max(by_frame[45], key=lambda box: box.box[0]).track
        exchanged[name] = red == blue

    assert exchanged == {"motion": True, "looks": False}


def test_looks_need_the_logs_own_video(clips, log, tmp_path):
    source = clips.make(tmp_path / "in.mp4", range(60))
    with pytest.raises(LogError, match="is of a video of 1280x720"):
        track_log(log, tmp_path / "out.jsonl", TrackOptions(video=source), bar=no_bar)
    with pytest.raises(SettingsError, match="--forward-only leaves out"):
        track_log(log, tmp_path / "out.jsonl", TrackOptions(video=source, forward_only=True), bar=no_bar)
    assert not (tmp_path / "out.jsonl").exists()
