"""Which model the command uses."""

from pathlib import Path

import pytest

from detector.cli.options import DEFAULT_MODEL, find_model
from detector.errors import SettingsError


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_model_that_is_there_is_taken(folder):
    (folder / "yolov3").write_text("")

    assert find_model(Path("yolov3")) == Path("yolov3")
    assert find_model(Path("elsewhere/net.h5")) == Path("elsewhere/net.h5")


def test_a_name_stands_for_a_converted_network(folder):
    (folder / "model_data").mkdir()
    (folder / "model_data" / "yolov4.h5").write_text("")

    assert find_model(Path("yolov4")) == Path("model_data/yolov4.h5")


@pytest.mark.parametrize("model", [Path("yolov3-tiny"), Path("model_data/yolov3-tiny.h5")])
def test_a_published_network_that_is_missing_is_answered_with_the_command(model):
    with pytest.raises(SettingsError, match="type: yolo3 download yolov3-tiny, then"):
        find_model(model)


def test_the_settings_file_names_the_model_where_the_command_does_not(folder):
    (folder / "yolo3.toml").write_text('model = "mine.h5"')

    assert find_model(DEFAULT_MODEL) == Path("mine.h5")
    assert find_model(Path("other.h5")) == Path("other.h5")


@pytest.mark.parametrize(("text", "words"), [("model = ", "cannot be read"), ("model = 3", "expected model =")])
def test_a_settings_file_with_mistakes(folder, text, words):
    (folder / "yolo3.toml").write_text(text)

    with pytest.raises(SettingsError, match=words):
        find_model(DEFAULT_MODEL)
