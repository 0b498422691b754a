"""Compute how many overlapping tiles an image is cut into, and their positions."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from detector.errors import SettingsError

View = tuple[int, int, int, int]
"""A part of an image: left, top, right, bottom in its pixels."""

MOST_TILES = 256
"""Maximum tiles per image; more would take minutes."""

LARGEST_REDUCTION = 2.0
"""The strongest reduction of a tile to the network's input that `auto` allows."""


@dataclass(frozen=True)
class Tiles:
    """How to cut images: `columns` x `rows` tiles, or as many as the image's size requires when both are 0.

    Raise `SettingsError` for values out of range.
    """

    columns: int = 0
    rows: int = 0
    overlap: float = 0.2
    """Fraction of a tile's width and height shared with its neighbour, 0 to 0.9."""

    def __post_init__(self) -> None:
        if (self.columns, self.rows) != (0, 0) and not (
            self.columns >= 1 and self.rows >= 1 and self.columns * self.rows <= MOST_TILES
        ):
            raise SettingsError(
                f"tiles {self.columns}x{self.rows} is out of range; expected 1x1 to {MOST_TILES} tiles in all"
            )
        if not 0 <= self.overlap <= 0.9:
            raise SettingsError(f"tile overlap {self.overlap} is out of range; expected 0 to 0.9")

    @classmethod
    def parse(cls, text: str, overlap: float = 0.2) -> Tiles:
        """Parse `2x2` (columns x rows) or `auto`; raise `SettingsError` for anything else."""
        if text == "auto":
            return cls(overlap=overlap)
        match = re.fullmatch(r"([0-9]{1,3})x([0-9]{1,3})", text)
        if match is None or not int(match[1]) * int(match[2]):
            raise SettingsError(
                f"tiles {text!r} is not a number of tiles; expected columns x rows, such as 2x2, or auto"
            )
        return cls(int(match[1]), int(match[2]), overlap)

    def __str__(self) -> str:
        return f"{self.columns}x{self.rows}" if self.columns else "auto"

    def views(self, width: int, height: int, *, input_width: int, input_height: int) -> list[View]:
        """Return the tiles of an image, row by row; edges are even, as images with halved chroma planes need.

        `input_width` and `input_height` are the network's input in pixels, which `auto` uses.
        """
        columns, rows = self.columns, self.rows
        if not columns:
            columns = _needed(width, input_width, self.overlap)
            rows = _needed(height, input_height, self.overlap)
            while columns * rows > MOST_TILES:
                columns, rows = (columns - 1, rows) if columns >= rows else (columns, rows - 1)
        across, down = _spans(width, columns, self.overlap), _spans(height, rows, self.overlap)
        return [(left, top, right, bottom) for top, bottom in down for left, right in across]


def _needed(side: int, network_side: int, overlap: float) -> int:
    """Return how many tiles a side needs so that none exceeds the network's side times the strongest reduction."""
    longest = network_side * LARGEST_REDUCTION
    return 1 if side <= longest else math.ceil((side / longest - overlap) / (1 - overlap))


def _spans(side: int, count: int, overlap: float) -> list[tuple[int, int]]:
    """Return start and end of each of `count` tiles of equal length along a side of an image."""
    count = max(1, min(count, side // 4))
    length = side / (count - (count - 1) * overlap)
    begins = [2 * round(index * length * (1 - overlap) / 2) for index in range(count)]
    ends = [min(side, 2 * math.ceil((begin + length) / 2 - 1e-6)) for begin in begins]
    return list(zip(begins, [*ends[:-1], side], strict=True))
