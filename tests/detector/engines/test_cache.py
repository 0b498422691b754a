import os
import time

import pytest

from detector.engines import cache
from detector.engines.cache import compiled
from detector.errors import EngineError, ModelFileError


class Compiler:
    """Compiles by copying; counts how often it was asked."""

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


def test_it_says_that_it_compiles_and_only_then(keep):
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
def test_a_harmed_copy_is_made_again(keep, harm):
    path, _ = keep()
    harm(path)
    again, runs = keep()

    assert runs == 2
    assert again.read_bytes() == b"compiled network"
    assert list(again.parent.iterdir()) == [again]


def test_another_network_under_the_same_name_is_compiled_anew(keep, model):
    keep()
    model.write_bytes(b"retrained")

    assert keep()[0].read_bytes() == b"compiled retrained"


def test_what_an_older_version_compiled_is_stale(keep, monkeypatch):
    old, _ = keep()
    monkeypatch.setattr(cache, "VERSION", cache.VERSION + 1)
    new, runs = keep()

    assert runs == 2
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


def test_two_processes_at_once_do_not_meet(model, tmp_path):
    folder, other = tmp_path / "cache", Compiler()

    def while_another_does(model, kind, out):
        compiled(model, kind, folder=folder, build=other)
        out.write_bytes(b"compiled " + model.read_bytes())

    path = compiled(model, "litert", folder=folder, build=while_another_does)

    assert path.read_bytes() == b"compiled network"
    assert list(folder.iterdir()) == [path]


def test_without_a_folder_to_write_to_it_works_and_says_so(model, tmp_path):
    (tmp_path / "cache").write_text("a file where the folder should be")
    notes = []

    path = compiled(model, "litert", folder=tmp_path / "cache", build=Compiler(), on_note=notes.append)

    assert path.read_bytes() == b"compiled network"
    assert "cannot be written to" in notes[-1]


def test_a_missing_model_is_named(tmp_path):
    with pytest.raises(ModelFileError, match=r"missing\.h5"):
        compiled(tmp_path / "missing.h5", "litert", folder=tmp_path)


def test_why_a_network_cannot_be_compiled_comes_back_from_the_compiler(model, tmp_path):
    with pytest.raises(EngineError, match=r"net\.h5.*expected a model made by"):
        compiled(model, "litert", folder=tmp_path / "cache")
