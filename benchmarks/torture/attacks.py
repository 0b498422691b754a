"""The attacks on whole runs and on readers: damaged inputs, kills, disks that are full or read-only."""

from __future__ import annotations

import errno
import http.server
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
from functools import partial
from pathlib import Path

from benchmarks.torture.fork_server import Ending, ForkServer, Job
from benchmarks.torture.mutated import HANG_SECONDS, KINDS
from benchmarks.torture.outcomes import Outcome
from benchmarks.torture.stage import Stage
from benchmarks.torture.verbs import VERBS, Verb, complete_pair, leftovers, unsound

SLOWEST_SECONDS = 10.0
"""Of computing, for a damaged input."""

NOTES = "notes.txt"


class Quiet(http.server.SimpleHTTPRequestHandler):
    """A server of files that prints nothing."""

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name in the base class
        """Discard a line."""


class Mutated:
    """Damaged inputs, read by a process that is started again when one of them takes it along."""

    name = "damaged input"

    def __init__(self, stage: Stage, seed: int) -> None:
        self._stage, self._seed = stage, seed
        self.asked = KINDS
        handler = partial(Quiet, directory=str(stage.folder))
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self._worker = self._start()

    def _start(self) -> subprocess.Popen[str]:
        address = f"http://127.0.0.1:{self._server.server_address[1]}"
        command = [sys.executable, "-P", "-m", "benchmarks.torture.mutated", str(self._stage.folder), str(self._seed)]
        path = os.pathsep.join([str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")])
        return subprocess.Popen(
            [*command, address],
            env={**os.environ, "PYTHONPATH": path, "PYTHONWARNINGS": "ignore"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, kind: str, number: int) -> Outcome:
        """Have one input read."""
        worker = self._worker
        assert worker.stdin is not None
        assert worker.stdout is not None
        worker.stdin.write(f"{kind} {number}\n")
        worker.stdin.flush()
        line = worker.stdout.readline()
        if not line:
            code = worker.wait()
            self._worker = self._start()
            what = f"no end within {HANG_SECONDS:g} s" if code == 1 else f"the process ended with {code}"
            return Outcome("crash", what)
        outcome = Outcome(**json.loads(line))
        if outcome.seconds > SLOWEST_SECONDS:
            return Outcome(outcome.ending, f"{outcome.seconds:.1f} s of computing", outcome.seconds, outcome.peak_bytes)
        return outcome

    def close(self) -> None:
        """End worker and server."""
        self._worker.kill()
        self._worker.wait()
        self._server.shutdown()


class Runs:
    """What kills and disks share: servers that run the verbs, and an output folder for each case."""

    def __init__(self, stage: Stage, seed: int, preload: Path | None) -> None:
        self.stage, self.seed, self.preload = stage, seed, preload
        cache = stage.folder / "cache"
        self._servers: dict[bool, ForkServer] = {}
        self._cache = cache
        self.seconds: dict[str, float] = {}
        self.writes: dict[str, int] = {}
        self._rehearsed: set[str] = set()
        self.verbs = {verb.name: verb for verb in VERBS}
        self.digests = stage.digests()

    def server(self, *, keras: bool) -> ForkServer:
        """The process that runs such verbs."""
        if keras not in self._servers:
            self._servers[keras] = ForkServer(keras=keras, preload=self.preload, cache=self._cache)
        return self._servers[keras]

    def rehearse(self, verb: Verb) -> None:
        """Run a verb undisturbed once, to know how long it takes and how often it writes; keep what it makes."""
        if verb.name in self._rehearsed:
            return
        self._rehearsed.add(verb.name)
        out = self.stage.folder / "earlier" / verb.name
        out.mkdir(parents=True)
        below = str(out) if self.preload else ""
        job = Job(verb.first(self.stage, out), str(out), disk_below=below, disk_nth=10**9 if below else -1)
        ending = self.server(keras=verb.keras).run(job)
        missing = [name for name in verb.outputs if not (out / name).exists()]
        wrong = missing + unsound(out) + leftovers(out)
        if ending.code or wrong:
            raise RuntimeError(f"{verb.name}, undisturbed: {wrong} {ending}")
        self.seconds[verb.name] = ending.seconds
        self.writes[verb.name] = int(Path(f"{out}.writes").read_text()) if below else 0

    def fresh(self, name: str, *, with_earlier: str = "") -> Path:
        """A folder for the outputs of a case, which holds a file of the user, and perhaps outputs of an earlier run."""
        folder = self.stage.folder / "cases" / name
        shutil.rmtree(folder, ignore_errors=True)
        if with_earlier:
            shutil.copytree(self.stage.folder / "earlier" / with_earlier, folder)
        else:
            folder.mkdir(parents=True)
        (folder / NOTES).write_text("the user's own")
        return folder

    def wrong(self, verb: Verb, out: Path, ending: Ending, *, earlier: bool) -> list[str]:
        """What is wrong after a run that was disturbed."""
        found = unsound(out)
        if "Traceback" in ending.err or "Traceback" in ending.out:
            found.append(f"traceback: {ending.err[-1500:]}")
        if ending.code < 0 and ending.code != -signal.SIGKILL:
            found.append(f"ended by signal {-ending.code}")
        if ending.hung:
            found.append("no end within a minute")
        if ending.left:
            found.append("a process that it had started goes on")
        if (out / NOTES).read_text() != "the user's own":
            found.append("the user's file was changed")
        if self.stage.digests() != self.digests:
            found.append("an input was changed")
        if earlier:
            found += [f"{name} of the earlier run is lost" for name in verb.outputs if not (out / name).exists()]
            if verb.name in ("video", "webcam") and not found:
                found += complete_pair(*(out / name for name in verb.outputs))
        return found

    def afterwards(self, verb: Verb, out: Path) -> list[str]:
        """What is wrong when the run is continued or started over, undisturbed."""
        words = verb.again(self.stage, out)
        ending = self.server(keras=verb.keras).run(Job(words, str(out)))
        if ending.code:
            return [f"afterwards, exit code {ending.code}: {ending.err[-300:]}"]
        found = [f"afterwards {name} is missing" for name in verb.outputs if not (out / name).exists()]
        found += unsound(out)
        if f"{out}/another" not in words:
            found += [f"afterwards {name} is left" for name in leftovers(out)]
        if verb.name in ("video", "webcam") and not found:
            found += complete_pair(*(out / name for name in verb.outputs))
        return found

    def close(self) -> None:
        """End the servers."""
        for server in self._servers.values():
            server.close()


class Kills:
    """SIGKILL at a random moment, then the run again."""

    name = "killed"

    def __init__(self, runs: Runs) -> None:
        self._runs = runs
        self.asked = {verb.name: 200 for verb in VERBS}

    def run(self, kind: str, number: int) -> Outcome:
        """Kill one run."""
        runs, verb = self._runs, self._runs.verbs[kind]
        runs.rehearse(verb)
        rng = random.Random(f"{runs.seed} kill {kind} {number}")
        earlier = rng.random() < 0.5
        out = runs.fresh("kill", with_earlier=kind if earlier else "")
        words = (verb.over if earlier else verb.first)(runs.stage, out)
        moment = rng.uniform(0, 1.1 * runs.seconds[kind])
        ending = runs.server(keras=verb.keras).run(Job(words, str(out), kill_after=moment))
        found = runs.wrong(verb, out, ending, earlier=earlier) or runs.afterwards(verb, out)
        word = "killed" if ending.code == -signal.SIGKILL else "finished before"
        return Outcome(word, "; ".join(found), ending.seconds, ending.peak_bytes)

    def close(self) -> None:
        """Nothing to end."""


class Disks:
    """A disk that is full, or read-only, from a random write on."""

    name = "disk"

    def __init__(self, runs: Runs) -> None:
        self._runs = runs
        verbs = [verb.name for verb in VERBS] if runs.preload else []
        self.asked = {f"{verb}, {how}": 50 for verb in verbs for how in ("full", "read-only")}

    def run(self, kind: str, number: int) -> Outcome:
        """Let one run fail."""
        name, _, how = kind.partition(", ")
        runs, verb = self._runs, self._runs.verbs[name]
        runs.rehearse(verb)
        rng = random.Random(f"{runs.seed} disk {kind} {number}")
        earlier = rng.random() < 0.5
        out = runs.fresh("disk", with_earlier=name if earlier else "")
        words = (verb.over if earlier else verb.first)(runs.stage, out)
        nth = rng.randrange(max(1, runs.writes[name]))
        error = errno.ENOSPC if how == "full" else errno.EROFS
        job = Job(words, str(out), disk_below=f"{out}/", disk_nth=nth, disk_error=error)
        ending = runs.server(keras=verb.keras).run(job)
        found = runs.wrong(verb, out, ending, earlier=earlier)
        if ending.code not in (0, 1, 2) or (ending.code and "error" not in ending.err):
            found.append(f"exit code {ending.code} and no error: {ending.err[-300:]}")
        if ending.code == 2 and how == "full":
            found.append(f"exit code 2 on a full disk: {ending.err[-300:]}")
        found = found or runs.afterwards(verb, out)
        return Outcome(f"exit {ending.code}", "; ".join(found), ending.seconds, ending.peak_bytes)

    def close(self) -> None:
        """Nothing to end."""
