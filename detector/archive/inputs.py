"""Find the videos and pictures of an archive, and give each a name for its results that depends on it alone."""

from __future__ import annotations

import glob
import hashlib
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from detector.archive.remote import find_remote, is_remote
from detector.errors import ArchiveError, SettingsError
from detector.images.addresses import without_credentials
from detector.images.finding import output_name
from detector.images.signatures import PICTURE_SUFFIXES
from detector.pipeline.batch import VIDEO_SUFFIXES

KEY_DIGITS = 12
_LONGEST_STEM_BYTES = 180
"""Leaves room in a file name of 255 bytes for the key and the suffixes of unfinished files."""

_ANIMATED = (".gif", ".png", ".apng", ".webp", ".avif")


@dataclass(frozen=True, slots=True)
class ArchiveInput:
    """One video or picture."""

    source: str
    """A path as the user named it, or an address."""

    key: str
    """Digits of the SHA-256 of its absolute path, or of its address without credentials."""

    @property
    def name(self) -> str:
        """The name of its results without a suffix: distinct for distinct inputs, whatever else is in the archive."""
        stem = Path(output_name(f"http://{self.source.partition('://')[2]}") if self.remote else self.source).stem
        return f"{os.fsdecode(os.fsencode(stem)[:_LONGEST_STEM_BYTES])}-{self.key}"

    @property
    def shown(self) -> str:
        """The source for messages and manifests, without credentials."""
        return without_credentials(self.source)

    @property
    def remote(self) -> bool:
        """Whether it is fetched from an address."""
        return is_remote(self.source)

    @property
    def suffix(self) -> str:
        """The suffix of its file name in lower case."""
        path = re.sub(r"[?#].*", "", self.source, flags=re.DOTALL) if self.remote else self.source
        return Path(path).suffix.lower()

    @property
    def named_as_picture(self) -> bool:
        """Whether its suffix is that of a picture."""
        return self.suffix in PICTURE_SUFFIXES

    @property
    def stamp(self) -> str:
        """Size and time of change of its file, from which a changed one is known; empty for an address."""
        try:
            found = Path(self.source).stat()
        except (OSError, ValueError):
            return ""
        return f"{found.st_size}@{found.st_mtime_ns}"


def is_animated(path: str | os.PathLike[str]) -> bool:
    """Return whether a picture file holds an animation, which is processed as a video."""
    if Path(path).suffix.lower() not in _ANIMATED:
        return False
    from PIL import Image

    try:
        with Image.open(path) as picture:
            return bool(getattr(picture, "is_animated", False))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return False


def find_inputs(arguments: Sequence[str], *, out: Path, listed: Iterable[str] = ()) -> list[ArchiveInput]:
    """Return the inputs in a fixed order, each once.

    A folder stands for all videos and pictures in it and in its subfolders, without hidden files; a pattern for what it
    matches; an address that ends in a slash or holds a pattern for what is there. Names in `listed` are taken as they
    are. A missing file stays in the list and fails when its turn comes. Raise `SettingsError` for an argument that
    stands for nothing, `ArchiveError` for an input in the folder of results.
    """
    results = os.path.realpath(out)
    found: dict[str, ArchiveInput] = {}
    for source, identity in _sources(arguments, listed, results):
        if identity.startswith(results + os.sep):
            raise ArchiveError(f"{out}: holds {source}, one of the inputs; name another folder for the results")
        key = hashlib.sha256(os.fsencode(identity)).hexdigest()[:KEY_DIGITS]
        before = found.setdefault(key, ArchiveInput(source, key))
        if before.source != source and _identity(before.source) != identity:
            raise ArchiveError(f"{source}: its key {key} is that of {before.source}; process one of them by itself")
    return list(found.values())


def read_list(path: Path) -> list[str]:
    """Return the lines of a list of inputs, without empty ones. Raise `SettingsError`."""
    try:
        text = Path("/dev/stdin" if str(path) == "-" else path).read_bytes()
    except OSError as error:
        raise SettingsError(f"{path}: the list cannot be read: {error.strerror or error}") from None
    lines = [os.fsdecode(line) for line in text.splitlines() if line.strip()]
    if not lines:
        raise SettingsError(f"{path}: lists nothing; expected a video or picture on each line")
    for number, line in enumerate(lines, 1):
        if "\0" in line:
            raise SettingsError(f"{path}: line {number} holds a null byte; expected a list of names, one on each line")
    return lines


def _sources(arguments: Sequence[str], listed: Iterable[str], results: str) -> Iterator[tuple[str, str]]:
    """Yield the sources and what identifies them."""
    for argument in arguments:
        if is_remote(argument):
            yield from ((address, _identity(address)) for address in find_remote(argument))
        elif os.path.isdir(argument):  # noqa: PTH112 - answers False where Path raises
            yield from _in_folder(argument, results)
        elif glob.has_magic(argument) and not os.path.lexists(argument):
            yield from _matching(argument, results)
        else:
            yield argument, _identity(argument)
    for line in listed:
        yield line, _identity(line)


def _identity(source: str) -> str:
    return without_credentials(source) if is_remote(source) else os.path.realpath(source)


def _matching(pattern: str, results: str) -> Iterator[tuple[str, str]]:
    matches = sorted(glob.glob(pattern, recursive=True), key=_natural)  # noqa: PTH207 - takes absolute patterns
    if not matches:
        raise SettingsError(f"{pattern}: no file of this name, and nothing matches it as a pattern")
    for match in matches:
        if not Path(match).is_dir() and _is_ours(match):
            yield match, _identity(match)


def _in_folder(folder: str, results: str) -> Iterator[tuple[str, str]]:
    """Yield the videos and pictures of a folder and its subfolders, in natural order."""

    def fail(error: OSError) -> None:
        raise ArchiveError(f"{error.filename}: the folder cannot be read: {error.strerror or error}")

    root, empty = os.path.realpath(folder), True
    for place, folders, files in os.walk(folder, onerror=fail):
        real = os.path.normpath(os.path.join(root, os.path.relpath(place, folder)))  # noqa: PTH118
        folders[:] = sorted(
            (name for name in folders if not name.startswith(".") and os.path.join(real, name) != results),  # noqa: PTH118
            key=_natural,
        )
        for name in sorted(filter(_is_ours, files), key=_natural):
            if not name.startswith("."):
                empty = False
                yield os.path.join(place, name), os.path.join(real, name)  # noqa: PTH118 - a million of them
    if empty:
        raise SettingsError(f"{folder}: holds no video and no picture; name other files or folders")


def _is_ours(name: str) -> bool:
    suffix = os.path.splitext(name)[1].lower()  # noqa: PTH122 - a million of them
    return suffix in VIDEO_SUFFIXES or suffix in PICTURE_SUFFIXES


def _natural(path: str) -> list[tuple[str, int]]:
    """Return a sort key that compares digits as numbers."""
    return [(text, int(digits or 0)) for text, digits in re.findall(r"(\D*)(\d*)", path.casefold())]
