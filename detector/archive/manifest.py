"""Write and read manifests: what became of each input, as JSON Lines, valid up to the last line written.

Each process writes a manifest of its own. It begins with a line about the run; more lines of that kind follow when the
run is started again. The last line about an input counts.

    {"type":"run","schema":1,"version":"0.1.0","model_sha256":…,"settings":{…},"shard":"0/4","inputs":200,…}
    {"type":"input","key":"3fa2c1d0e5b7","state":"complete","at":1732222222123,"stamp":…,"source":"a.mp4","frames":250,…}
    {"type":"end","status":"complete"}
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import re
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from enum import StrEnum
from io import FileIO
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from zlib import crc32

from convert.files import make_folder
from detector.archive.shards import Shard
from detector.errors import ArchiveError, OutputError, WriteError

SCHEMA = 1
MERGED = "manifest.jsonl"
"""The manifest of a run without shards, and of all shards once they are joined."""

_NAME = re.compile(r"manifest(-\d+-of-\d+)?\.jsonl")
_LONGEST_LINE = 1 << 24
_START = re.compile(
    rb'\{"type":"input","key":"([0-9a-f]{12})",(?:"segment":(\d{1,6}),)?"state":"(complete|truncated|failed)","at":(\d{1,15}),"stamp":"([^"\\]*)",'
)
_CODE_BITS, _STAMP_BITS, _SEGMENT_BITS = 2, 32, 20


class State(StrEnum):
    """What became of an input."""

    COMPLETE = "complete"
    TRUNCATED = "truncated"
    """It is damaged; what can be read of it is done."""
    FAILED = "failed"


_STATES = tuple(State)
_CODES = {state.encode(): code for code, state in enumerate(_STATES)}


@dataclass(frozen=True)
class ArchiveRun:
    """What a process works on; processes whose runs differ do not share a folder."""

    version: str
    model_sha256: str
    settings: Mapping[str, object]
    """Everything that the results depend on, and which results are made."""
    inputs: int
    """Number of inputs of all shards."""
    inputs_sha256: str
    """SHA-256 of their keys."""
    shard: str = "0/1"

    def check_same(self, path: Path, other: ArchiveRun) -> None:
        """Raise `ArchiveError` if the run of the manifest `path` does not make the same results as this one."""
        advice = "use the same, or name another folder with --out"
        for name, what in (("model_sha256", "the SHA-256 of its model"), ("version", "its version of yolo3")):
            was, now = getattr(other, name), getattr(self, name)
            if was != now:
                raise ArchiveError(f"{path}: is of another run: {what} was {was}, not {now}; {advice}")
        for name in {**other.settings, **self.settings}:
            was, now = other.settings.get(name), self.settings.get(name)
            if was != now:
                raise ArchiveError(f"{path}: is of another run: its {name} was {was}, not {now}; {advice}")


@dataclass(frozen=True)
class Entry:
    """What became of one input, or of one segment of it."""

    key: str
    state: State
    source: str
    stamp: str = ""
    """Size and time of change of the input's file when it was processed."""
    segment: int | None = None
    """Which part of a long video this is, from 0; None for a whole input."""
    segments: int | None = None
    """The number of these parts."""
    frames: int | None = None
    boxes: int | None = None
    seconds: float | None = None
    """How long it took."""
    log: str | None = None
    """The name of the log in the folder."""
    log_sha256: str | None = None
    attempts: int = 1
    error: str | None = None
    notes: tuple[str, ...] = ()
    at: int = 0
    """When, in milliseconds since 1970; set when it is written."""

    @property
    def identity(self) -> int:
        """The key and the segment as a number."""
        return identity_of(self.key, self.segment)

    def as_line(self) -> bytes:
        """Return its line; the fields that an index needs come first."""
        first: dict[str, object] = {"type": "input", "key": self.key}
        if self.segment is not None:
            first["segment"] = self.segment
        first |= {"state": str(self.state), "at": self.at, "stamp": self.stamp}
        others = {name: value for name, value in asdict(self).items() if name not in first and value not in (None, ())}
        return _line({**first, **others})


def identity_of(key: str, segment: int | None) -> int:
    """Return a key and a segment as a number."""
    return int(key, 16) << _SEGMENT_BITS | (0 if segment is None else segment + 1)


class ManifestIndex:
    """The last known state of each input, of all manifests of a folder; about 150 bytes for each."""

    def __init__(self) -> None:
        self._known: dict[int, int] = {}
        self.runs: dict[Path, ArchiveRun] = {}
        """The last run of each manifest."""
        self.ended: dict[Path, bool] = {}
        """Whether that run came to its end."""

    def __len__(self) -> int:
        return len(self._known)

    def state(self, key: str, segment: int | None = None, *, stamp: str = "") -> State | None:
        """Return what became of an input; None if nothing is known, or its file has changed since."""
        known = self._known.get(identity_of(key, segment))
        if known is None:
            return None
        was = known >> _CODE_BITS & (1 << _STAMP_BITS) - 1
        if was and stamp and was != crc32(stamp.encode()):
            return None
        return _STATES[known & (1 << _CODE_BITS) - 1]

    def changed(self, key: str, segment: int | None = None, *, stamp: str = "") -> bool:
        """Return whether the file of a known input has changed since it was processed."""
        return identity_of(key, segment) in self._known and self.state(key, segment, stamp=stamp) is None

    def is_latest(self, entry: Entry) -> bool:
        """Return whether no later entry says something else about this input."""
        return self._known.get(entry.identity) == _value(entry.state, entry.at, entry.stamp.encode())

    def add(self, identity: int, state: State, at: int, stamp: bytes) -> None:
        """Take a line; the latest of an input counts."""
        value = _value(state, at, stamp)
        if value >= self._known.get(identity, 0):
            self._known[identity] = value

    def read(self, path: Path) -> None:
        """Take all lines of a manifest. Raise `ArchiveError` for an invalid one."""
        known = self._known
        for line, number in _lines(path):
            match = _START.match(line)
            if match:  # as this program writes it; JSON is parsed only otherwise
                key, segment, state, at, stamp = match.groups()
                identity = int(key, 16) << _SEGMENT_BITS | (int(segment) + 1 if segment else 0)
                value = (int(at) << _STAMP_BITS | (crc32(stamp) if stamp else 0)) << _CODE_BITS | _CODES[state]
                if value >= known.get(identity, 0):
                    known[identity] = value
                continue
            record = _record(line, path, number)
            if isinstance(record, Entry):
                self.add(record.identity, record.state, record.at, record.stamp.encode())
            elif isinstance(record, ArchiveRun):
                self.runs[path], self.ended[path] = record, False
            else:
                self.ended[path] = record == "complete"


def _value(state: State, at: int, stamp: bytes) -> int:
    """Return a line's content as a number; of two lines, that of the later one is greater."""
    return (at << _STAMP_BITS | (crc32(stamp) if stamp else 0)) << _CODE_BITS | _STATES.index(state)


def read_entries(path: Path) -> Iterator[Entry]:
    """Yield the entries of a manifest in the order in which they were written. Raise `ArchiveError`."""
    for line, number in _lines(path):
        record = _record(line, path, number)
        if isinstance(record, Entry):
            yield record


def manifests_in(folder: Path) -> list[Path]:
    """Return the manifests of a folder, the merged one first. Raise `ArchiveError` if it cannot be read."""
    try:
        names = [name for name in os.listdir(folder) if _NAME.fullmatch(name)]  # noqa: PTH208 - names are enough
    except FileNotFoundError:
        return []
    except NotADirectoryError:
        raise ArchiveError(f"{folder}: is a file; name a folder for the results") from None
    except OSError as error:
        raise ArchiveError(f"{folder}: the folder cannot be read: {error.strerror or error}") from None
    return [folder / name for name in sorted(names, key=lambda name: (name != MERGED, name))]


def read_index(folder: Path, run: ArchiveRun | None = None) -> ManifestIndex:
    """Read all manifests of a folder; those of another run than `run` raise `ArchiveError`."""
    index = ManifestIndex()
    for path in manifests_in(folder):
        index.read(path)
        if run is not None and path in index.runs:
            run.check_same(path, index.runs[path])
    return index


def manifest_name(shard: Shard) -> str:
    """Return the name of the manifest that a shard writes."""
    return MERGED if shard.count == 1 else f"manifest-{shard.index}-of-{shard.count}.jsonl"


class ManifestWriter:
    """Appends lines to a manifest, each flushed before the next input begins.

    An incomplete last line, which a killed run leaves, is removed. Raise `OutputError` if the manifest cannot be
    written or another process writes to it, `WriteError` if the disk is full; the lines before stay intact.
    """

    def __init__(self, path: Path, run: ArchiveRun) -> None:
        self.path = path
        self._run = run
        self._file: FileIO | None = None

    def __enter__(self) -> Self:
        make_folder(self.path.parent)
        try:
            self._file = FileIO(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666), "r+")
            self._lock()
            self._file.seek(_whole_bytes(self._file))
            self._file.truncate()
        except OSError as error:
            self._close()
            if error.errno in (errno.EWOULDBLOCK, errno.EACCES) and isinstance(error, BlockingIOError):
                raise OutputError(
                    f"{self.path}: another run is writing to it; wait for it, or give each process its own --shard"
                ) from None
            raise OutputError(f"{self.path}: cannot be written: {error.strerror or error}") from None
        try:
            self._append(run_line(self._run))
        except BaseException:
            self._close()
            raise
        return self

    def add(self, entry: Entry) -> None:
        """Append what became of an input."""
        self._append(entry.as_line())

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        status = "complete" if error is None else "interrupted" if isinstance(error, KeyboardInterrupt) else "failed"
        try:
            self._append(_line({"type": "end", "status": status}))
        except WriteError:
            if error is None:
                raise
        finally:
            self._close()

    def _lock(self) -> None:
        assert self._file is not None
        try:
            fcntl.flock(self._file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise
        except OSError:  # a file system without locks
            return

    def _append(self, line: bytes) -> None:
        assert self._file is not None
        begin, written = self._file.tell(), 0
        try:
            while written < len(line):
                written += self._file.write(line[written:]) or 0
        except OSError as error:
            with suppress(OSError):
                self._file.truncate(begin)
                self._file.seek(begin)
            raise WriteError(f"{self.path}: could not be written: {error.strerror or error}") from error

    def _close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


def run_line(run: ArchiveRun) -> bytes:
    """Return the line of a run."""
    return _line({"type": "run", "schema": SCHEMA, **asdict(run)})


def end_line() -> bytes:
    """Return the last line of a complete manifest."""
    return _line({"type": "end", "status": "complete"})


def milliseconds_now() -> int:
    """Return the time for `Entry.at`."""
    return time.time_ns() // 1_000_000


def keys_sha256(keys: Iterable[str]) -> str:
    """Return the SHA-256 of the keys of all inputs, in any order."""
    import hashlib

    return hashlib.sha256("".join(sorted(keys)).encode()).hexdigest()


def _line(record: Mapping[str, object]) -> bytes:
    # Names of files that are not UTF-8 hold surrogates, which JSON writes as escapes.
    text = json.dumps(record, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    try:
        return text.encode() + b"\n"
    except UnicodeEncodeError:
        return json.dumps(record, allow_nan=False, separators=(",", ":")).encode() + b"\n"


def _lines(path: Path) -> Iterator[tuple[bytes, int]]:
    """Yield the lines of a manifest with their numbers, without an incomplete last one."""
    try:
        with path.open("rb") as file:
            number = 0
            while line := file.readline(_LONGEST_LINE):
                number += 1
                if not line.endswith(b"\n"):
                    if len(line) == _LONGEST_LINE:
                        raise _not_ours(path, number, "it is too long")
                    return
                yield line, number
    except OSError as error:
        raise ArchiveError(f"{path}: the manifest cannot be read: {error.strerror or error}") from None


def _record(line: bytes, path: Path, number: int) -> Entry | ArchiveRun | str:
    """Parse a line; the end of a run is its status."""
    try:
        found = json.loads(line)
        kind = found.pop("type")
        if kind == "end":
            return str(found["status"])
        if kind == "run":
            if found.pop("schema") != SCHEMA:
                raise _not_ours(path, number, "it is of a newer version of yolo3")
            return ArchiveRun(**_known(ArchiveRun, found))
        if kind == "input":
            notes = tuple(map(str, found.pop("notes", ())))
            entry = Entry(**_known(Entry, {**found, "state": State(found["state"])}), notes=notes)
            int(entry.key, 16)
            return entry
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise _not_ours(path, number, f"found {line[:60]!r}") from None
    raise _not_ours(path, number, f"its type is {str(kind)[:60]!r}")


def _known(kind: type[Any], found: dict[str, Any]) -> dict[str, Any]:
    names = {field.name for field in fields(kind)}
    return {name: value for name, value in found.items() if name in names}


def _not_ours(path: Path, number: int, what: str) -> ArchiveError:
    return ArchiveError(
        f"{path}: line {number} is not a line of a manifest: {what}; expected an object of type run, input or end. "
        "Remove the line: the inputs that have none are looked at again"
    )


def _whole_bytes(file: FileIO) -> int:
    """Return the bytes up to the end of the last complete line."""
    end = file.seek(0, os.SEEK_END)
    while end > 0:
        begin = max(0, end - 65536)
        file.seek(begin)
        last = (file.read(end - begin) or b"").rfind(b"\n")
        if last >= 0:
            return begin + last + 1
        end = begin
    return 0
