"""Check that the images of a dataset open, and their sizes."""

from __future__ import annotations

import itertools
import os
import warnings
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from detector.datasets.check_cache import CheckCache, FileState
from detector.datasets.examples import Example, Problems
from detector.images.reading import MAX_PIXELS, picture_formats

_CHUNK = 16
"""Images that a thread takes at a time: handing over small ones one by one takes as long as decoding them."""

_ORIENTATION_TAG = 0x0112
_TURNED = (5, 6, 7, 8)


@dataclass(frozen=True)
class CheckedPictures:
    """The images that open, and those that do not."""

    sizes: dict[Path, tuple[int, int]]
    """Width and height of each good image as displayed."""

    damaged: set[Path]


def check_pictures(
    examples: Sequence[Example],
    problems: Problems,
    progress: Callable[[Iterable[Any]], Iterable[Any]] = iter,
    cache: CheckCache | None = None,
) -> CheckedPictures:
    """Decode every image, JPEG at an eighth of its size, and add those that fail to `problems`.

    An image whose size differs from the one that its labels state fails too. Those that `cache` knows are not decoded.
    """
    stated = {example.path: example.size for example in examples}
    checked = CheckedPictures({}, set())
    states = {path: _state(path) for path in stated} if cache else {}
    unknown = []
    for path in stated:
        state = states.get(path)
        size = cache.size(_key(path), state) if cache and state else None
        if size is None:
            unknown.append(path)
        else:
            _add(path, size, stated[path], checked, problems)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns about unusual metadata
        with ThreadPoolExecutor() as pool:
            try:
                chunks = [unknown[first : first + _CHUNK] for first in range(0, len(unknown), _CHUNK)]
                sizes = itertools.chain.from_iterable(pool.map(_opened_sizes, chunks))
                for path, size in zip(unknown, progress(sizes), strict=False):
                    _add(path, size, stated[path], checked, problems)
                    if cache and not isinstance(size, str) and (state := states[path]):
                        cache.add(_key(path), state, size)
            finally:  # also after Ctrl-C: what was decoded need not be again
                pool.shutdown(wait=False, cancel_futures=True)
                if cache:
                    cache.save()
    return checked


def displayed_size(path: Path) -> tuple[int, int]:
    """Return width and height of an image as displayed, with EXIF rotation applied."""
    with Image.open(path, formats=picture_formats()) as image:
        return _displayed_size(image)


def size_of(example: Example) -> tuple[int, int]:
    """Return the size of an example's image: the one that is known, otherwise the file's."""
    return example.size or displayed_size(example.path)


def _displayed_size(image: Image.Image) -> tuple[int, int]:
    turned = image.getexif().get(_ORIENTATION_TAG, 1) in _TURNED
    return (image.height, image.width) if turned else (image.width, image.height)


def _add(
    path: Path,
    size: tuple[int, int] | str,
    stated: tuple[int, int] | None,
    checked: CheckedPictures,
    problems: Problems,
) -> None:
    """Sort an image by its size, or the reason why it does not open."""
    if not isinstance(size, str) and stated in (None, size):
        checked.sizes[path] = size
        return
    checked.damaged.add(path)
    if isinstance(size, str):
        problems.add(path, size)
    elif stated is not None:
        shown = f"{size[0]}x{size[1]} as displayed; its labels are for {stated[0]}x{stated[1]}"
        problems.add(path, f"the picture is {shown}")


def _key(path: Path) -> str:
    """Return the path by which the cache knows an image."""
    text = str(path)
    return text if text.startswith("/") else str(path.absolute())


def _state(path: Path) -> FileState | None:
    try:
        found = os.stat(path)  # noqa: PTH116 - twice as fast as Path.stat
    except (OSError, ValueError):
        return None
    return found.st_size, found.st_mtime_ns


def _opened_sizes(paths: Sequence[Path]) -> list[tuple[int, int] | str]:
    return [_opened_size(path) for path in paths]


def _opened_size(path: Path) -> tuple[int, int] | str:
    """Return width and height of an image as displayed, or why it cannot be used."""
    try:
        with Image.open(path, formats=picture_formats()) as image:
            size = _displayed_size(image)
            if size[0] * size[1] > MAX_PIXELS:
                return f"the picture is too large ({size[0]}x{size[1]}; expected at most {MAX_PIXELS} pixels)"
            image.draft("RGB", (max(1, image.width // 8), max(1, image.height // 8)))
            image.load()
    except FileNotFoundError:
        return "no such picture"
    except Exception as error:  # noqa: BLE001 - decoders fail in as many ways as files can be broken
        return f"the picture does not open ({' '.join(str(error).split())})"
    return size
