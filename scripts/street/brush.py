"""Paint one object, in metres, onto a transparent sprite, antialiased."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw

Colour = tuple[int, int, int]
Point = tuple[float, float]

DARK: Colour = (38, 42, 52)
GLASS: Colour = (120, 160, 186)
_LARGE_SPRITE = 150


@dataclass(frozen=True)
class Sprite:
    """A painted object; it stands at the centre of its bottom edge, `below` pixels above it."""

    image: Image.Image
    """RGBA; pixels less than half opaque (shadows) are not part of the object."""

    light: Image.Image | None
    """Emitted RGB light, None by day."""

    below: int
    """Rows of the image below the ground line."""


class Brush:
    """Paints in metres: x from 0 (the rear) to `length` (the front), y upwards from the ground."""

    def __init__(self, length: float, height: float, scale: float, *, lit: bool = False) -> None:
        self._times = 2 if scale * max(length, height) > _LARGE_SPRITE else 4
        self._unit = scale * self._times
        self._margin = 0.25 + 2 / scale
        self._below = 0.12 + 2 / scale
        columns = math.ceil((length + 2 * self._margin) * scale)
        rows = math.ceil((height + self._margin + self._below) * scale)
        self._left = columns * self._times / 2 - length / 2 * self._unit
        self._ground = rows * self._times - math.ceil(self._below * scale) * self._times
        size = columns * self._times, rows * self._times
        self._image = Image.new("RGBA", size)
        self._draw = ImageDraw.Draw(self._image)
        self._light = Image.new("RGB", size) if lit else None
        self._glow = ImageDraw.Draw(self._light) if self._light else None

    def finish(self, *, mirrored: bool = False) -> Sprite:
        """Return the sprite, facing left if `mirrored`."""
        image = self._image.reduce(self._times)
        light = self._light.reduce(self._times) if self._light else None
        if mirrored:
            image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
            light = light.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if light else None
        return Sprite(image, light, image.height - round(self._ground / self._times))

    def shape(self, points: Sequence[Point], colour: Colour, *, soft: int = 0) -> None:
        """Fill a polygon, its corners cut `soft` times."""
        for _ in range(soft):
            points = cut_corners(points)
        self._draw.polygon([self._place(*point) for point in points], fill=colour)

    def box(self, left: float, bottom: float, right: float, top: float, colour: Colour, *, round_by: float = 0) -> None:
        """Fill a rectangle, its corners rounded by a radius."""
        area = (*self._place(left, top), *self._place(right, bottom))
        if round_by * self._unit > 1:
            self._draw.rounded_rectangle(area, round_by * self._unit, fill=colour)
        else:
            self._draw.rectangle(area, fill=colour)

    def disc(self, x: float, y: float, radius: float, colour: Colour, *, height: float | None = None) -> None:
        """Fill an ellipse; a circle unless `height`, half its own, is given."""
        height = radius if height is None else height
        self._draw.ellipse((*self._place(x - radius, y + height), *self._place(x + radius, y - height)), fill=colour)

    def ring(self, x: float, y: float, radius: float, width: float, colour: Colour) -> None:
        """A circle's outline."""
        area = (*self._place(x - radius, y + radius), *self._place(x + radius, y - radius))
        self._draw.ellipse(area, outline=colour, width=max(2, round(width * self._unit)))

    def line(self, points: Sequence[Point], width: float, colour: Colour) -> None:
        """Draw a line with round ends and joints."""
        places = [self._place(*point) for point in points]
        thick = max(2, round(width * self._unit))
        self._draw.line(places, fill=colour, width=thick, joint="curve")
        half = thick / 2
        for x, y in (places[0], places[-1]):
            self._draw.ellipse((x - half, y - half, x + half, y + half), fill=colour)

    def shadow(self, left: float, right: float) -> None:
        """Draw a soft shadow on the ground, which is not part of the object."""
        for alpha, grow in ((40, 0.12), (70, 0.0)):
            area = (*self._place(left - grow, 0.08 + grow / 2), *self._place(right + grow, -0.08 - grow / 2))
            self._draw.ellipse(area, fill=(12, 14, 24, alpha))

    def shine(self, left: float, bottom: float, right: float, top: float, colour: Colour) -> None:
        """Draw an ellipse of light, visible at dusk and night."""
        if self._glow:
            self._glow.ellipse((*self._place(left, top), *self._place(right, bottom)), fill=colour)

    def shine_box(self, left: float, bottom: float, right: float, top: float, colour: Colour) -> None:
        """Draw a rectangle of light, visible at dusk and night."""
        if self._glow:
            self._glow.rectangle((*self._place(left, top), *self._place(right, bottom)), fill=colour)

    def _place(self, x: float, y: float) -> Point:
        return self._left + x * self._unit, self._ground - y * self._unit


def cut_corners(points: Sequence[Point]) -> list[Point]:
    """Return a smoother polygon: each corner replaced by two points on its sides (Chaikin's scheme)."""
    cut: list[Point] = []
    for (x, y), (next_x, next_y) in zip(points, [*points[1:], points[0]], strict=True):
        cut.append((x * 0.75 + next_x * 0.25, y * 0.75 + next_y * 0.25))
        cut.append((x * 0.25 + next_x * 0.75, y * 0.25 + next_y * 0.75))
    return cut


def mix(one: Colour, other: Colour, part: float) -> Colour:
    """Return a mix of two colours; `part` is the fraction of the second."""
    red, green, blue = (round(a + (b - a) * part) for a, b in zip(one, other, strict=True))
    return red, green, blue


def shade(colour: Colour, by: float) -> Colour:
    """Return a darker colour (`by` below 0, to -1 for black) or a lighter one (to 1 for white)."""
    return mix(colour, (0, 0, 0) if by < 0 else (255, 255, 255), abs(by))
