import re
from dataclasses import fields
from pathlib import Path
from types import SimpleNamespace
from typing import get_type_hints

import pytest
import typer

from detector.errors import SettingsError
from detector.settings import Options, Settings


def test_settings_are_logged_unchanged():
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


def test_settings_of_later_versions_are_logged_only_when_set():
    record = Settings(max_detections=5, agnostic=True, classes=["person", 2], size=(416, 320)).as_json()

    assert (record["max_detections"], record["agnostic"]) == (5, True)
    assert record["classes"] == ["person", 2]
    assert record["size"] == "416x320"


def test_options_are_the_fields_of_settings():
    assert get_type_hints(Options) == get_type_hints(Settings)


def test_the_command_has_every_setting_with_the_same_default():
    from detector.cli.app import build_app

    for verb in ("image", "video", "webcam"):
        command = typer.main.get_command(build_app(verb)).commands[verb]  # type: ignore[attr-defined]
        options = {option.name: option for option in command.params}
        for field in fields(Settings):
            assert options[field.name].default == field.default, (verb, field.name)
            assert options[field.name].help


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
def test_an_unknown_class_gives_similar_names(coco, name, message):
    description = SimpleNamespace(names=tuple(coco))
    with pytest.raises(
        SettingsError, match=re.escape(f"class {name!r} is not one of this network's {message}")
    ) as told:
        Settings(classes=f"car,{name}").class_ids(description)
    assert len(str(told.value)) < 200


def test_few_classes_are_all_listed():
    with pytest.raises(SettingsError, match="class 'cat' is not one of this network's 2: car, bus"):
        Settings(classes="cat").class_ids(SimpleNamespace(names=("car", "bus")))


@pytest.mark.parametrize(
    ("classes", "ids"),
    [
        (None, None),
        ("bus, car", [0, 1]),
        ("1", [1]),
        ("2,car", [0, 2]),
        (["bus"], [1]),
        ([2, "car"], [0, 2]),
        ((1, 1), [1]),
    ],
)
def test_classes_by_name_or_id(classes, ids):
    found = Settings(classes=classes).class_ids(SimpleNamespace(names=("car", "bus", "van")))

    assert ids == (None if found is None else found.tolist())


def test_a_class_named_by_a_number_is_found_by_its_name():
    digits = SimpleNamespace(names=("9", "8", "7"))

    assert Settings(classes="9").class_ids(digits).tolist() == [0]
    assert Settings(classes=[2]).class_ids(digits).tolist() == [2]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"classes": 3}, "expected names or ids"),
        ({"classes": [1.5]}, "expected names or ids"),
        ({"threads": 0}, "1 to 512"),
        ({"threads": 100_000}, "1 to 512"),
        ({"max_detections": 0}, "1 or more"),
        ({"size": (1, 2, 3)}, "not a size"),
        ({"engine": "tensorrt"}, "expected one of auto, keras"),
        ({"confidence": "high"}, "0 to 1"),
    ],
)
def test_values_out_of_range_are_refused(options, words):
    with pytest.raises(SettingsError, match=words):
        Settings(**options)


@pytest.mark.parametrize("classes", ["3", "0,80", [-1], [3]])
def test_a_class_id_out_of_range_is_refused(classes):
    with pytest.raises(SettingsError, match="ids 0 to 2"):
        Settings(classes=classes).class_ids(SimpleNamespace(names=("car", "bus", "van")))
