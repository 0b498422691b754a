import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from detector.engines import cache
from detector.engines.cache import compiled
from detector.errors import EngineError, ModelFileError


class Compiler:
    """Compiles by copying; counts its calls."""

    def __init__(self):
        self.runs = 0

    def __call__(self, model, kind, out):
        self.runs += 1
        out.write_bytes(b"compiled " + model.read_bytes())


@pytest.fixture
def model(tmp_path):
    path = tmp_path / "net.h5"
    path.write_bytes(b"network")
    return path


@pytest.fixture
def keep(model, tmp_path):
    compiler = Compiler()

    def keep(**options):
        path = compiled(model, "litert", folder=tmp_path / "cache", build=compiler, **options)
        return path, compiler.runs

    return keep


def test_a_network_is_compiled_once(keep):
    first, _ = keep()
    second, runs = keep()

    assert runs == 1
    assert first == second
    assert first.read_bytes() == b"compiled network"


def test_a_note_is_given_only_when_compiling(keep):
    notes = []
    keep(on_note=notes.append)
    keep(on_note=notes.append)

    assert notes == ["compiling net.h5 for LiteRT, once ..."]


def damage(path):
    path.write_bytes(path.read_bytes()[:-1] + b"!")


def cut_short(path):
    path.write_bytes(path.read_bytes()[:3])


def empty(path):
    path.write_bytes(b"")


def delete(path):
    path.unlink()


@pytest.mark.parametrize("harm", [damage, cut_short, empty, delete])
def test_a_damaged_copy_is_compiled_again(keep, harm):
    path, _ = keep()
    harm(path)
    again, runs = keep()

    assert runs == 2
    assert again.read_bytes() == b"compiled network"
    assert list(again.parent.iterdir()) == [again]


def test_another_network_with_the_same_name_is_compiled_again(keep, model):
    keep()
    model.write_bytes(b"retrained")

    assert keep()[0].read_bytes() == b"compiled retrained"


def test_what_an_older_version_compiled_is_stale(keep, monkeypatch):
    old, _ = keep()
    monkeypatch.setattr(cache, "VERSION", cache.VERSION + 1)
    new, runs = keep()

    assert runs == 2
    assert old.exists()  # another process may be about to open it
    assert new.exists()


def test_what_is_stale_is_removed_an_hour_later(keep, monkeypatch):
    old, _ = keep()
    an_hour_ago = time.time() - 3700
    os.utime(old, (an_hour_ago, an_hour_ago))
    monkeypatch.setattr(cache, "VERSION", cache.VERSION + 1)
    new, _ = keep()

    assert not old.exists()
    assert new.exists()


def test_copies_unused_for_long_are_deleted_when_another_is_made(keep, model):
    old, _ = keep()
    long_ago = time.time() - 100 * 24 * 3600
    os.utime(old, (long_ago, long_ago))
    model.write_bytes(b"another")
    keep()

    assert not old.exists()


def test_nothing_is_left_of_a_compilation_that_fails(model, tmp_path):
    def fail(model, kind, out):
        out.write_bytes(b"half")
        raise EngineError("no")

    with pytest.raises(EngineError):
        compiled(model, "litert", folder=tmp_path / "cache", build=fail)
    assert list((tmp_path / "cache").iterdir()) == []


def test_two_processes_at_once_do_not_collide(model, tmp_path):
    folder, other = tmp_path / "cache", Compiler()

    def while_another_does(model, kind, out):
        compiled(model, kind, folder=folder, build=other)
        out.write_bytes(b"compiled " + model.read_bytes())

    path = compiled(model, "litert", folder=folder, build=while_another_does)

    assert path.read_bytes() == b"compiled network"
    assert list(folder.iterdir()) == [path]


def test_a_copy_that_another_process_was_just_given_stays(model, tmp_path):
    folder, given = tmp_path / "cache", []

    def otherwise(model, kind, out):
        out.write_bytes(b"the same network, its parts in another order")

    def while_another_does(model, kind, out):
        given.append(compiled(model, kind, folder=folder, build=otherwise))
        out.write_bytes(b"compiled network")

    path = compiled(model, "litert", folder=folder, build=while_another_does)

    assert path.read_bytes() == b"compiled network"
    assert given[0].read_bytes() == b"the same network, its parts in another order"


def test_a_model_that_is_replaced_while_it_is_compiled_is_not_kept_under_its_old_digest(model, tmp_path):
    def replaced_meanwhile(model, kind, out):
        out.write_bytes(b"compiled " + model.read_bytes())
        model.write_bytes(b"retrained")

    with pytest.raises(ModelFileError, match=r"net\.h5: was changed while"):
        compiled(model, "litert", folder=tmp_path / "cache", build=replaced_meanwhile)
    assert list((tmp_path / "cache").iterdir()) == []


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def test_without_a_folder_to_write_to_one_temporary_copy_is_kept(model, tmp_path, temporary):
    (tmp_path / "cache").write_text("a file where the folder should be")
    notes, compiler = [], Compiler()

    def keep():
        return compiled(model, "litert", folder=tmp_path / "cache", build=compiler, on_note=notes.append)

    path = keep()

    assert path.read_bytes() == b"compiled network"
    assert "cannot be written to; the compiled network is kept in" in notes[-1]
    assert (keep(), compiler.runs) == (path, 1)
    assert len(list(temporary.rglob("*.tflite"))) == 1


def test_a_temporary_folder_of_another_user_is_not_used(model, tmp_path, temporary):
    (tmp_path / "cache").write_text("a file where the folder should be")
    (tmp_path / "elsewhere").mkdir()
    (temporary / f"yolo3-cache-{os.getuid()}").symlink_to(tmp_path / "elsewhere")
    notes = []

    path = compiled(model, "litert", folder=tmp_path / "cache", build=Compiler(), on_note=notes.append)

    assert path.read_bytes() == b"compiled network"
    assert "not kept" in notes[-1]
    assert list((tmp_path / "elsewhere").iterdir()) == []


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="needs Linux's /proc")
def test_the_compiler_ends_with_the_program_that_started_it(colour_model, tmp_path):
    script = f"""if True:
        from pathlib import Path
        from detector.engines.cache import compiled
        compiled(Path({str(colour_model)!r}), "litert", folder=Path({str(tmp_path)!r}))"""
    parent = subprocess.Popen([sys.executable, "-c", script])
    children = Path(f"/proc/{parent.pid}/task/{parent.pid}/children")
    deadline = time.monotonic() + 60
    while not children.read_text().strip() and time.monotonic() < deadline:
        time.sleep(0.02)
    child = Path("/proc") / children.read_text().split()[0]
    time.sleep(0.5)
    parent.kill()
    parent.wait()
    while child.exists() and "zombie" not in (child / "status").read_text() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not child.exists() or "zombie" in (child / "status").read_text()
    assert not [path for path in tmp_path.glob("*.tflite") if not path.name.startswith(".")]


def test_a_missing_model_is_named(tmp_path):
    with pytest.raises(ModelFileError, match=r"missing\.h5"):
        compiled(tmp_path / "missing.h5", "litert", folder=tmp_path)


def test_the_compiler_reports_why_a_network_cannot_be_compiled(model, tmp_path):
    with pytest.raises(EngineError, match=r"net\.h5.*expected a model made by"):
        compiled(model, "litert", folder=tmp_path / "cache")
