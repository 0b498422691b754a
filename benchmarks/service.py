"""The web service under load, into docs/service.md: `python -m benchmarks.service MODEL.h5 PICTURE.jpg`.

The server runs in a process of its own, and so do its clients; both share this machine's cores, on 127.0.0.1 only.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import threading
import zlib
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median, quantiles
from time import monotonic, perf_counter, process_time

from benchmarks.report import machine, put, table
from detector.detector import Detector
from detector.engines.base import available_cores

PAGE = Path(__file__).parents[1] / "docs" / "service.md"
CLIENTS = 16
ROUNDS = 8
KINDS = ("good", "slow", "oversize", "bomb", "broken")

_BOUNDARY = "yolo3benchmark"


@dataclass
class Answers:
    """What clients were told, and how long it took."""

    statuses: Counter[int] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    broken_off: int = 0
    """Connections that ended without an answer."""


@contextmanager
def served(folder: Path) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A server of the models in `folder / "models"`; yields its process and port."""
    environment = {**os.environ, "TMPDIR": str(folder / "tmp")}
    environment.pop("YOLO3_TOKEN", None)
    (folder / "tmp").mkdir()
    command = [sys.executable, "-m", "detector", "serve", "--port", "0"]
    command += ["--models", str(folder / "models"), "--data", str(folder / "data")]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    try:
        port = 0
        for line in process.stderr:
            found = re.search(r":(\d+)/", line)
            if found:
                port = int(found[1])
            if "engine:" in line:
                break
        threading.Thread(target=process.stderr.read, daemon=True).start()
        yield process, port
    finally:
        process.terminate()
        process.wait(60)


def form(picture: bytes) -> bytes:
    """A multipart body with a picture."""
    head = f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="picture"; filename="a.jpg"\r\n\r\n'
    return head.encode() + picture + f"\r\n--{_BOUNDARY}--\r\n".encode()


def request(port: int, body: bytes, *, length: int | None = None) -> bytes:
    """A whole request to detect."""
    head = (
        f"POST /v1/detect HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Length: {length or len(body)}\r\n"
        f"Content-Type: multipart/form-data; boundary={_BOUNDARY}\r\n\r\n"
    )
    return head.encode() + body


async def answer_of(reader: asyncio.StreamReader) -> int:
    """Read one answer; its status."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = re.search(rb"(?i)content-length: (\d+)", head)
    if length:
        await reader.readexactly(int(length[1]))
    return int(head[9:12])


async def ask(port: int, sent: bytes, answers: Answers, *, until: Callable[[], bool]) -> None:
    """One client on one connection, request after request."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        while not until():
            begun = perf_counter()
            writer.write(sent)
            await writer.drain()
            answers.statuses[await answer_of(reader)] += 1
            answers.seconds.append(perf_counter() - begun)
    finally:
        writer.close()


def load(
    port: int, picture: bytes, *, clients: int, answers: Answers, seconds: float = 0.0, requests: int = 0
) -> float:
    """Ask from so many clients at once, for some time or so many times; returns how long it took."""
    sent = request(port, form(picture))
    begun = perf_counter()
    left = iter(range(requests))

    def until() -> bool:
        return next(left, None) is None if requests else perf_counter() - begun > seconds

    async def all_clients() -> None:
        await asyncio.gather(*(ask(port, sent, answers, until=until) for _ in range(clients)))

    asyncio.run(all_clients())
    return perf_counter() - begun


@dataclass
class Speed:
    """What one way of detecting achieved, slice by slice."""

    rates: list[float] = field(default_factory=list)
    """Pictures per second."""
    cpu_ms: list[float] = field(default_factory=list)
    """Processor time for each picture, clients left out."""

    def add(self, pictures: int, seconds: float, cpu_seconds: float) -> None:
        """Count a slice."""
        self.rates.append(pictures / seconds)
        self.cpu_ms.append(1000 * cpu_seconds / pictures)


def loop(work: Callable[[], object], workers: int, seconds: float, speed: Speed) -> None:
    """Do something over and over, in so many threads."""
    counts = [0] * workers
    begun, cpu = perf_counter(), process_time()

    def one(number: int) -> None:
        while perf_counter() - begun < seconds:
            work()
            counts[number] += 1

    threads = [threading.Thread(target=one, args=(number,)) for number in range(workers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    speed.add(sum(counts), perf_counter() - begun, process_time() - cpu)


def cpu_seconds(process: int) -> float:
    """The processor time that a process has taken."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_megabytes(process: int) -> float:
    """The memory of a process, now."""
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{process}/status").read_text())
    assert found
    return int(found[1]) / 1024


def throughput(folder: Path, model: Path, picture: bytes, seconds: float) -> str:
    """The table of pictures per second, and of latency; slices of all rows alternate."""
    cores = available_cores()
    detector = Detector.open(model, workers=cores)
    pixels = detector.read(picture)
    fit = detector.fit(pixels.shape[1], pixels.shape[0])
    batch = fit.network_input(pixels, detector.settings.interpolation)[None]
    engine, bare, http = Speed(), Speed(), Speed()
    alone, together = Answers(), Answers()
    with served(folder) as (process, port):
        loop(lambda: detector.detect(picture), cores, 1, Speed())
        load(port, picture, clients=CLIENTS, seconds=2, answers=Answers())
        for _ in range(ROUNDS):
            loop(lambda: detector.engine.run(batch), cores, seconds / ROUNDS, engine)
            loop(lambda: detector.detect(picture), cores, seconds / ROUNDS, bare)
            load(port, picture, clients=1, seconds=seconds / ROUNDS, answers=alone)
            before, cpu = len(together.seconds), cpu_seconds(process.pid)
            took = load(port, picture, clients=CLIENTS, seconds=seconds / ROUNDS, answers=together)
            http.add(len(together.seconds) - before, took, cpu_seconds(process.pid) - cpu)
    assert set(together.statuses) == {200}, together.statuses
    single, p99 = median(alone.seconds), quantiles(together.seconds, n=100)[98]
    share = median(one / other for one, other in zip(http.rates, bare.rates, strict=True))
    rows = [
        (name, f"{median(speed.rates):.1f}", f"{median(speed.cpu_ms):.2f}", part)
        for name, speed, part in (
            (f"engine alone, {cores} threads", engine, ""),
            (f"`Detector.detect(file)`, {cores} threads", bare, "100 %"),
            (f"over HTTP, {CLIENTS} clients", http, f"{100 * share:.0f} %"),
        )
    ]
    return (
        table(["", "pictures/s", "CPU ms per picture", "of the bare detector's pictures/s"], rows)
        + f"\n\nA single client waits {1000 * single:.1f} ms for an answer. With {CLIENTS} clients the median is "
        f"{1000 * median(together.seconds):.1f} ms and the 99th percentile {1000 * p99:.1f} ms, {p99 / single:.1f} "
        "times that of a single one."
    )


def memory(folder: Path, picture: bytes, requests: int) -> str:
    """How the server's memory changes with the number of requests."""
    sizes = []
    answers = Answers()
    with served(folder) as (process, port):
        for _ in range(10):
            load(port, picture, clients=CLIENTS, requests=requests // 10, answers=answers)
            assert set(answers.statuses) == {200}, answers.statuses
            sizes.append(resident_megabytes(process.pid))
    rows = [(f"{(number + 1) * requests // 10:,}", f"{size:.0f}") for number, size in enumerate(sizes)]
    return table(["requests", "resident MB"], rows)


def bomb() -> bytes:
    """A PNG of a few bytes that says it has 1.6 billion pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", 40_000, 40_000, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(10_000_000)))


async def misuse(port: int, sent: bytes, answers: Answers, deadline: float, *, slow: bool) -> None:
    """A client that opens a connection for each request, and may send it drop by drop."""
    while monotonic() < deadline:
        writer = None
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            asked = asyncio.create_task(answer_of(reader))
            async for piece in _pieces(sent, slow=slow):
                if asked.done() or monotonic() > deadline + 5:
                    break
                with suppress(ConnectionError):  # the answer may be there all the same
                    writer.write(piece)
                    await writer.drain()
            answers.statuses[await asyncio.wait_for(asked, 60)] += 1
        except (OSError, asyncio.IncompleteReadError, TimeoutError):
            answers.broken_off += 1
        finally:
            if writer is not None:
                writer.close()


async def _pieces(sent: bytes, *, slow: bool) -> AsyncIterator[bytes]:
    size = 4096 if slow else 1 << 16
    for begin in range(0, len(sent), size):
        yield sent[begin : begin + size]
        await asyncio.sleep(0.25 if slow else 0)


def abuse(folder: Path, picture: bytes, seconds: float) -> str:
    """Good clients among hostile ones: what each kind was told, and the server's greatest memory."""
    answers = {kind: Answers() for kind in KINDS}
    peak = 0.0
    with served(folder) as (process, port):

        async def watch(deadline: float) -> None:
            nonlocal peak
            while monotonic() < deadline:
                peak = max(peak, resident_megabytes(process.pid))
                await asyncio.sleep(0.1)

        async def all_clients() -> None:
            deadline = monotonic() + seconds
            bodies = {
                "good": request(port, form(picture)),
                "slow": request(port, form(picture)),
                "oversize": request(port, bytes(25 << 20)),
                "bomb": request(port, form(bomb())),
                "broken": request(port, form(picture[: len(picture) // 3])),
            }
            work: list[Awaitable[None]] = [watch(deadline)]
            for kind, body in bodies.items():
                work += [misuse(port, body, answers[kind], deadline, slow=kind == "slow") for _ in range(CLIENTS)]
            await asyncio.gather(*work)

        asyncio.run(all_clients())
        after = resident_megabytes(process.pid)
        left = [path for path in (folder / "tmp").rglob("*") if path.is_file()]
    rows = [
        (kind, *(found.statuses[status] for status in (200, 408, 413, 422, 503)), _others(found), found.broken_off)
        for kind, found in answers.items()
    ]
    return (
        table([f"{CLIENTS} clients each", "200", "408", "413", "422", "503", "other", "no answer"], rows)
        + f"\n\nThe server took at most {peak:.0f} MB, and {after:.0f} MB at the end; "
        f"{len(left)} files were left in its temporary folder."
    )


def _others(found: Answers) -> int:
    return sum(count for status, count in found.statuses.items() if status not in (200, 408, 413, 422, 503))


def main() -> None:
    """Measure, and write the section of docs/service.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("picture", type=Path)
    parser.add_argument("--seconds", type=float, default=8.0, help="of each measurement of speed")
    parser.add_argument("--requests", type=int, default=10_000, help="for the measurement of memory")
    parser.add_argument("--abuse-seconds", type=float, default=60.0)
    parser.add_argument("--only", choices=["throughput", "memory", "abuse"], action="append")
    options = parser.parse_args()
    picture = options.picture.read_bytes()
    parts: dict[str, Callable[[Path], str]] = {
        "throughput": lambda folder: throughput(folder, options.model, picture, options.seconds),
        "memory": lambda folder: memory(folder, picture, options.requests),
        "abuse": lambda folder: abuse(folder, picture, options.abuse_seconds),
    }
    for name, measure in parts.items():
        if options.only and name not in options.only:
            continue
        with tempfile.TemporaryDirectory() as made:
            folder = Path(made)
            (folder / "models").mkdir()
            shutil.copy(options.model, folder / "models")
            text = measure(folder)
            with suppress(OSError):
                text += f"\n\n{options.model.stem}, {options.picture.name} ({len(picture):,} bytes). {machine()}"
        print(text)
        put(f"service {name}", text, page=PAGE)


if __name__ == "__main__":
    main()
