import contextlib
import errno
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from convert.errors import OutputError, WriteError
from convert.folders import check_folder, private_folder, replacing_folder, take_place


def ours(name):
    return name.endswith(".txt")


def test_a_folder_appears_when_it_is_complete(tmp_path):
    out = tmp_path / "a" / "out"
    with replacing_folder(out, overwrite=False, is_ours=ours) as folder:
        (folder / "1.txt").write_text("one")
        assert not out.exists()
    assert [path.name for path in out.iterdir()] == ["1.txt"]
    assert [path.name for path in out.parent.iterdir()] == ["out"]


def test_the_old_folder_stays_until_then_and_after_a_failure(tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "1.txt").write_text("old")
    with (
        pytest.raises(WriteError, match="out: could not be written: no room"),
        replacing_folder(out, overwrite=True, is_ours=ours) as folder,
    ):
        (folder / "1.txt").write_text("new")
        raise OSError(28, "no room")
    assert (out / "1.txt").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize(
    ("name", "overwrite", "message"),
    [("1.txt", False, "is not empty"), ("thesis.doc", True, r"contains thesis\.doc, which no export wrote")],
)
def test_refused_folders(tmp_path, name, overwrite, message):
    (tmp_path / name).write_text("precious")
    with pytest.raises(OutputError, match=message):
        check_folder(tmp_path, overwrite=overwrite, is_ours=ours)
    with pytest.raises(OutputError, match="is a file"):
        check_folder(tmp_path / name, overwrite=True, is_ours=ours)
    assert (tmp_path / name).read_text() == "precious"


def test_the_exchange_is_one_step_where_the_system_has_it(tmp_path):
    out, fresh = tmp_path / "out", tmp_path / "fresh"
    for folder in (out, fresh):
        folder.mkdir()
        (folder / folder.name).touch()
    take_place(fresh, out)
    assert [path.name for path in out.iterdir()] == ["fresh"]
    assert [path.name for path in fresh.iterdir()] == ["out"]


@pytest.mark.parametrize("fails", [False, True])
def test_without_an_exchange_the_old_folder_is_never_gone(tmp_path, fails):
    out, fresh = tmp_path / "out", tmp_path / "fresh"
    out.mkdir()
    (out / "old").touch()
    if not fails:
        fresh.mkdir()

    def no_exchange(one, other):
        raise OSError(errno.ENOSYS, "no such call")

    with pytest.raises(FileNotFoundError) if fails else contextlib.nullcontext():
        take_place(fresh, out, exchange=no_exchange)
    assert [path.name for path in out.iterdir()] == (["old"] if fails else [])
    assert len(list(tmp_path.iterdir())) == (1 if fails else 2)


KILLED = """
import os, signal, sys
from pathlib import Path
from convert.folders import replacing_folder
with replacing_folder(Path(sys.argv[1]), overwrite=True, is_ours=lambda name: True) as folder:
    (folder / "half.txt").touch()
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_leftovers_of_a_killed_run_are_removed_and_folders_of_a_running_one_kept(tmp_path):
    out = tmp_path / "out"
    (tmp_path / ".0123456789abcdef.yolo3-tmp.txt").mkdir()
    (tmp_path / ".0123456789abcdef.yolo3-tmp.txt" / "thing").touch()
    ended = subprocess.run([sys.executable, "-c", KILLED, str(out)], check=False)
    assert ended.returncode == -signal.SIGKILL
    with private_folder(tmp_path / "another") as running:
        assert len(list(tmp_path.iterdir())) == 1
        with replacing_folder(out, overwrite=True, is_ours=ours) as folder:
            (folder / "1.txt").touch()
        assert sorted(tmp_path.iterdir()) == sorted([running, out])
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_name_that_no_folder_can_have(tmp_path):
    for name in ("n" * 300, "zero\0byte"):
        with pytest.raises(OutputError, match="cannot be written"):
            check_folder(tmp_path / name, overwrite=True, is_ours=ours)
    with pytest.raises(OutputError, match="standard output"):
        check_folder(Path("-"), overwrite=True, is_ours=ours)
