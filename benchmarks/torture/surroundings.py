"""Hostile surroundings: closed streams, few file descriptors, odd names, no folder, C locale, four at once."""

from __future__ import annotations

import http.server
import os
import random
import shutil
import subprocess
import sys
import threading
from functools import partial
from pathlib import Path

from benchmarks.torture.attacks import NOTES, Quiet, Runs
from benchmarks.torture.fork_server import Job
from benchmarks.torture.outcomes import Outcome
from benchmarks.torture.stage import FRAMES
from benchmarks.torture.verbs import VERBS, complete_pair, leftovers, unsound
from detector.errors import Yolo3Error
from detector.logs.frame_log import FrameRecord, read_log

NAMES = ("ein Film ∞", "new\nline", "\x1b[31mred", "-dash", "a%02d", "semi;colon'\"", "\udcff\udcfe", "é" * 100, "🎬")
_TIMEOUT = 120


class Surroundings:
    """Each verb in each of these surroundings; an error is an ending like any other, a traceback is not."""

    name = "surroundings"

    def __init__(self, runs: Runs) -> None:
        self._runs = runs
        count = len(VERBS)
        self.asked = {
            "closed streams": 7 * count,
            "20 file descriptors": 4 * count,
            "working folder deleted": 2 * count,
            "| head -1": count,
            "C locale": count,
            "odd names": len(NAMES) * count,
            "name of 255 bytes": count,
        }

    def run(self, kind: str, number: int) -> Outcome:
        """Run one verb."""
        runs, verb = self._runs, VERBS[number % len(VERBS)]
        rng = random.Random(f"{runs.seed} {kind} {number}")
        out = runs.fresh("surroundings")
        turn = number // len(VERBS)
        if kind in ("| head -1", "C locale"):
            return self._fresh_process(kind, verb.first(runs.stage, out), out)
        words = verb.first(runs.stage, out)
        closed: list[int] = []
        files = None
        if kind == "closed streams":
            closed = [bit for bit in range(3) if (turn + 1) >> bit & 1]
        elif kind == "20 file descriptors":
            files = rng.randint(8, 40)
        elif kind in ("odd names", "name of 255 bytes"):
            name = NAMES[turn % len(NAMES)] if kind == "odd names" else "n" * 247
            inner = out / name
            inner.mkdir()
            words = [word.replace(f"{out}/", f"{inner}/{name}") for word in words]
        job = Job(words, str(out), closed=closed, files=files, no_folder=kind == "working folder deleted")
        ending = runs.server(keras=verb.keras).run(job)
        found = runs.wrong(verb, out, ending, earlier=False)
        if ending.code not in (0, 1, 2):
            found.append(f"exit code {ending.code}: {ending.err[-300:]}")
        return Outcome(f"exit {ending.code}", "; ".join(found), ending.seconds, ending.peak_bytes)

    def _fresh_process(self, kind: str, words: list[str], out: Path) -> Outcome:
        """In a process that starts anew, as its locale is read at the start."""
        environment = {**os.environ, "XDG_CACHE_HOME": str(self._runs.stage.folder / "cache")}
        if kind == "C locale":
            environment |= {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
        with subprocess.Popen(
            [sys.executable, "-m", "detector", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment
        ) as process:
            assert process.stdout is not None
            if kind == "| head -1":
                process.stdout.readline()
                process.stdout.close()
                process.stdout = None
            _, told = process.communicate(timeout=_TIMEOUT)
        found = unsound(out)
        if b"Traceback" in told or b"Exception ignored" in told or process.returncode not in (0, 1, 2):
            found.append(f"exit code {process.returncode}: {told.decode(errors='replace')[-300:]}")
        return Outcome(f"exit {process.returncode}", "; ".join(found))

    def close(self) -> None:
        """Nothing to end."""


class Together:
    """Four processes at once on one cache, one output, one camera."""

    name = "four at once"

    def __init__(self, runs: Runs) -> None:
        self._runs = runs
        self.asked = {"on one cache": 10, "on one output": 20, "on one camera": 10}

    def run(self, kind: str, number: int) -> Outcome:
        """Start four and wait for them."""
        stage = self._runs.stage
        out = self._runs.fresh("together")
        cache = stage.folder / "cache"
        if kind == "on one cache":
            cache = stage.folder / "cold cache"
            shutil.rmtree(cache, ignore_errors=True)
        source = str(stage.clip)
        server = None
        if kind == "on one camera":
            handler = partial(Quiet, directory=str(stage.inputs))
            server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
            threading.Thread(target=server.serve_forever, daemon=True).start()
            source = f"http://127.0.0.1:{server.server_address[1]}/{stage.clip.name}"
        processes = [self._start(kind, source, out, one, cache) for one in range(4)]
        codes, found = [], []
        for process in processes:
            _, told = process.communicate(timeout=_TIMEOUT)
            codes.append(process.returncode)
            if "Traceback" in told or process.returncode not in (0, 2):
                found.append(f"exit code {process.returncode}: {told[-300:]}")
        if server is not None:
            server.shutdown()
            server.server_close()
        found += unsound(out) + [f"{name} is left" for name in leftovers(out)]
        found += self._pairs(kind, out, codes)
        if (out / NOTES).read_text() != "the user's own":
            found.append("the user's file was changed")
        shutil.rmtree(out)
        return Outcome(" ".join(map(str, sorted(codes))), "; ".join(found))

    def _start(self, kind: str, source: str, out: Path, one: int, cache: Path) -> subprocess.Popen[str]:
        name = "v" if kind == "on one output" else f"v{one}"
        model = ["--model", str(self._runs.stage.model), "--quiet"]
        words = ["video", source, f"{out}/{name}.mp4", "--log", f"{out}/{name}.jsonl"]
        if kind == "on one camera":
            words = ["webcam", source, "--no-window", "--log", f"{out}/{name}.jsonl", "--out", f"{out}/{name}.mp4"]
        return subprocess.Popen(
            [sys.executable, "-m", "detector", *words, *model],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "XDG_CACHE_HOME": str(cache)},
        )

    def _pairs(self, kind: str, out: Path, codes: list[int]) -> list[str]:
        """What is wrong with the outputs."""
        if kind == "on one output":
            wrong = [] if codes.count(0) >= 1 else [f"exit codes {codes}, expected one 0"]
            return wrong + complete_pair(out / "v.mp4", out / "v.jsonl")
        wrong = [f"exit codes {codes}, expected 0"] if any(codes) else []
        for one in range(4):
            try:
                lines = sum(isinstance(record, FrameRecord) for record in read_log(out / f"v{one}.jsonl"))
            except Yolo3Error as error:
                wrong.append(str(error))
                continue
            if kind == "on one cache" and lines != FRAMES:
                wrong.append(f"{lines} lines, expected {FRAMES}")
        return wrong

    def close(self) -> None:
        """Nothing to end."""
