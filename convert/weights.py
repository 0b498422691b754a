"""Read and write the .weights byte stream; the reader records what it has read.

Layout (Darknet's `load_weights_upto` and `save_weights_upto` in parser.c), little endian throughout:

    int32 major, minor, revision
    seen: int64 when major * 10 + minor >= 2 and both < 1000, else int32
    float32 …    each layer's parameters in the order of the layers

A `major` or `minor` above 1000 marks connected layers stored transposed.
"""

from __future__ import annotations

import hashlib
import math
import os
import struct
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

import numpy as np
from numpy.typing import NDArray

from convert.errors import WeightsError
from convert.recognise import check_regular

FLOAT_BYTES = 4


@dataclass(frozen=True)
class Header:
    """The first 16 or 20 bytes of a .weights file."""

    major: int = 0
    minor: int = 2
    revision: int = 5
    seen: int = 0
    """Training images seen."""

    @property
    def long_seen(self) -> bool:
        """Whether `seen` takes 8 bytes rather than 4."""
        return self.major * 10 + self.minor >= 2 and self.major < 1000 and self.minor < 1000

    @property
    def transposed(self) -> bool:
        """Whether connected layers are stored input by output."""
        return self.major > 1000 or self.minor > 1000

    @property
    def size_bytes(self) -> int:
        """Size in bytes: 20, or 16 for files older than version 0.2."""
        return 20 if self.long_seen else 16

    def check(self) -> None:
        """Raise `ValueError` for numbers that do not fit in a file."""
        try:
            self.pack()
        except (struct.error, TypeError) as error:
            raise ValueError(f"a weights header of {self} cannot be written ({error})") from None

    def pack(self) -> bytes:
        """Return the header as stored in a file."""
        seen = struct.pack("<Q" if self.long_seen else "<I", self.seen)
        return struct.pack("<iii", self.major, self.minor, self.revision) + seen

    @classmethod
    def unpack(cls, data: bytes, path: str = "weights") -> Header:
        """Read a header from a file's first bytes; raise `WeightsError` when there are too few."""
        if len(data) >= 12:
            major, minor, revision = struct.unpack_from("<iii", data)
            header = cls(major, minor, revision)
            if len(data) >= header.size_bytes:
                (seen,) = struct.unpack_from("<Q" if header.long_seen else "<I", data, 12)
                return cls(major, minor, revision, seen)
        raise WeightsError(
            f"{path}: {len(data)} bytes; expected a header of 16 or 20 bytes followed by floats. The download was "
            "probably truncated: fetch the file again"
        )


@dataclass(frozen=True)
class Entry:
    """The position of one parameter in the file."""

    layer: str
    parameter: str
    offset_bytes: int
    count: int


@dataclass
class WeightsReader:
    """Reads floats in order and keeps a ledger of the parameters they belong to.

    A context manager: `with WeightsReader.open(path) as weights: weights.take("layer 0", "biases", (16,))`.
    """

    path: str
    header: Header
    total: int
    """Number of floats in the file."""

    odd_bytes: int
    """Bytes at the end that do not make a whole float; 0 in an intact file."""

    _file: BinaryIO
    taken: int = 0
    """Number of floats read so far."""

    ledger: list[Entry] = field(default_factory=list)
    _ahead: NDArray[np.float32] | None = None
    _digest: hashlib._Hash = field(default_factory=hashlib.sha256)

    @classmethod
    def open(cls, path: Path | str) -> Self:
        """Open a .weights file and read its header; raise `WeightsError` when it is missing or too short."""
        path = Path(path)
        try:
            check_regular(path)
            file = path.open("rb")
        except OSError as error:
            raise unreadable(path, error) from None
        try:
            header = Header.unpack(file.read(20), str(path))
            file.seek(header.size_bytes)
            body = os.fstat(file.fileno()).st_size - header.size_bytes
        except WeightsError:
            file.close()
            raise
        except OSError as error:  # a pipe, for example, has no size and cannot be read twice
            file.close()
            raise unreadable(path, error) from None
        reader = cls(str(path), header, body // FLOAT_BYTES, body % FLOAT_BYTES, file)
        reader._digest.update(header.pack())
        return reader

    @property
    def sha256(self) -> str:
        """SHA-256 of what has been read: of the whole file once all floats of an intact file are read."""
        return self._digest.hexdigest()

    def read_ahead(self) -> NDArray[np.float32]:
        """Read and return all remaining floats; from now on, `take` returns views of this array."""
        self._ahead = self._read(self.total - self.taken)
        return self._ahead

    def take(self, layer: str, parameter: str, shape: tuple[int, ...]) -> NDArray[np.float32]:
        """Return the next floats as an array of `shape`; raise `WeightsError` when fewer are left."""
        count = math.prod(shape)
        offset = self.header.size_bytes + self.taken * FLOAT_BYTES
        if count > self.total - self.taken:
            raise WeightsError(
                f"{self.path}, offset {offset}: {layer} needs {count} floats for its {parameter}, "
                f"{self.total - self.taken} are left"
            )
        if self._ahead is None:
            values = self._read(count)
        else:
            values, self._ahead = self._ahead[:count], self._ahead[count:]
        self.ledger.append(Entry(layer, parameter, offset, count))
        self.taken += count
        return values.reshape(shape)

    def _read(self, count: int) -> NDArray[np.float32]:
        offset = self._file.tell()
        values = np.fromfile(self._file, "<f4", count)
        if values.size != count:
            raise WeightsError(f"{self.path}, offset {offset}: the file became shorter while it was read")
        self._digest.update(values.data)
        return values.astype(np.float32, copy=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()


def write_weights(file: BinaryIO, arrays: Iterable[NDArray[np.float32]], header: Header | None = None) -> int:
    """Write a .weights stream and return the number of floats written."""
    file.write((header or Header()).pack())
    count = 0
    for array in arrays:
        file.write(np.ascontiguousarray(array, "<f4").tobytes())
        count += array.size
    return count


def unreadable(path: Path, error: OSError) -> WeightsError:
    """Return the error for a weights file that cannot be opened."""
    if isinstance(error, FileNotFoundError):
        return WeightsError(
            f"{path}: no such file; expected Darknet weights (scripts/download_weights fetches the published ones)"
        )
    return WeightsError(f"{path}: cannot be read ({error.strerror or error}); expected Darknet weights")
