"""Live cameras: a video file in a camera's place."""

import json

import pytest

from detector.errors import SettingsError
from detector.pipeline.camera_file import read_cameras
from detector.settings import Settings

pytestmark = pytest.mark.real_time


@pytest.fixture
def listed(tmp_path, colour_clip):
    path = tmp_path / "cameras.toml"
    path.write_text(
        f'[[camera]]\nname = "yard"\nsource = "{colour_clip}"\nconfidence = 0.4\n\n'
        '[[camera]]\nname = "gone"\nsource = "/nowhere/secret.mp4"\n'
    )
    return path


def test_pictures_and_boxes_are_sent_to_all_who_watch(serve, listed):
    service = serve(cameras=listed)
    assert service.client.get("/v1/cameras").json() == {"cameras": ["yard", "gone"]}
    with service.client.stream("GET", "/v1/cameras/yard.mjpeg") as pictures:
        assert pictures.headers["content-type"].startswith("multipart/x-mixed-replace")
        first = next(pictures.iter_raw())
        with service.client.stream("GET", "/v1/cameras/yard/events") as events:
            data = next(line for line in events.iter_lines() if line.startswith("data: "))
    frame = json.loads(data.removeprefix("data: "))
    assert first.startswith(b"--frame\r\nContent-Type: image/jpeg") and b"\xff\xd8\xff" in first
    assert (frame["width"], frame["height"]) == (96, 96)
    assert {one["name"] for one in frame["detections"]} <= {"red"}


def test_a_camera_that_does_not_open_says_so_without_its_address(serve, listed):
    service = serve(cameras=listed)
    with service.client.stream("GET", "/v1/cameras/gone/events") as events:
        data = next(line for line in events.iter_lines() if "message" in line)
    assert "secret" not in data and "nowhere" not in data
    assert service.client.get("/v1/cameras/none.mjpeg").status_code == 404


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "holds no camera"),
        ("[camera]\nname = 'a'", "holds no camera"),
        ("x = 1", "holds 'x'"),
        ("[[camera]]\nsource = 0", "its name is None"),
        ("[[camera]]\nname = '../a'\nsource = 0", "letters, digits"),
        ("[[camera]]\nname = 'a'", "its source is None"),
        ("[[camera]]\nname = 'a'\nsource = true", "its source is True"),
        ("[[camera]]\nname = 'a'\nsource = 0\nfps = 3", "has no 'fps'"),
        ("[[camera]]\nname = 'a'\nsource = 0\nconfidence = 3", "out of range"),
        ("[[camera]]\nname = 'a'\nsource = 0\n[[camera]]\nname = 'a'\nsource = 1", "two cameras"),
        ("[[camera]", "is no TOML"),
    ],
)
def test_files_that_are_refused(tmp_path, text, words):
    path = tmp_path / "cameras.toml"
    path.write_text(text)
    with pytest.raises(SettingsError, match=words) as refused:
        read_cameras(path, Settings())
    assert str(path) in str(refused.value)


def test_a_model_that_is_not_served_is_refused(serve, tmp_path):
    path = tmp_path / "cameras.toml"
    path.write_text('[[camera]]\nname = "a"\nsource = 0\nmodel = "yolov9"\n')
    with pytest.raises(SettingsError, match="yolov9"):
        serve(cameras=path).service.cameras  # noqa: B018 - it is read when it is asked for


def test_what_the_file_says_comes_before_other_settings(tmp_path):
    path = tmp_path / "cameras.toml"
    path.write_text('[[camera]]\nname = "a"\nsource = 0\nconfidence = 0.25\n[[camera]]\nname = "b"\nsource = 1\n')
    cameras = read_cameras(path, Settings(confidence=0.5, classes=("person",)))
    assert [camera.settings.confidence for camera in cameras.values()] == [0.25, 0.5]
    assert [camera.settings.classes for camera in cameras.values()] == [("person",)] * 2
