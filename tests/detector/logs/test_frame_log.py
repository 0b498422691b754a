import json
import resource
import subprocess
import sys
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from detector.detections import Detections
from detector.errors import InputError, LogError, OutputError, StreamError, WriteError
from detector.logs.box_filter import BoxFilter
from detector.logs.exports import export_log
from detector.logs.frame_log import BoxRecord, EndRecord, FrameLog, FrameRecord, RunRecord, read_log
from detector.logs.summary import summarize_log
from detector.pipeline.contact_sheet import eventful_frames
from detector.video.frames import Frame, VideoInfo
from detector.video.status import RunStatus, Stopped

INFO = VideoInfo(
    source="straße.mp4", width=640, height=360, time_base=Fraction(1, 30000), frame_rate=Fraction(30000, 1001)
)
RUN = RunRecord.of(INFO, model="m.h5", model_sha256="ab12", settings={"confidence": 0.25}, classes=["人", "car"])


def frame(index, pts):
    return Frame(index=index, pts=pts, time_base=INFO.time_base, image=np.zeros((2, 2, 3), np.uint8))


def found():
    return Detections(
        np.array([[12, 30.5, 200.104, 180]], np.float32), np.array([0.97312]), np.array([0]), ("人", "car")
    )


def test_the_contract_line_by_line(tmp_path):
    path = tmp_path / "out.jsonl"
    with FrameLog(path, RUN) as log:
        log.write(frame(0, 0), Detections.empty())
        log.write(frame(17, 17017), found())
        assert len(path.read_text().splitlines()) == 3  # each line is there at once
    assert path.read_text(encoding="utf-8").splitlines() == [
        '{"type":"run","schema":1,"source":"straße.mp4","width":640,"height":360,"frame_rate":"30000/1001",'
        '"model":"m.h5","model_sha256":"ab12","settings":{"confidence":0.25},"classes":["人","car"]}',
        '{"type":"frame","frame":0,"time":0.0,"detections":[]}',
        '{"type":"frame","frame":17,"time":0.567233,"detections":'
        '[{"class_id":0,"name":"人","confidence":0.9731,"box":[12.0,30.5,200.1,180.0]}]}',
        '{"type":"end","frames":2,"status":"complete"}',
    ]


def test_what_is_written_is_read_back(tmp_path):
    path = tmp_path / "out.jsonl"
    with FrameLog(path, RUN) as log:
        log.write(frame(0, 1001), found())
    run, line, end = read_log(path)
    assert run == RUN
    assert line == FrameRecord(0, 0.033367, (BoxRecord(0, "人", 0.9731, (12.0, 30.5, 200.1, 180.0)),))
    assert end == EndRecord(1, RunStatus.COMPLETE)


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (KeyboardInterrupt(), "interrupted"),
        (StreamError("broke off"), "truncated"),
        (Stopped(), "stopped"),
        (ZeroDivisionError(), "failed"),
    ],
)
def test_status_records_how_the_run_ended(tmp_path, error, status):
    path = tmp_path / "out.jsonl"
    with pytest.raises(type(error)), FrameLog(path, RUN) as log:
        log.write(frame(0, 0), found())
        raise error
    assert list(read_log(path))[-1] == EndRecord(1, RunStatus(status))


def test_log_of_a_run_that_failed_before_its_first_frame_is_not_kept(tmp_path):
    with pytest.raises(ZeroDivisionError), FrameLog(tmp_path / "out.jsonl", RUN):
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []


def test_existing_log_is_kept_unless_told_otherwise(tmp_path):
    path = tmp_path / "out.jsonl"
    path.write_text("precious")
    with pytest.raises(OutputError, match="exists already"):
        FrameLog(path, RUN)
    assert path.read_text() == "precious"
    with FrameLog(path, RUN, overwrite=True):
        pass
    assert len(list(read_log(path))) == 2


def test_full_disk_leaves_complete_lines(tmp_path):
    path = tmp_path / "out.jsonl"
    code = f"""
import resource
from fractions import Fraction
import numpy as np
from detector.detections import Detections
from detector.errors import WriteError
from detector.video.frames import Frame, VideoInfo
from detector.logs.frame_log import FrameLog, RunRecord
info = VideoInfo(source="a.mp4", width=2, height=2, time_base=Fraction(1, 25))
run = RunRecord.of(info, model="m", model_sha256="0", settings={{}}, classes=[])
resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))
try:
    with FrameLog({str(path)!r}, run) as log:
        for index in range(1000):
            picture = np.zeros((2, 2, 3), np.uint8)
            log.write(Frame(index=index, pts=index, time_base=info.time_base, image=picture), Detections.empty())
except WriteError as error:
    print(error)
"""
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert told.stdout == f"{path}: could not be written: File too large\n"
    content = path.read_bytes()
    assert content.endswith(b"\n") and 1900 < len(content) <= 2000
    records = list(read_log(path))
    assert [record.frame for record in records[1:] if isinstance(record, FrameRecord)] == list(
        range(len(content.splitlines()) - 1)
    )


def test_a_line_cut_by_a_kill_is_ignored(tmp_path):
    path = tmp_path / "out.jsonl"
    with FrameLog(path, RUN) as log:
        for index in range(3):
            log.write(frame(index, index), found())
    path.write_bytes(path.read_bytes()[:-60])
    assert [type(record) for record in read_log(path)] == [RunRecord, FrameRecord, FrameRecord]


GOOD = [
    {
        "type": "run",
        "schema": 1,
        "source": "a",
        "width": 1,
        "height": 1,
        "frame_rate": None,
        "model": "m",
        "model_sha256": "0",
        "settings": {},
        "classes": ["a"],
    },
    {"type": "frame", "frame": 0, "time": 0, "detections": []},
    {"type": "end", "frames": 1, "status": "complete"},
]


class Box(dict):
    """A frame's line with one box, in which something is different."""

    def __or__(self, change):
        return {**self, "detections": [{**self["detections"][0], **change}]}


BOX = Box(GOOD[1], detections=[{"class_id": 0, "name": "a", "confidence": 1, "box": [0, 0, 1, 1]}])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param(lambda good: [], "line 1 is missing or incomplete", id="empty"),
        pytest.param(lambda good: ["not json"], "line 1 is not a line of a frame log", id="not json"),
        pytest.param(lambda good: [[1]], "line 1", id="no object"),
        pytest.param(lambda good: good[1:], "line 1 .*first line must be of type run", id="no run"),
        pytest.param(lambda good: [good[0], good[0]], "line 2 .*second line of type run", id="two runs"),
        pytest.param(lambda good: [*good, good[1]], "line 4 .*follows the end", id="after the end"),
        pytest.param(lambda good: [good[0], good[1], good[1]], "line 3 .*frame 0 after frame 0", id="twice"),
        pytest.param(lambda good: [good[0] | {"schema": 9}], "line 1 .*schema is 9; expected 1", id="newer schema"),
        pytest.param(lambda good: [good[0], {"type": "frame", "frame": 0}], "line 2 .*'time' is missing", id="no time"),
        pytest.param(lambda good: [good[0], {"type": "x"}], "line 2 .*'x'; expected run, frame", id="unknown type"),
        pytest.param(
            lambda good: [
                good[0],
                good[1] | {"detections": [{"class_id": 0, "name": "a", "confidence": 1, "box": [1]}]},
            ],
            "line 2 .*expected four numbers",
            id="box of one edge",
        ),
        pytest.param(
            lambda good: [good[0], {"type": "end", "frames": 1, "status": "?"}], "line 2 .*one of", id="status"
        ),
        pytest.param(lambda good: [good[0] | {"width": 0}], "line 1 .*width is 0; expected a whole", id="no width"),
        pytest.param(lambda good: [good[0] | {"classes": "car"}], "line 1 .*expected a list of strings", id="classes"),
        pytest.param(lambda good: [good[0] | {"frame_rate": "1/0"}], "line 1 .*frame_rate is '1/0'", id="rate"),
        pytest.param(lambda good: [good[0], good[1] | {"frame": 1.5}], "line 2 .*frame is 1.5", id="half a frame"),
        pytest.param(lambda good: [good[0], good[1] | {"time": "0"}], "line 2 .*time is '0'; expected a n", id="time"),
        pytest.param(lambda good: [good[0], good[1] | {"time": float("nan")}], "line 2 .*time is nan", id="NaN"),
        pytest.param(
            lambda good: [good[0], good[1] | {"time": 2}, good[1] | {"frame": 1, "time": 1}],
            "line 3 .*time 1.0 after time 2.0",
            id="back in time",
        ),
        pytest.param(lambda good: [good[0], BOX | {"class_id": 1}], "line 2 .*class_id is 1; .*0 to 0", id="class"),
        pytest.param(lambda good: [good[0], BOX | {"confidence": 2}], "line 2 .*confidence is 2", id="confidence"),
        pytest.param(lambda good: ["[" * 100_000], "line 1 .*expected a JSON object", id="nested"),
        pytest.param(
            lambda good: ['{"type":' + "[" * 900 + "]" * 900 + "}"],
            "line 1 is not a line of a frame log",
            id="deep",
        ),
        pytest.param(lambda good: [good[0] | {"frame_rate": "1e999999999"}], "line 1 .*frame_rate is", id="exponent"),
    ],
)
def test_errors_name_the_line(tmp_path, change, message):
    path = tmp_path / "out.jsonl"
    lines = [line if isinstance(line, str) else json.dumps(line) for line in change(GOOD)]
    path.write_text("".join(line + "\n" for line in lines))
    with pytest.raises(LogError, match=message) as raised:
        list(read_log(path))
    assert str(raised.value).startswith(f"{path}: line ")
    assert isinstance(raised.value, InputError)


def test_missing_log(tmp_path):
    with pytest.raises(LogError, match=r"nope\.jsonl: the log cannot be opened"):
        list(read_log(tmp_path / "nope.jsonl"))


def test_names_that_are_not_utf_8(tmp_path):
    """A file name on Linux is bytes; Python keeps those that are no UTF-8 as half characters."""
    path = tmp_path / "log.jsonl"
    lines = [GOOD[0] | {"source": "\udcff.mp4", "classes": ["\udcff"]}, BOX | {"name": "\udcff"}, GOOD[2]]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    for to in ("csv", "coco", "mot", "darknet", "labelstudio", "yolo"):
        assert export_log(path, to, tmp_path / to) == 1
    coco = json.loads((tmp_path / "coco").read_text(encoding="utf-8"))
    assert coco["categories"][0]["name"] == "\udcff" and coco["info"]["description"] == "\udcff.mp4"


def test_files_other_than_logs(tmp_path):
    with pytest.raises(LogError, match="cannot be opened: Is a directory"):
        list(read_log(tmp_path))
    endless = tmp_path / "endless.jsonl"
    with endless.open("wb") as file:
        file.truncate(1 << 30)  # without a line in it, and without room on the disk
    with pytest.raises(LogError, match="line 1 is not a line of a frame log"):
        list(read_log(endless))


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=5), inner, max_size=5),
    max_leaves=6,
)
WHOLE = [GOOD[0], BOX, {"type": "gap", "after_frame": 0, "time": 0, "seconds": 1, "reason": "r"}, GOOD[2]]


@st.composite
def mutated(draw):
    """The lines of a log with some values changed, and then some bytes."""
    lines = [dict(line) for line in WHOLE]
    for _ in range(draw(st.integers(0, 2))):
        line = draw(st.sampled_from(lines))
        boxes = line.get("detections")
        boxes = [dict(box) for box in boxes if isinstance(box, dict)] if isinstance(boxes, list) else []
        target = draw(st.sampled_from([line, *boxes]))
        change = draw(st.sampled_from(["set", "drop", "add"]))
        name = draw(st.sampled_from(sorted(target)) if change != "add" and target else st.text(max_size=5))
        if change == "drop":
            target.pop(name, None)
        else:
            target[name] = draw(ANYTHING)
        if target is not line:
            line["detections"] = [target]
    content = b"".join(json.dumps(line).encode() + b"\n" for line in draw(st.permutations(lines) | st.just(lines)))
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(content)))
        content = content[:at] + draw(st.binary(max_size=3)) + content[at + draw(st.integers(0, 3)) :]
    return content


@given(mutated())
@settings(max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_content_is_read_or_refused_with_a_message(tmp_path, content):
    path = tmp_path / "log.jsonl"
    path.write_bytes(content)
    for use in (
        lambda: list(read_log(path)),
        lambda: summarize_log(path).lines(),
        lambda: eventful_frames(path, BoxFilter(), count=9),
    ):
        try:
            use()
        except LogError as error:
            assert str(path) in str(error) and len(str(error)) < 1000
    for to in ("csv", "coco", "mot", "darknet", "labelstudio", "yolo"):
        out = tmp_path / to
        try:
            export_log(path, to, out, overwrite=True)
        except LogError:
            assert to == "yolo" or not out.exists()
        if out.is_file():
            out.unlink()


@pytest.mark.parametrize("room", [0, 40])
def test_a_disk_without_room_for_the_first_line_leaves_no_file(tmp_path, room):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, hard))
    try:
        with (
            pytest.raises(WriteError, match=r"log\.jsonl: could not be written"),
            FrameLog(tmp_path / "log.jsonl", RUN),
        ):
            pass
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(tmp_path.iterdir()) == []
