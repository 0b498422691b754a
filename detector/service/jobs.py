"""Video jobs: one after another, each in a process of its own, resumed when the server is started again."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path
from time import monotonic, time
from typing import Any

from convert.errors import Yolo3Error
from detector.service.job_store import ZONES, Job, JobStore
from detector.service.request_errors import RequestError, unknown, without_paths

_MOST_ATTEMPTS = 5
_STOP_SECONDS = 25.0
_SWEEP_SECONDS = 60.0
_WATCH_SECONDS = 0.25
_WRITE_SECONDS = 10.0
_LONGEST_LINE = 1 << 20


class Jobs:
    """Runs jobs in the order in which they came."""

    def __init__(self, store: JobStore, *, limit: int, keep_seconds: float, on_note: Callable[[str], object]) -> None:
        self.store = store
        self.limit = limit
        self._keep_seconds = keep_seconds
        self._on_note = on_note
        self._jobs: dict[str, Job] = {}
        self._new = asyncio.Event()
        self._starting = asyncio.Lock()
        """Held while a process is begun or a job's files are removed."""
        self._running: tuple[Job, asyncio.subprocess.Process] | None = None
        self._begun: tuple[float, int] = (0.0, 0)
        self._tasks: list[asyncio.Task[None]] = []
        self._stopping = False
        self._written = 0.0

    async def start(self) -> None:
        """Read the jobs of earlier servers and begin."""
        for job in self.store.read():
            if not job.is_over:
                job.state = "waiting"
            self._jobs[job.id] = job
        self._tasks = [asyncio.create_task(self._work()), asyncio.create_task(self._sweep())]

    async def stop(self) -> None:
        """End the job that runs, so that it can be resumed."""
        self._stopping = True
        async with self._starting:
            if self._running is not None:
                await self._end(self._running[1])
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def check_room(self) -> bool:
        """Whether one more job may wait."""
        return sum(not job.is_over for job in self._jobs.values()) < self.limit

    def add(self, job: Job) -> None:
        """Take a job whose folder is complete."""
        self._jobs[job.id] = job
        self._new.set()

    def get(self, number: str) -> Job:
        """The job of this id. Raises `RequestError` where there is none."""
        job = self._jobs.get(number)
        if job is None:
            raise unknown("there is no such job; results are deleted after some time")
        return job

    async def remove(self, job: Job) -> None:
        """Cancel a job and delete its files."""
        self._jobs.pop(job.id, None)
        async with self._starting:
            if self._running is not None and self._running[0] is job:
                process = self._running[1]
                with suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
            await asyncio.to_thread(self.store.remove, job)

    def counts(self) -> dict[str, int]:
        """How many jobs there are, by state."""
        found = dict.fromkeys(("waiting", "running", "done", "failed"), 0)
        for job in self._jobs.values():
            found[job.state] += 1
        return found

    def as_json(self, job: Job) -> dict[str, object]:
        """What the client who knows a job's id is told of it."""
        rate, left = None, None
        if job.state == "running" and self._begun[0]:
            seconds, frames = monotonic() - self._begun[0], job.frames - self._begun[1]
            if frames > 0 and seconds > 0:
                rate = frames / seconds
                left = None if job.total is None else max(0.0, (job.total - job.frames) / rate)
        return {
            "id": job.id,
            "state": job.state,
            "model": job.model,
            "frames": job.frames,
            "total": job.total,
            "frames_per_second": rate and round(rate, 2),
            "seconds_left": left if left is None else round(left, 1),
            "width": job.width,
            "height": job.height,
            "tracked": job.options.track is not None,
            "zones": self.store.path(job, ZONES).exists(),
            "message": job.message,
            "notes": job.notes,
            "expires": None if job.ended is None else round(job.ended + self._keep_seconds),
        }

    async def watch(self, job: Job, stopping: asyncio.Event) -> AsyncIterator[dict[str, object]]:
        """What is told of a job each time that it changes, until it is over, removed, or the server stops."""
        shown: dict[str, object] | None = None
        while True:
            now = self.as_json(job)
            if now != shown:
                shown = now
                yield now
            if job.is_over or job.id not in self._jobs or stopping.is_set():
                return
            with suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), _WATCH_SECONDS)

    async def _work(self) -> None:
        while True:
            job = next((job for job in self._jobs.values() if job.state == "waiting"), None)
            if job is None:
                self._new.clear()
                await self._new.wait()
                continue
            try:
                await self._run(job)
            except (OSError, Yolo3Error) as error:
                self._on_note(f"job: {error}")
                self._fail(job, "the video could not be processed; the server's log says why")

    async def _run(self, job: Job) -> None:
        """One job, in its own process."""
        job.state, job.attempts = "running", job.attempts + 1
        if job.attempts > _MOST_ATTEMPTS:
            self._fail(job, f"the video was begun {_MOST_ATTEMPTS} times and never finished")
            return
        process = await self._begin(job)
        if process is None:
            return
        assert process.stdout is not None and process.stderr is not None
        errors = asyncio.create_task(_last_of(process.stderr))
        last: dict[str, Any] = {}
        try:
            async for line in process.stdout:
                last = self._take(job, line) or last
            await process.wait()
        finally:
            self._running = None
            words = await errors
        self._conclude(job, last, words)

    async def _begin(self, job: Job) -> asyncio.subprocess.Process | None:
        """Start the process of a job; None where the job was removed meanwhile, or the server stops."""
        async with self._starting:
            if job.id not in self._jobs or self._stopping:
                return None
            await asyncio.to_thread(self.store.write, job)
            self._begun = (0.0, 0)
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "detector.service.job_child",
                str(self.store.path(job).absolute()),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                limit=_LONGEST_LINE,
                start_new_session=True,  # Ctrl-C in a terminal is for the server
            )
            self._running = job, process
            return process

    def _take(self, job: Job, line: bytes) -> dict[str, Any] | None:
        """What the process of a job reports; returned where it is how it ended."""
        try:
            fields = json.loads(line)
        except ValueError:
            return None
        if "total" in fields:
            job.total = fields["total"] or job.total
        if "done" in fields:
            if not self._begun[0]:
                self._begun = monotonic(), fields["done"]
            self._progress(job, fields["done"])
        return fields if "result" in fields or "error" in fields else None

    def _progress(self, job: Job, done: int) -> None:
        """Count frames; a job that gets on may be begun again as often as it takes."""
        advanced, job.frames = done > job.frames, done
        if job.id in self._jobs and advanced and (job.attempts or monotonic() - self._written > _WRITE_SECONDS):
            job.attempts, self._written = 0, monotonic()
            with suppress(Yolo3Error):
                self.store.write(job)

    def _conclude(self, job: Job, last: dict[str, Any], words: str) -> None:
        """Keep how a job ended."""
        if job.id not in self._jobs:
            return
        hidden = (self.store.folder,)
        if last.get("result") in ("complete", "truncated"):
            job.state, job.ended = "done", time()
            job.notes = [without_paths(note, hidden).replace(job.upload, "the video") for note in last["notes"]]
        elif self._stopping:
            job.state = "waiting"
        elif "error" in last:
            self._fail(job, without_paths(last["error"], hidden).replace(job.upload, "the video"))
            return
        elif last.get("result") == "interrupted":
            job.state = "waiting"  # somebody has interrupted its process
        else:
            self._on_note(f"job: the process ended without a result\n{words}")
            self._fail(job, "the video could not be processed: its decoder broke down or took too much memory")
            return
        self.store.write(job)

    def _fail(self, job: Job, message: str) -> None:
        job.state, job.message, job.ended = "failed", message, time()
        if job.id in self._jobs:
            with suppress(Yolo3Error):
                self.store.write(job)

    async def _end(self, process: asyncio.subprocess.Process) -> None:
        """End the process of a job in an orderly way."""
        with suppress(ProcessLookupError):
            process.send_signal(signal.SIGINT)
        try:
            await asyncio.wait_for(process.wait(), _STOP_SECONDS)
        except TimeoutError:
            with suppress(ProcessLookupError):
                process.kill()

    async def _sweep(self) -> None:
        """Delete what has expired."""
        while True:
            now = time()
            for job in list(self._jobs.values()):
                if job.ended is not None and now - job.ended > self._keep_seconds:
                    await self.remove(job)
            await asyncio.sleep(_SWEEP_SECONDS)


async def _last_of(stream: asyncio.StreamReader, *, most: int = 4000) -> str:
    """The last words of a process."""
    kept = b""
    while chunk := await stream.read(1 << 14):
        kept = (kept + chunk)[-most:]
    return kept.decode("utf-8", "replace")


def check_ended_well(job: Job, path: Path) -> Path:
    """A result of a job that is done. Raises `RequestError` where it is not."""
    if not job.ended_well:
        raise RequestError(
            409, job.message or f"the job is {job.state}; its result is there when it is done", kind="not_done"
        )
    return path
