import typer

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
    from detector.cli import app

    for verb in ("image", "video", "webcam"):
        command = typer.main.get_command(app).commands[verb]  # type: ignore[attr-defined]
        options = {option.name: option for option in command.params}
        for name, default in Settings().as_json().items():
            assert options[name].default == default, (verb, name)
            assert options[name].help
