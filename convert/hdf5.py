"""Read HDF5 files that may be damaged or malicious.

HDF5 lets a file refer to others, claim more content than it has, and compress terabytes into kilobytes. Keras writes
none of that, so none of it is accepted: every number that is read is stored in the file itself, uncompressed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from convert.errors import ModelFileError
from convert.recognise import check_regular, recognise

SIGNATURE = b"\x89HDF\r\n\x1a\n"
EXPECTED = "expected a model made by `yolo3 convert`"

MOST_OBJECTS = 100_000
"""Maximum groups and datasets in a file. YOLOv3's has 600."""

MOST_TEXT_BYTES = 2 << 30
"""Maximum total bytes of the texts of one attribute. Several of them can refer to the same bytes."""

HEAP = b"GCOL\x01\0\0\0"
"""The signature of a heap of variable-length texts; its size in bytes follows."""

_WINDOW = 4 * 1024 * 1024
"""Bytes that are searched at a time."""

_OBJECT_HEAD = 16
"""Bytes of number, references and size before each text in a heap."""

_ATTRIBUTES = (h5py.h5t.STRING, h5py.h5t.INTEGER, h5py.h5t.FLOAT, h5py.h5t.ENUM)

DAMAGE = (
    AttributeError,
    IndexError,
    KeyError,
    MemoryError,
    OSError,
    OverflowError,
    RuntimeError,
    TypeError,
    ValueError,
)
"""The exceptions that h5py raises for a damaged file."""


@contextmanager
def opened(path: Path | str) -> Iterator[h5py.File]:
    """Open an .h5 file for reading; raise `ModelFileError` if it cannot be opened or read in the block."""
    path = Path(path)
    try:
        check_regular(path)
        with path.open("rb") as raw:
            start = raw.read(4096)
    except FileNotFoundError:
        raise ModelFileError(
            f"{path}: no such file; expected a model made by `yolo3 convert CFG WEIGHTS {path.name}`"
        ) from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        what = "a folder" if isinstance(error, IsADirectoryError) else f"cannot be read ({reason})"
        raise ModelFileError(f"{path}: {what}; {EXPECTED}") from None
    try:
        file = h5py.File(path, "r")
    except DAMAGE as error:
        damaged = f"damaged or truncated ({first_line(error)})"
        found = damaged if start.startswith(SIGNATURE) else recognise(start) or "not an HDF5 file"
        raise ModelFileError(f"{path}: {found}; {EXPECTED}") from None
    try:
        with file:
            _check_heaps(path)
            _attribute_sizes(file, file, path.stat().st_size)
            yield file
    except DAMAGE as error:
        raise ModelFileError(f"{path}: damaged ({first_line(error)}); convert the network again") from None


def text_attribute(file: h5py.File, name: str) -> str | None:
    """A text that is an attribute of the file; None where there is none.

    Raises `ModelFileError` for an attribute of another type, as damage may make of it: HDF5 crashes on some of those.
    """
    if name not in file.attrs:
        return None
    attribute = h5py.h5a.open(file.id, name.encode())
    if attribute.get_type().get_class() != h5py.h5t.STRING or attribute.get_space().get_simple_extent_npoints() != 1:
        raise ModelFileError(f"{file.filename}: the attribute {name} is no text; convert the network again")
    text = file.attrs[name]
    return text.decode("utf-8", "replace") if isinstance(text, bytes) else str(text)


def check_storage(file: h5py.File) -> list[h5py.Dataset]:
    """Return all arrays of the file; raise `ModelFileError` unless each is stored in it, uncompressed and only once."""
    size = Path(file.filename).stat().st_size
    longest = size  # of a variable-length text
    numbers, texts = 0, _attribute_sizes(file, file, size)
    arrays = []
    for item in _objects(file):
        texts = max(texts, _attribute_sizes(item, file, size))
        if isinstance(item, h5py.Dataset):
            numbers += _stored_bytes(item, file)
            arrays.append(item)
    if numbers > size:
        raise ModelFileError(f"{file.filename}: claims to contain more numbers than it has bytes; {EXPECTED}")
    if texts * longest > MOST_TEXT_BYTES:
        longest = _largest_heap(Path(file.filename))
    if texts * longest > MOST_TEXT_BYTES:
        raise ModelFileError(f"{file.filename}: claims to contain {texts} texts of {longest} bytes each; {EXPECTED}")
    return arrays


def _objects(file: h5py.File) -> Iterator[Any]:
    """Yield all groups and datasets below the root; raise `ModelFileError` for links out of the file or in a circle."""
    seen = {h5py.h5o.get_info(file.id).addr}
    left = [file["/"]]
    while left:
        group = left.pop()
        for name in sorted(group):
            link = group.get(name, getlink=True)
            where = f"{group.name.rstrip('/')}/{name}"
            if not isinstance(link, h5py.HardLink):
                raise ModelFileError(f"{file.filename}: {where} is a link to another location; {EXPECTED}")
            item = group[name]
            address = h5py.h5o.get_info(item.id).addr
            if address in seen or len(seen) > MOST_OBJECTS:
                what = "is stored twice" if address in seen else "is one object too many"
                raise ModelFileError(f"{file.filename}: {where} {what}; {EXPECTED}")
            seen.add(address)
            if isinstance(item, h5py.Group):
                left.append(item)
            elif not isinstance(item, h5py.Dataset):
                raise ModelFileError(f"{file.filename}: {where} is not an array; {EXPECTED}")
            yield item


def content_sha256(file: h5py.File, arrays: Iterable[h5py.Dataset], texts: tuple[str, ...]) -> str:
    """Return the SHA-256 of arrays, with their names, kinds and shapes, and of the root attributes `texts`."""
    digest = hashlib.sha256()
    for text in texts:
        digest.update(json.dumps([text, str(text_attribute(file, text))]).encode())
    for item in sorted(arrays, key=lambda item: str(item.name)):
        digest.update(json.dumps([item.name, item.dtype.str, item.shape]).encode())
        digest.update(np.ascontiguousarray(item[()]).data)
    return digest.hexdigest()


def first_line(error: Exception) -> str:
    """Return the first line of an error: HDF5 puts file names, times and addresses into further lines."""
    return str(error).partition("\n")[0] or type(error).__name__


def _stored_bytes(item: h5py.Dataset, file: h5py.File) -> int:
    where = f"{file.filename}: {item.name}"
    properties = item.id.get_create_plist()
    if item.external or item.is_virtual:
        raise ModelFileError(f"{where} is stored in another file; {EXPECTED}")
    if properties.get_layout() == h5py.h5d.CHUNKED or properties.get_nfilters():
        raise ModelFileError(f"{where} is stored in chunks or compressed; {EXPECTED}")
    if item.dtype.kind not in "biuf":
        raise ModelFileError(f"{where} contains {item.dtype} instead of numbers; {EXPECTED}")
    if item.id.get_storage_size() != item.nbytes:
        raise ModelFileError(f"{where} has {item.id.get_storage_size()} bytes of {item.nbytes}; {EXPECTED}")
    return int(item.nbytes)


def _attribute_sizes(item: Any, file: h5py.File, size: int) -> int:
    """Return the most variable-length texts in an attribute; raise `ModelFileError` for one larger than the file."""
    most = 0
    for name in item.attrs:
        attribute = h5py.h5a.open(item.id, name.encode("utf-8", "surrogateescape"))
        kind = attribute.get_type()
        if kind.get_class() not in _ATTRIBUTES:  # HDF5 crashes on some damaged types
            raise ModelFileError(f"{file.filename}: the attribute {name} of {item.name} is neither text nor number")
        elements = attribute.get_space().get_simple_extent_npoints()
        if elements * kind.get_size() > size:
            raise ModelFileError(
                f"{file.filename}: the attribute {name} of {item.name} claims more bytes than the file has; {EXPECTED}"
            )
        if kind.get_class() == h5py.h5t.VLEN or (kind.get_class() == h5py.h5t.STRING and kind.is_variable_str()):
            most = max(most, elements)
    return most


def _check_heaps(path: Path) -> None:
    """Raise `ValueError` for a damaged heap of texts of variable length: reading one, HDF5 can crash or never end."""
    with path.open("rb") as file:
        size = path.stat().st_size
        for at, end in _heaps(path):
            file.seek(at + 2 * len(HEAP))
            if end > size or not _is_heap(file.read(max(0, end - file.tell()))):
                raise ValueError(f"the texts at byte {at} are damaged")


def _heaps(path: Path) -> Iterator[tuple[int, int]]:
    """Yield where each heap of texts begins, and where it says that it ends.

    The file is read in windows: mapped into memory as a whole, it would count as memory of the process.
    """
    beyond = 2 * len(HEAP) - 1
    with path.open("rb") as file:
        start, window = 0, file.read(_WINDOW + beyond)
        while window:
            at = window.find(HEAP)
            while 0 <= at < _WINDOW:
                size = int.from_bytes(window[at + len(HEAP) : at + 2 * len(HEAP)], "little")
                yield start + at, start + at + size
                at = window.find(HEAP, at + 1)
            start += _WINDOW
            window = window[_WINDOW:] + file.read(_WINDOW) if len(window) > _WINDOW else b""


def _is_heap(objects: bytes) -> bool:
    """Whether the objects of a heap follow each other to its end; number 0 is the space that is left."""
    at = 0
    while at + _OBJECT_HEAD <= len(objects):
        number = int.from_bytes(objects[at : at + 2], "little")
        size = int.from_bytes(objects[at + 8 : at + _OBJECT_HEAD], "little")
        if number == 0:
            return at + size == len(objects)
        at += _OBJECT_HEAD + -(-size // 8) * 8
    return at <= len(objects)


def _largest_heap(path: Path) -> int:
    """Return the bytes of the largest heap for variable-length texts; no text can be longer."""
    return max((end - at for at, end in _heaps(path)), default=0)
