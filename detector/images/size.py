"""Represent the width and height of an image or of a network's input."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from detector.errors import SettingsError

_MOST_DIGITS = 5


class Size(NamedTuple):
    """Width and height in pixels, in that order."""

    width: int
    height: int

    def __str__(self) -> str:
        return f"{self.width}x{self.height}"

    @property
    def pixels(self) -> int:
        """Number of pixels."""
        return self.width * self.height


def parse_size(size: str | int | Sequence[int]) -> Size:
    """Return the size that `416`, `"416"`, `"608x352"` or `(608, 352)` stands for; raise `SettingsError` otherwise.

    One number is a square. Of two, the width comes first.
    """
    if isinstance(size, str):
        match = re.fullmatch(rf"([0-9]{{1,{_MOST_DIGITS}}})(?:x([0-9]{{1,{_MOST_DIGITS}}}))?", size)
        sides = [int(side) for side in match.groups() if side] if match else []
    elif isinstance(size, int):
        sides = [size]
    else:
        sides = list(size)
    if len(sides) not in (1, 2) or not all(isinstance(side, int) and 0 < side < 10**_MOST_DIGITS for side in sides):
        raise SettingsError(f"size {size!r} is not a size; expected pixels, such as 416 or 608x352 (width x height)")
    return Size(sides[0], sides[-1])
