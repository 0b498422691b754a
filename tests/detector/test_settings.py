import re
from pathlib import Path
from types import SimpleNamespace

import pytest
import typer

from detector.errors import SettingsError
from detector.settings import Settings


def test_settings_go_into_a_log_as_they_are():
    assert Settings(size=416, classes="person").as_json() == {
        "confidence": 0.25,
        "nms": 0.45,
        "size": 416,
        "resize": None,
        "shape": "square",
        "interpolation": "linear",
        "classes": "person",
        "engine": "auto",
        "threads": None,
    }


def test_the_command_has_every_setting_with_the_same_default():
    from detector.cli.app import app

    for verb in ("image", "video", "webcam"):
        command = typer.main.get_command(app).commands[verb]  # type: ignore[attr-defined]
        options = {option.name: option for option in command.params}
        for name, default in Settings().as_json().items():
            assert options[name].default == default, (verb, name)
            assert options[name].help


@pytest.fixture(scope="module")
def coco():
    return (Path(__file__).parents[2] / "configs" / "coco.names").read_text().splitlines()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("persn", "80; did you mean person?"),
        ("Person", "80; did you mean person?"),
        ("light", "80; did you mean traffic light?"),
        ("bicicle", "80; did you mean bicycle?"),
        ("xyzzy", "80, such as person, bicycle, car, "),
    ],
)
def test_an_unknown_class_is_answered_with_the_nearest(coco, name, message):
    description = SimpleNamespace(names=tuple(coco))
    with pytest.raises(
        SettingsError, match=re.escape(f"class {name!r} is not one of this network's {message}")
    ) as told:
        Settings(classes=f"car,{name}").class_ids(description)
    assert len(str(told.value)) < 200


def test_few_classes_are_all_told():
    with pytest.raises(SettingsError, match="class 'cat' is not one of this network's 2: car, bus"):
        Settings(classes="cat").class_ids(SimpleNamespace(names=("car", "bus")))
