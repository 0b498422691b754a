"""Process an archive on a Ray cluster: one actor per copy of the model, one unit at a time in each.

Units are inputs and segments of long videos. Actors read the inputs and write the results themselves, so all nodes need
the same folders; only names and entries travel. An actor that dies is replaced where there is room, and its unit is
given to another one, which continues it from its journal. The driver alone writes the manifest.
"""

from __future__ import annotations

import logging
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import monotonic
from typing import Any

from detector.archive.manifest import Entry, State
from detector.archive.run import Execute, Unit, process_unit
from detector.archive.work import ArchiveOptions, Worker
from detector.errors import SettingsError, WorkError, WriteError, Yolo3Error

_MOST_LOSSES = 5
"""How often a unit may lose its actor; then it is likely to be the reason."""

_READY_SECONDS = 120.0
_WAKE_SECONDS = 1.0


@dataclass(frozen=True)
class Expected:
    """What all nodes must agree on."""

    version: str
    model_sha256: str
    folder: str
    """The driver's current folder, from which relative names count."""


class ModelActor:
    """A process of the cluster that holds one copy of the model."""

    def __init__(self, options: ArchiveOptions, expected: Expected) -> None:
        self._options = options
        self._expected = expected
        self._worker: Worker | None = None

    def check(self) -> str:
        """Open the model; return what differs from the driver, or nothing."""
        from convert.version import project_version

        host, expected = os.uname().nodename, self._expected
        try:
            os.chdir(expected.folder)
            self._worker = Worker(self._options)
            digest = self._worker.model.sha256
        except (Yolo3Error, OSError) as error:
            return f"{host}: {error}; every node needs the same folders as the driver"
        if project_version() != expected.version:
            return f"{host}: has yolo3 {project_version()}, not {expected.version}; install the same version"
        if digest != expected.model_sha256:
            path, right = self._options.model, expected.model_sha256
            return f"{host}: {path}: has the SHA-256 {digest}, not {right}; copy the driver's model there"
        return ""

    def process(self, unit: Unit) -> Entry | str:
        """Process a unit; a text is an error that would stop all others too."""
        assert self._worker is not None
        try:
            return process_unit(unit, self._worker)
        except WriteError as error:
            return "\n".join([str(error), *getattr(error, "__notes__", ())])


@contextmanager
def ray_cluster(
    address: str, worker: Worker, version: str, *, on_problem: Callable[[str], object]
) -> Iterator[Execute]:
    """Connect to a cluster (`auto`, its address) or start one on this machine (`local`); yield what runs units there.

    `on_problem` is called with what is wrong with a node that is left out. Raise `SettingsError` if Ray is missing or
    the cluster cannot be reached.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is reported to anybody
    try:
        import ray
    except ImportError:
        raise SettingsError("--ray needs Ray; type: pip install -e '.[ray]'") from None
    environment = {name: os.environ[name] for name in ("PYTHONPATH", "XDG_CACHE_HOME") if name in os.environ}
    own: dict[str, Any] = {"include_dashboard": False} if address == "local" else {}
    try:
        ray.init(
            address=address,
            log_to_driver=False,
            logging_level=logging.ERROR,
            runtime_env={"env_vars": environment},
            **own,
        )
    except (ConnectionError, ValueError, RuntimeError, TimeoutError) as error:
        raise SettingsError(f"--ray {address}: the cluster cannot be reached: {error}") from None
    try:
        expected = Expected(version, worker.model.sha256, str(Path.cwd()))
        yield _Cluster(ray, worker.options, expected, on_problem).execute
    finally:
        ray.shutdown()


@dataclass
class _Cluster:
    """The actors, and the units that they are processing."""

    ray: Any
    options: ArchiveOptions
    expected: Expected
    on_problem: Callable[[str], object]
    idle: list[Any] = field(default_factory=list)
    starting: dict[Any, Any] = field(default_factory=dict)
    """Actors by the answer of their check, which a node without room never gives."""
    running: dict[Any, tuple[Any, Unit]] = field(default_factory=dict)
    losses: dict[Unit, int] = field(default_factory=dict)

    def execute(self, units: Iterable[Unit]) -> Iterator[tuple[Unit, Entry]]:
        """Process units; no more of them are taken than there are actors to process them."""
        each, again = iter(units), deque[Unit]()
        following = next(each, None)
        if following is not None and not (self.idle or self.starting):
            for _ in range(self._places()):
                self._start()
        began = monotonic()
        while following is not None or again or self.running:
            while self.idle and (again or following is not None):
                if again:
                    unit = again.popleft()
                else:
                    assert following is not None
                    unit, following = following, next(each, None)
                actor = self.idle.pop()
                self.running[actor.process.remote(unit)] = (actor, unit)
            answers, _ = self.ray.wait([*self.running, *self.starting], timeout=_WAKE_SECONDS)
            yield from self._finished(answers, again)
            if self.running or self.idle:
                began = monotonic()
            elif not self.starting or monotonic() - began > _READY_SECONDS:
                raise WorkError("no node of the cluster can process anything; look at its state with: ray status")

    def _places(self) -> int:
        return max(1, int(self.ray.cluster_resources().get("CPU", 1) // self._cpus))

    @property
    def _cpus(self) -> int:
        return self.options.settings.threads or 1

    def _start(self) -> None:
        actor = self.ray.remote(ModelActor).options(num_cpus=self._cpus).remote(self.options, self.expected)
        self.starting[actor.check.remote()] = actor

    def _finished(self, answers: Sequence[Any], again: deque[Unit]) -> Iterator[tuple[Unit, Entry]]:
        for answer in answers:
            try:
                found = self.ray.get(answer)
            except self.ray.exceptions.RayError as error:
                self._lost(answer, error, again)
                if answer in self.running:
                    _, unit = self.running.pop(answer)
                    yield unit, _given_up(unit, error)
                continue
            if answer in self.starting:
                actor = self.starting.pop(answer)
                if found:
                    self.on_problem(found)
                else:
                    self.idle.append(actor)
                continue
            actor, unit = self.running.pop(answer)
            self.idle.append(actor)
            if isinstance(found, str):
                raise WriteError(found)
            yield unit, found

    def _lost(self, answer: Any, error: Exception, again: deque[Unit]) -> None:
        """Replace an actor that died; its unit is processed again unless it has lost too many."""
        self._start()
        if self.starting.pop(answer, None) is not None:
            return
        _, unit = self.running[answer]
        self.losses[unit] = self.losses.get(unit, 0) + 1
        if self.losses[unit] <= _MOST_LOSSES:
            del self.running[answer]
            again.append(unit)


def _given_up(unit: Unit, error: Exception) -> Entry:
    item, segment = unit.item, unit.segment
    reason = str(error).partition("\n")[0]
    text = f"{item.shown}: its process died {_MOST_LOSSES + 1} times; it may need more memory ({reason})"
    failed = Entry(item.key, State.FAILED, item.shown, item.stamp, error=text)
    return failed if segment is None else replace(failed, segment=segment.number, segments=segment.count)
