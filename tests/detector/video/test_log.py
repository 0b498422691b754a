import json
import subprocess
import sys
from fractions import Fraction

import numpy as np
import pytest

from detector.detections import Detections
from detector.errors import InputError, OutputError, StreamError
from detector.video.endings import Ending, Stopped
from detector.video.frames import Frame, VideoInfo
from detector.video.log import BoxRecord, EndRecord, FrameLog, FrameRecord, RunRecord, read_log

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
    assert end == EndRecord(1, Ending.COMPLETE)


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (KeyboardInterrupt(), "interrupted"),
        (StreamError("broke off"), "truncated"),
        (Stopped(), "stopped"),
        (ZeroDivisionError(), "failed"),
    ],
)
def test_status_tells_how_the_run_ended(tmp_path, error, status):
    path = tmp_path / "out.jsonl"
    with pytest.raises(type(error)), FrameLog(path, RUN) as log:
        log.write(frame(0, 0), found())
        raise error
    assert list(read_log(path))[-1] == EndRecord(1, Ending(status))


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


def test_full_disk_leaves_whole_lines(tmp_path):
    path = tmp_path / "out.jsonl"
    code = f"""
import resource
from fractions import Fraction
import numpy as np
from detector.detections import Detections
from detector.errors import WriteError
from detector.video.frames import Frame, VideoInfo
from detector.video.log import FrameLog, RunRecord
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


def test_line_torn_by_a_kill_is_passed_over(tmp_path):
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
        "classes": [],
    },
    {"type": "frame", "frame": 0, "time": 0, "detections": []},
    {"type": "end", "frames": 1, "status": "complete"},
]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param(lambda good: [], "line 1 should begin a frame log", id="empty"),
        pytest.param(lambda good: ["not json"], "line 1 is no line of a frame log", id="not json"),
        pytest.param(lambda good: [[1]], "line 1", id="no object"),
        pytest.param(lambda good: good[1:], "line 1 .*first line must be of type run", id="no run"),
        pytest.param(lambda good: [good[0], good[0]], "line 2 .*second line of type run", id="two runs"),
        pytest.param(lambda good: [*good, good[1]], "line 4 .*follows the end", id="after the end"),
        pytest.param(lambda good: [good[0], good[1], good[1]], "line 3 .*frame 0 after frame 0", id="twice"),
        pytest.param(lambda good: [good[0] | {"schema": 9}], "line 1 .*schema 9", id="newer schema"),
        pytest.param(lambda good: [good[0], {"type": "frame", "frame": 0}], "line 2 .*lacks 'time'", id="no time"),
        pytest.param(lambda good: [good[0], {"type": "x"}], "line 2 .*'x'", id="unknown type"),
        pytest.param(
            lambda good: [
                good[0],
                good[1] | {"detections": [{"class_id": 0, "name": "a", "confidence": 1, "box": [1]}]},
            ],
            "line 2 ",
            id="box of one edge",
        ),
        pytest.param(lambda good: [good[0], {"type": "end", "frames": 1, "status": "?"}], "line 2 ", id="status"),
    ],
)
def test_errors_name_the_line(tmp_path, change, message):
    path = tmp_path / "out.jsonl"
    lines = [line if isinstance(line, str) else json.dumps(line) for line in change(GOOD)]
    path.write_text("".join(line + "\n" for line in lines))
    with pytest.raises(InputError, match=message):
        list(read_log(path))


def test_missing_log(tmp_path):
    with pytest.raises(InputError, match=r"nope\.jsonl: the log cannot be opened"):
        list(read_log(tmp_path / "nope.jsonl"))
