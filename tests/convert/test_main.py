"""`python -m convert`, in a separate process as a user runs it, and its arguments in this one."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from convert.__main__ import main
from convert.model_file import read_description


def run(*arguments: object, folder: Path, **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "convert", *map(str, arguments)], cwd=folder, capture_output=True, text=True, **options
    )


def test_a_conversion_prints_one_line_and_its_notes_separately(small, tmp_path: Path) -> None:
    done = run(small.cfg, small.weights, "new/model.h5", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"Read {small.floats} of {small.floats} from Darknet weights.\n"
    # Not a word of TensorFlow's among the notes.
    notes = [note.partition(":")[0] for note in done.stderr.splitlines()]
    assert notes == ["resize", "2 classes", "keys not needed", "verified"]
    assert read_description(tmp_path / "new" / "model.h5").names == ("class 0", "class 1")
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["model.h5"]


def test_a_mistake_is_one_line_and_exit_code_2(small, tmp_path: Path) -> None:
    short = tmp_path / "short.weights"
    short.write_bytes(small.weights.read_bytes()[:-40])
    done = run(small.cfg, short, "model.h5", folder=tmp_path)
    assert done.returncode == 2
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"error: {short}: too short: layer 10 [convolutional]")
    assert [path.name for path in tmp_path.iterdir()] == ["short.weights"]


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="this system cannot reserve space")
def test_a_full_disk_is_one_line_and_exit_code_1(small, tmp_path: Path) -> None:
    def small_disk() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))

    done = run(small.cfg, small.weights, "model.h5", folder=tmp_path, preexec_fn=small_disk)
    assert done.returncode == 1, done.stderr
    assert done.stdout == ""
    *notes, error = done.stderr.splitlines()
    assert error.startswith("error: model.h5: could not be written (")
    assert [note.partition(":")[0] for note in notes] == ["resize", "2 classes", "keys not needed"]
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux holds a process to its address space")
def test_too_little_address_space_for_tensorflow_is_one_line_and_exit_code_1(small, tmp_path: Path) -> None:
    def small_memory() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))

    done = run(small.cfg, small.weights, "model.h5", folder=tmp_path, preexec_fn=small_memory)
    assert done.returncode == 1, done.stderr
    assert done.stderr.splitlines()[-1] == (
        "error: this process may use 1024 MB of address space (ulimit -v); TensorFlow needs 3072 MB"
    )
    assert not list(tmp_path.iterdir())


def test_names_and_resize_are_passed_on(small, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = tmp_path / "my.names"
    names.write_text("cat\ndog\n")
    model = tmp_path / "model.h5"
    assert main([str(small.cfg), str(small.weights), str(model), "--names", str(names), "--resize", "letterbox"]) == 0
    description = read_description(model)
    assert (description.names, description.resize) == (("cat", "dog"), "letterbox")
    assert capsys.readouterr().out == f"Read {small.floats} of {small.floats} from Darknet weights.\n"


@pytest.mark.parametrize(
    ("position", "argument", "words"),
    [
        pytest.param(0, "absent.cfg", "error: absent.cfg: no such file; expected a Darknet .cfg", id="cfg"),
        pytest.param(1, "absent.weights", "error: absent.weights: no such file", id="weights"),
        pytest.param(2, "model.keras", "error: model.keras: expected a name that ends in .h5", id="model"),
    ],
)
def test_each_wrong_path_is_one_line_and_exit_code_2(
    position: int, argument: str, words: str, small, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [str(small.cfg), str(small.weights), str(tmp_path / "model.h5")]
    arguments[position] = argument
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    (line,) = err.splitlines()
    assert line.startswith(words)


@pytest.mark.parametrize(
    "arguments", [[], ["one.cfg"], ["a", "b", "c.h5", "--resize", "squash"]], ids=["none", "one", "resize"]
)
def test_a_wrong_command_is_exit_code_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    assert "usage: python -m convert" in capsys.readouterr().err
