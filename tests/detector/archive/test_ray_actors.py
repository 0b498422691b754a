"""What the driver does with actors, without Ray: they differ, die, and never become ready."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from convert.files import file_sha256
from convert.version import project_version
from detector.archive import ray_actors
from detector.archive.inputs import ArchiveInput
from detector.archive.manifest import Entry, State
from detector.archive.ray_actors import Expected, ModelActor, _Cluster
from detector.archive.run import Unit
from detector.archive.work import ArchiveOptions
from detector.errors import WorkError, WriteError
from detector.settings import Settings


class LostError(Exception):
    """An actor that died."""


class FakeRay:
    """Runs tasks when their answers are asked for; `behaviour` says what an actor does with a unit."""

    exceptions = SimpleNamespace(RayError=LostError)

    def __init__(self, places, behaviour, *, check=lambda number: "") -> None:
        self.places, self.behaviour, self.check = places, behaviour, check
        self.actors = self.at_once = 0

    def cluster_resources(self):
        return {"CPU": self.places}

    def remote(self, kind):
        return SimpleNamespace(options=lambda num_cpus: SimpleNamespace(remote=self.actor))

    def actor(self, options, expected):
        self.actors += 1
        number = self.actors
        return SimpleNamespace(
            check=SimpleNamespace(remote=lambda: ("check", number, object())),
            process=SimpleNamespace(remote=lambda unit: ("process", unit, object())),
        )

    def wait(self, answers, timeout):
        self.at_once = max(self.at_once, sum(answer[0] == "process" for answer in answers))
        ready = [answer for answer in answers if answer[0] == "process" or self.check(answer[1]) is not None]
        return ready[-1:], []

    def get(self, answer):
        return self.check(answer[1]) if answer[0] == "check" else self.behaviour(answer[1])


UNITS = [Unit(ArchiveInput(f"{number}.mp4", f"{number:012x}")) for number in range(9)]


def done(unit):
    return Entry(unit.item.key, State.COMPLETE, unit.item.source)


@pytest.fixture
def cluster(tmp_path):
    def make(ray, problems=None):
        options = ArchiveOptions(tmp_path, tmp_path / "m.h5", Settings(threads=1))
        problems = [] if problems is None else problems
        return _Cluster(ray, options, Expected("1", "0", str(tmp_path)), problems.append)

    return make


def test_each_unit_once_and_no_more_at_a_time_than_actors(cluster):
    ray = FakeRay(3, done)
    taken = []
    found = list(cluster(ray).execute(taken.append(unit) or unit for unit in UNITS))
    assert sorted(unit.item.key for unit, _ in found) == [unit.item.key for unit in UNITS]
    assert ray.actors == 3 and ray.at_once <= 3


def test_a_unit_whose_actor_dies_is_done_by_another(cluster):
    deaths = [True, False, True]

    def dies(unit):
        if unit is UNITS[4] and deaths and deaths.pop():
            raise LostError
        return done(unit)

    ray = FakeRay(2, dies)
    found = list(cluster(ray).execute(UNITS))
    assert len(found) == 9 and all(entry.state is State.COMPLETE for _, entry in found)
    assert ray.actors > 2


def test_a_unit_that_kills_each_actor_is_given_up(cluster):
    def dies(unit):
        if unit is UNITS[4]:
            raise LostError
        return done(unit)

    found = dict(cluster(FakeRay(2, dies)).execute(UNITS))
    assert found[UNITS[4]].state is State.FAILED and "died 6 times" in found[UNITS[4]].error
    assert sum(entry.state is State.COMPLETE for entry in found.values()) == 8


def test_a_node_that_differs_is_left_out_and_named(cluster):
    problems = []
    ray = FakeRay(2, done, check=lambda number: "node: has yolo3 2.0" if number == 1 else "")
    assert len(list(cluster(ray, problems).execute(UNITS))) == 9
    assert problems == ["node: has yolo3 2.0"]


def test_no_node_that_can_do_anything(cluster, monkeypatch):
    with pytest.raises(WorkError, match="no node"):
        list(cluster(FakeRay(2, done, check=lambda number: "differs")).execute(UNITS))
    monkeypatch.setattr(ray_actors, "_READY_SECONDS", 0.01)
    with pytest.raises(WorkError, match="no node"):
        list(cluster(FakeRay(2, done, check=lambda number: None)).execute(UNITS))


def test_a_full_disk_ends_the_run(cluster):
    with pytest.raises(WriteError, match="No space left"):
        list(cluster(FakeRay(2, lambda unit: "a.mp4: No space left on device")).execute(UNITS))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({}, ""),
        ({"version": "9.9"}, "not 9.9; install the same version"),
        ({"model_sha256": "ff"}, "not ff; copy the driver's model"),
        ({"folder": "/nowhere"}, "every node needs the same folders"),
    ],
)
def test_an_actor_checks_what_it_has(change, words, colour_model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # goes back afterwards
    expected = Expected(project_version(), file_sha256(colour_model), str(tmp_path))
    actor = ModelActor(ArchiveOptions(Path("out"), colour_model, Settings()), replace(expected, **change))
    found = actor.check()
    assert words in found and bool(found) == bool(words)


def test_an_actor_records_what_fails(colour_model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    expected = Expected(project_version(), file_sha256(colour_model), str(tmp_path))
    actor = ModelActor(ArchiveOptions(Path("out"), colour_model, Settings()), expected)
    assert actor.check() == ""
    entry = actor.process(UNITS[0])
    assert entry.state is State.FAILED and "no such file" in entry.error
