"""Place labels in free space, so that they hide neither one another nor the boxes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

Box = tuple[int, int, int, int]
"""Left, top, right, bottom in whole pixels."""

MOST_COVERED = 0.4
"""Maximum fraction of a box that labels may cover together."""


class FreeSpace:
    """The free space of an image for labels.

    `boxes` are (n, 4) left, top, right, bottom in pixels within the image, each with an area; at most `most_labels`
    labels are placed.
    """

    def __init__(self, boxes: NDArray[np.intp], *, most_labels: int) -> None:
        # Boxes and the labels placed so far, in one array: a box may be covered in part, a label not at all.
        self._count = len(boxes)
        self._things = np.zeros((len(boxes) + most_labels, 4), np.float64)
        self._things[: len(boxes)] = boxes
        sides = self._things[:, 2:] - self._things[:, :2]
        self._room = MOST_COVERED * sides.prod(axis=1)

    def take(self, places: Iterable[Box]) -> Box | None:
        """Return the first place that covers no label and not too much of any box; None if there is none."""
        for place in places:
            things = self._things[: self._count]
            sides = np.minimum(things[:, 2:], place[2:]) - np.maximum(things[:, :2], place[:2])
            covered = np.maximum(sides, 0).prod(axis=1)
            if (covered <= self._room[: self._count]).all():
                self._room[: self._count] -= covered
                self._things[self._count] = place
                self._count += 1
                return place
        return None


def label_places(box: Box, width: int, height: int, picture_width: int, picture_height: int) -> Iterator[Box]:
    """Yield the possible places for a label of this size, the best first: at a corner of its box, within the image."""
    left, top, right, bottom = box
    column, right_end = min(left, picture_width - width), max(0, right - width)
    above, below, inside = top - height, bottom, min(top, picture_height - height)
    places = []
    if above >= 0:
        places.append((column, above))
    places.append((column, inside))
    if above >= 0:
        places.append((right_end, above))
    places.append((right_end, inside))
    if below + height <= picture_height:
        places.append((column, below))
    places.append((column, max(0, bottom - height)))
    middle = min(max(0, (top + bottom - height) // 2), picture_height - height)
    places += [(x, y) for x in (right, left - width) for y in (inside, middle) if 0 <= x <= picture_width - width]
    if below + height <= picture_height:
        places.append((right_end, below))
    for x, y in dict.fromkeys(places):
        yield x, y, x + width, y + height


def corner_places(width: int, height: int, picture_width: int, picture_height: int) -> Iterator[Box]:
    """Yield the corners of an image, for elements that belong to no box."""
    for y in (picture_height - height, 0):
        for x in (0, picture_width - width):
            yield x, y, x + width, y + height
