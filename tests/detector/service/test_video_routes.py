"""Videos over HTTP: jobs, their results, and what is refused."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import av
import httpx
import pytest

from detector.logs.frame_log import open_log
from detector.service.settings import Limits

ZONES = """
[[line]]
name = "first row"
from = [1.0, 0.3]
to = [0.0, 0.3]

[[zone]]
name = "right"
polygon = [[0.66, 0], [1, 0], [1, 1], [0.66, 1]]
"""


def send(service, clip, **fields):
    content = clip if isinstance(clip, bytes) else clip.read_bytes()
    return service.client.post("/v1/videos", files={"video": ("../../secret name.mp4", content)}, data=fields)


def finished(client, number, seconds=60):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        job = client.get(f"/v1/jobs/{number}").json()
        if job["state"] in ("done", "failed"):
            return job
        time.sleep(0.1)
    raise AssertionError(job)


@pytest.fixture(scope="module")
def clip(tmp_path_factory) -> Path:
    """Sixty frames of 96x96 at 25/s: a red cell at the top left, and from frame 20 a blue one at the right."""
    import numpy as np

    path = tmp_path_factory.mktemp("clip") / "two cells.mp4"
    with av.open(str(path), "w") as output:
        stream = output.add_stream("libx264", rate=25)
        stream.width = stream.height = 96
        stream.pix_fmt = "yuv420p"
        for index in range(60):
            picture = np.zeros((96, 96, 3), np.uint8)
            picture[:32, :32, 0] = 255
            picture[32:64, 64:, 2] = 255 * (index >= 20)
            output.mux(stream.encode(av.VideoFrame.from_ndarray(picture)))
        output.mux(stream.encode(None))
    return path


@pytest.fixture(scope="module")
def job(service, clip):
    answer = send(service, clip, track="sort", confidence=0.3)
    assert answer.status_code == 202
    assert answer.headers["location"] == f"/v1/jobs/{answer.json()['id']}"
    return finished(service.client, answer.json()["id"])


def test_a_job_makes_a_video_and_a_log_of_every_frame(service, job, tmp_path):
    video = service.client.get(f"/v1/jobs/{job['id']}/video")
    (tmp_path / "video.mp4").write_bytes(video.content)
    (tmp_path / "log.jsonl").write_bytes(service.client.get(f"/v1/jobs/{job['id']}/log.jsonl").content)

    assert (job["state"], job["frames"], job["total"], job["tracked"]) == ("done", 60, 60, True)
    with av.open(str(tmp_path / "video.mp4")) as opened:
        assert sum(1 for _ in opened.decode(video=0)) == 60
    run, frames = open_log(tmp_path / "log.jsonl")
    assert (run.source, run.model, run.settings["confidence"]) == ("upload.mp4", "colours.h5", 0.3)
    assert [len(frame.detections) for frame in frames] == [1] * 20 + [2] * 40


def test_a_part_of_the_video_can_be_asked_for(service, job):
    part = service.client.get(f"/v1/jobs/{job['id']}/video", headers={"Range": "bytes=4-7"})
    assert (part.status_code, part.content) == (206, b"ftyp")


def test_events_end_with_the_job(service, job):
    text = service.client.get(f"/v1/jobs/{job['id']}/events").text
    assert json.loads(re.findall("^data: (.*)$", text, re.MULTILINE)[-1])["state"] == "done"


def test_objects_are_counted_at_lines_and_in_zones(service, job):
    path = f"/v1/jobs/{job['id']}/zones"
    before = service.client.get(path)
    found = service.client.put(path, content=ZONES).json()

    assert before.status_code == 409
    assert found["lines"] == [{"name": "first row", "in": {}, "out": {}}]
    assert [(zone["name"], zone["entries"], zone["most"]) for zone in found["zones"]] == [("right", {"blue": 1}, 1)]
    assert [(event["event"], event["class"]) for event in found["events"]] == [("entered", "blue")]
    assert found["objects"] == {"red": 1, "blue": 1}
    assert service.client.get(path).text == ZONES


def test_the_clients_name_of_a_file_is_not_kept(service, job):
    names = [path.name for path in service.service.settings.data.rglob("*")]
    assert not [name for name in names if "secret" in name]


def test_a_deleted_job_leaves_nothing(serve, clip):
    service = serve()
    number = send(service, clip).json()["id"]
    assert service.client.delete(f"/v1/jobs/{number}").status_code == 204

    assert service.client.get(f"/v1/jobs/{number}").status_code == 404
    assert list(service.service.settings.data.iterdir()) == []


def test_results_expire(serve, clip, tmp_path):
    with_results = serve()
    number = send(with_results, clip).json()["id"]
    finished(with_results.client, number)
    assert (tmp_path / "data" / number / "video.mp4").exists()

    later = serve(keep_hours=1e-9)
    while later.client.get(f"/v1/jobs/{number}").status_code == 200:
        time.sleep(0.05)
    assert list((tmp_path / "data").iterdir()) == []


PLAYLIST = b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile:///etc/passwd\n"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (PLAYLIST, "is no video"),
        (b"ffconcat version 1.0\nfile /etc/passwd\n", "is no video"),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), "is no video"),
        (b"", "is no video"),
        (b"\0\0\0\x18ftypisom" + PLAYLIST, "cannot be read as a video"),
        (b"\x1a\x45\xdf\xa3" + bytes(500), "cannot be read as a video"),
    ],
)
def test_refuses_what_is_no_video(service, content, words):
    answer = send(service, content)

    assert answer.status_code == 422
    message = answer.json()["error"]["message"]
    assert message.startswith("the video: ") and words in message
    assert "/" not in message.replace("and/or", "")


def test_refuses_videos_beyond_the_limits(serve, clip):
    limits = {"short": Limits(video_seconds=1), "small": Limits(video_pixels=95 * 96), "light": Limits(video_bytes=999)}
    answers = {name: send(serve(limits=limit), clip) for name, limit in limits.items()}

    assert {name: answer.status_code for name, answer in answers.items()} == {"short": 422, "small": 422, "light": 413}
    assert "longer than" in answers["short"].json()["error"]["message"]
    assert "96x96" in answers["small"].json()["error"]["message"]


def test_too_many_jobs_are_refused_for_the_moment(serve, clip):
    answer = send(serve(limits=Limits(jobs=0)), clip)
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) > 0


def test_jobs_are_not_listed_and_their_ids_cannot_be_guessed(service, job):
    assert len(job["id"]) == 32
    assert service.client.get("/v1/jobs").status_code == 404
    assert service.client.get("/v1/jobs/").status_code == 404
    for wrong in (job["id"][:-1], job["id"].swapcase(), "../" + job["id"], "%2e%2e"):
        assert service.client.get(f"/v1/jobs/{wrong}").status_code == 404
    assert not [line for line in service.access if job["id"] in line]


@pytest.mark.slow
def test_a_job_goes_on_after_the_server_was_killed(models, tmp_path, clips):
    """kill -9 of the server in the middle of a job: the next server finishes it, with the log of an unbroken run."""
    clip = clips.make(tmp_path / "long.mp4", range(900), size=(640, 480))
    whole = started(models, tmp_path / "whole")
    expected = result(whole, send_to(whole, clip))
    stopped(whole, signal.SIGTERM)

    broken = started(models, tmp_path / "broken")
    number = send_to(broken, clip)
    while httpx.get(f"{broken.url}/v1/jobs/{number}", trust_env=False).json()["frames"] < 50:
        time.sleep(0.05)
    stopped(broken, signal.SIGKILL)
    log = tmp_path / "broken" / number / "log.jsonl"
    assert b'"type":"end"' not in log.read_bytes() or b'"status":"interrupted"' in log.read_bytes()
    again = started(models, tmp_path / "broken")
    found = result(again, number)
    stopped(again, signal.SIGTERM)

    assert found[0]["state"] == "done"
    assert found[1] == expected[1]
    assert found[1].count(b'"type":"frame"') == 900


def started(models, data):
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    environment.pop("YOLO3_TOKEN", None)
    command = [sys.executable, "-m", "detector", "serve", "--models", models, "--port", "0", "--data", data]
    process = subprocess.Popen(
        list(map(str, command)), env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    for line in process.stderr:
        found = re.search(r"http://127\.0\.0\.1:\d+", line)
        if found:
            process.url = found[0]
            return process
    raise AssertionError("the server did not start")


def stopped(process, number):
    process.send_signal(number)
    process.wait(60)
    process.stderr.close()
    if number == signal.SIGTERM:
        assert process.returncode == 0


def send_to(process, clip):
    with clip.open("rb") as file:
        answer = httpx.post(
            f"{process.url}/v1/videos", files={"video": file}, data={"confidence": 0.05}, timeout=60, trust_env=False
        )
    assert answer.status_code == 202, answer.text
    return answer.json()["id"]


def result(process, number):
    with httpx.Client(base_url=process.url, timeout=60, trust_env=False) as client:
        job = finished(client, number, 120)
        return job, client.get(f"/v1/jobs/{number}/log.jsonl").content
