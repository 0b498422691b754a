"""Check that the images of a dataset open, and their sizes."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from PIL import Image

from detector.datasets.examples import Example, Problems
from detector.images.reading import MAX_PIXELS, picture_formats

_ORIENTATION_TAG = 0x0112
_TURNED = (5, 6, 7, 8)


def check_pictures(
    examples: Sequence[Example], problems: Problems, progress: Callable[[Iterable[Any]], Iterable[Any]] = iter
) -> set[Path]:
    """Decode every image, JPEG at an eighth of its size, and add those that fail to `problems`.

    An image whose size differs from the one that its labels state is a problem too. Return the paths of such images.
    """
    damaged = set()
    stated = {example.path: example.size for example in examples}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns about unusual metadata
        with ThreadPoolExecutor() as pool:
            checked = pool.map(_reason, stated, stated.values())
            for path, reason in zip(stated, progress(checked), strict=False):
                if reason:
                    problems.add(path, reason)
                    damaged.add(path)
    return damaged


def displayed_size(path: Path) -> tuple[int, int]:
    """Return width and height of an image as displayed, with EXIF rotation applied."""
    with Image.open(path, formats=picture_formats()) as image:
        return _displayed_size(image)


def _displayed_size(image: Image.Image) -> tuple[int, int]:
    turned = image.getexif().get(_ORIENTATION_TAG, 1) in _TURNED
    return (image.height, image.width) if turned else (image.width, image.height)


def _reason(path: Path, stated: tuple[int, int] | None) -> str:
    """Return why an image cannot be used, or an empty string."""
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
    if stated is not None and size != stated:
        return f"the picture is {size[0]}x{size[1]} as displayed; its labels are for {stated[0]}x{stated[1]}"
    return ""
