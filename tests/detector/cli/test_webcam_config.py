"""`yolo3 webcam --config cameras.toml` as it is typed."""

import pytest


@pytest.fixture
def config(tmp_path, colour_clip):
    path = tmp_path / "cameras.toml"
    tables = [f'[[camera]]\nname = "{name}"\nsource = {str(colour_clip)!r}\n' for name in ("door", "yard", "gate")]
    path.write_text("\n".join(tables), "utf-8")
    return path


def test_two_shards_watch_all_cameras_once(yolo3, config, colour_model, tmp_path):
    for shard in ("0/2", "1/2"):
        code, _, err = yolo3(
            *("webcam", "--config", config, "--model", colour_model, "--shard", shard),
            *("--log", tmp_path / "logs", "--metrics", "0"),
        )
        assert code == 0, err
        assert "none of its cameras" in err or "/metrics" in err
    assert sorted(path.name.partition("-")[0] for path in (tmp_path / "logs").iterdir()) == ["door", "gate", "yard"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--shard", "0/2"], "name it with --config"),
        (["--config", "missing.toml"], "missing.toml: the cameras cannot be read"),
        (["--config", "cameras.toml", "--track", "sort"], "leave out other cameras"),
        (["0", "--config", "cameras.toml"], "leave out other cameras"),
        (["--config", "cameras.toml", "--metrics", "x"], "expected a port"),
    ],
)
def test_a_wrong_command(arguments, words, yolo3, config, colour_model, monkeypatch):
    monkeypatch.chdir(config.parent)
    code, _, err = yolo3("webcam", *arguments, "--model", colour_model)
    assert code == 2 and words in err
