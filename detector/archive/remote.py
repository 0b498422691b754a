"""Find and fetch inputs at addresses (s3://, gs://, http://, …) through fsspec, the extra `remote`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from detector.errors import SettingsError, VideoError
from detector.images.addresses import without_credentials
from detector.images.signatures import PICTURE_SUFFIXES
from detector.pipeline.batch import VIDEO_SUFFIXES

_ADDRESS = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*://")
_PATTERN = re.compile(r"[*\[]")


def is_remote(source: str) -> bool:
    """Return whether this is an address rather than a path."""
    return bool(_ADDRESS.match(source))


def find_remote(address: str) -> list[str]:
    """Return the videos and pictures that an address stands for: itself, what is below `…/`, what a pattern matches.

    Raise `SettingsError` if there are none, or the package for such addresses is missing.
    """
    path = address.partition("://")[2].partition("?")[0]
    pattern = _PATTERN.search(path)
    if not pattern and not address.endswith("/"):
        return [address]
    system, place = _opened(address)
    try:
        names = system.glob(place) if pattern else system.find(place)
    except Exception as error:  # noqa: BLE001 - each storage has errors of its own
        raise SettingsError(f"{without_credentials(address)}: cannot be listed: {_reason(error)}") from None
    ours = (*VIDEO_SUFFIXES, *PICTURE_SUFFIXES)
    found = [str(system.unstrip_protocol(name)) for name in sorted(names) if name.lower().endswith(ours)]
    if not found:
        raise SettingsError(f"{without_credentials(address)}: holds no video and no picture")
    return found


@contextmanager
def fetched(address: str) -> Iterator[Path]:
    """Yield a temporary local copy of the file at an address. Raise `VideoError` if it cannot be fetched."""
    system, place = _opened(address)
    name = re.sub(r"[^\w.-]", "_", place.rstrip("/").rpartition("/")[2].partition("?")[0])[-100:] or "input"
    with TemporaryDirectory(prefix="yolo3-archive-") as folder:
        copy = Path(folder) / name
        try:
            system.get_file(place, str(copy))
        except Exception as error:  # noqa: BLE001 - each storage has errors of its own
            raise VideoError(f"{without_credentials(address)}: cannot be fetched: {_reason(error)}") from None
        yield copy


def _opened(address: str) -> tuple[Any, str]:
    """Return the file system that an address names, and the path in it."""
    try:
        import fsspec
    except ImportError:
        raise SettingsError(
            f"{without_credentials(address)}: addresses need fsspec; type: pip install -e '.[remote]'"
        ) from None
    try:
        system, place = fsspec.core.url_to_fs(address)
    except ImportError as error:
        raise SettingsError(f"{without_credentials(address)}: a package is missing: {error}") from None
    except ValueError as error:
        raise SettingsError(f"{without_credentials(address)}: cannot be opened: {error}") from None
    return system, str(place)


def _reason(error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return "no such file"
    return without_credentials(str(error) or type(error).__name__)
