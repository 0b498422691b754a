"""Paint cars, buses, trucks and bicycles, seen from the side."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from scripts.street.brush import DARK, GLASS, Brush, Colour, Point, mix, shade

PAINTS: tuple[Colour, ...] = (
    (214, 64, 58),
    (236, 120, 60),
    (244, 190, 66),
    (92, 164, 96),
    (58, 140, 150),
    (72, 118, 196),
    (52, 66, 110),
    (150, 92, 160),
    (232, 140, 150),
    (238, 238, 234),
    (176, 182, 190),
    (92, 98, 108),
    (54, 56, 64),
    (148, 104, 74),
    (126, 196, 190),
)
BUS_PAINTS: tuple[Colour, ...] = (
    (206, 52, 50),
    (246, 186, 52),
    (60, 124, 196),
    (72, 156, 104),
    (232, 232, 226),
    (128, 84, 156),
)
HEADLIGHT: Colour = (255, 244, 200)
TAIL_LIGHT: Colour = (210, 34, 30)
WARM: Colour = (255, 214, 140)


@dataclass(frozen=True)
class Make:
    """The appearance of one vehicle."""

    length: float
    height: float
    options: Mapping[str, Any]


def _pick(rng: np.random.Generator, things: Sequence[Any]) -> Any:
    return things[int(rng.integers(len(things)))]


def make_car(rng: np.random.Generator) -> Make:
    """Return a random hatchback, saloon, estate or off-road car."""
    body = _pick(rng, ("hatch", "saloon", "estate", "suv", "mini"))
    length = {"hatch": 3.9, "saloon": 4.6, "estate": 4.6, "suv": 4.5, "mini": 3.3}[body] * rng.uniform(0.95, 1.06)
    height = {"hatch": 1.5, "saloon": 1.45, "estate": 1.5, "suv": 1.75, "mini": 1.55}[body] * rng.uniform(0.97, 1.05)
    taxi = body == "saloon" and rng.random() < 0.2
    return Make(length, height + 0.18 * taxi, {"body": body, "paint": _pick(rng, PAINTS), "taxi": taxi, "roof": height})


def make_bus(rng: np.random.Generator) -> Make:
    """Return a random city bus, sometimes with two decks."""
    double = rng.random() < 0.3
    height = 4.1 if double else 3.05
    length = rng.uniform(8.6, 9.6) if double else rng.uniform(8.8, 11.4)
    options = {
        "paint": _pick(rng, BUS_PAINTS),
        "second": _pick(rng, PAINTS),
        "double": double,
        "band": rng.random() < 0.6,
    }
    return Make(length, height, options)


def make_truck(rng: np.random.Generator) -> Make:
    """Return a random truck with a box, a tank or an open bed."""
    load = _pick(rng, ("box", "box", "tank", "bed"))
    options = {"paint": _pick(rng, PAINTS), "second": _pick(rng, PAINTS), "load": load, "stripe": rng.random() < 0.5}
    return Make(rng.uniform(6.2, 8.6), rng.uniform(2.9, 3.4), options)


def make_bicycle(rng: np.random.Generator) -> Make:
    """Return a random bicycle, sometimes with a basket."""
    return Make(1.75, 1.08, {"paint": _pick(rng, PAINTS[:9]), "basket": rng.random() < 0.4})


_CAR_LINES: Mapping[str, tuple[tuple[Point, ...], float, float, float, float]] = {
    # outline as parts of (length, roof), then rear and front foot and rear and front top of the cabin, in lengths
    "hatch": (
        (
            (0, 0.22),
            (0, 0.6),
            (0.02, 0.72),
            (0.08, 0.98),
            (0.2, 1),
            (0.56, 1),
            (0.74, 0.66),
            (0.97, 0.58),
            (1, 0.42),
            (1, 0.22),
        ),
        0.05,
        0.7,
        0.11,
        0.56,
    ),
    "saloon": (
        (
            (0, 0.22),
            (0, 0.6),
            (0.03, 0.66),
            (0.17, 0.68),
            (0.32, 1),
            (0.6, 1),
            (0.75, 0.66),
            (0.97, 0.58),
            (1, 0.42),
            (1, 0.22),
        ),
        0.2,
        0.71,
        0.34,
        0.59,
    ),
    "estate": (
        (
            (0, 0.22),
            (0, 0.62),
            (0.01, 0.75),
            (0.06, 0.99),
            (0.2, 1),
            (0.58, 1),
            (0.74, 0.66),
            (0.97, 0.58),
            (1, 0.42),
            (1, 0.22),
        ),
        0.04,
        0.7,
        0.08,
        0.57,
    ),
    "suv": (
        (
            (0, 0.26),
            (0, 0.64),
            (0.01, 0.8),
            (0.05, 1),
            (0.2, 1),
            (0.62, 1),
            (0.74, 0.68),
            (0.98, 0.64),
            (1, 0.5),
            (1, 0.26),
        ),
        0.04,
        0.71,
        0.07,
        0.62,
    ),
    "mini": (
        (
            (0, 0.22),
            (0, 0.62),
            (0.03, 0.8),
            (0.12, 1),
            (0.3, 1.02),
            (0.66, 1),
            (0.83, 0.66),
            (0.98, 0.56),
            (1, 0.4),
            (1, 0.22),
        ),
        0.07,
        0.79,
        0.15,
        0.66,
    ),
}


def paint_car(make: Make, scale: float, *, turn: float, lit: bool, braking: bool = False) -> Brush:
    """Paint the vehicle; `turn` is the rotation of the wheels in radians."""
    length, roof, paint = make.length, make.options["roof"], make.options["paint"]
    brush = Brush(length, make.height, scale, lit=lit)
    brush.shadow(0, length)
    outline, rear, front, rear_top, front_top = _CAR_LINES[make.options["body"]]
    if make.options["taxi"]:
        brush.box(length * 0.42, roof - 0.02, length * 0.52, roof + 0.17, (250, 206, 60), round_by=0.04)
        brush.shine_box(length * 0.42, roof, length * 0.52, roof + 0.17, (200, 160, 40))
    brush.shape([(x * length, y * roof) for x, y in outline], paint, soft=2)
    brush.box(0.06, roof * 0.22, length - 0.06, roof * 0.33, shade(paint, -0.28), round_by=0.05)
    low, high = roof * 0.645, roof * 0.94
    brush.shape(
        [(rear * length, low), (rear_top * length, high), (front_top * length, high), (front * length, low)],
        shade(GLASS, -0.45),
        soft=1,
    )
    middle = (rear + front) / 2 * length
    for left, left_top, right, right_top in (
        (rear * length + 0.12, rear_top * length + 0.1, middle - 0.05, middle - 0.05),
        (middle + 0.05, middle + 0.05, front * length - 0.14, front_top * length - 0.06),
    ):
        brush.shape([(left, low + 0.03), (left_top, high - 0.04), (right_top, high - 0.04), (right, low + 0.03)], GLASS)
        top_x = left_top + (right_top - left_top) * 0.62
        brush.shape(
            [(top_x, high - 0.04), (right_top, high - 0.04), ((right + right_top) / 2, (low + high) / 2)],
            shade(GLASS, 0.35),
        )
    brush.line([(middle, low), (middle, roof * 0.3)], 0.03, shade(paint, -0.25))
    brush.line([(middle + 0.12, roof * 0.56), (middle + 0.3, roof * 0.56)], 0.05, shade(paint, -0.35))
    brush.line([(0.1, roof * 0.6), (length * 0.94, roof * 0.54)], 0.03, shade(paint, 0.3))
    _lamps(brush, length, roof * 0.47, braking=braking)
    for x in (length * 0.19, length * 0.8):
        _wheel(brush, x, 0.33 if roof < 1.65 else 0.38, turn, arch=True)
    return brush


def paint_bus(make: Make, scale: float, *, turn: float, lit: bool, braking: bool = False) -> Brush:
    """Paint the vehicle; `turn` is the rotation of the wheels in radians."""
    length, height, paint = make.length, make.height, make.options["paint"]
    brush = Brush(length, height, scale, lit=lit)
    brush.shadow(0, length)
    brush.box(0, 0.36, length, height, paint, round_by=0.28)
    brush.box(0.3, height - 0.09, length - 0.4, height, shade(paint, 0.35), round_by=0.04)
    brush.box(0.02, 0.36, length - 0.02, 0.72, shade(paint, -0.3), round_by=0.12)
    if make.options["band"]:
        brush.box(0.02, 0.86, length - 0.02, 1.1, make.options["second"])
    decks = [(1.3, 2.35)] + ([(2.72, 3.66)] if make.options["double"] else [])
    for deck, (low, high) in enumerate(decks):
        end = length - (1.35 if deck == 0 else 0.15)
        count = max(3, round((end - 0.25) / 1.35))
        step = (end - 0.25) / count
        for index in range(count):
            left = 0.25 + index * step
            brush.box(left, low, left + step - 0.12, high, GLASS, round_by=0.08)
            brush.shape(
                [
                    (left + step * 0.45, high),
                    (left + step * 0.75, high),
                    (left + step * 0.4, low),
                    (left + step * 0.1, low),
                ],
                shade(GLASS, 0.25),
            )
            brush.shine_box(left, low, left + step - 0.12, high, (150, 128, 78))
    brush.box(length - 1.3, 0.46, length - 0.5, 2.35, shade(GLASS, -0.35), round_by=0.06)
    brush.box(length - 1.24, 0.52, length - 0.92, 2.28, GLASS, round_by=0.04)
    brush.box(length - 0.88, 0.52, length - 0.56, 2.28, GLASS, round_by=0.04)
    brush.box(length - 0.4, 1.2, length, 2.4, shade(GLASS, -0.1), round_by=0.1)
    sign = height - 0.42 if not make.options["double"] else 2.44
    brush.box(length - 2.2, sign, length - 0.35, sign + 0.24, DARK, round_by=0.04)
    for index in range(5):
        brush.box(length - 2.05 + index * 0.3, sign + 0.06, length - 1.85 + index * 0.3, sign + 0.18, (250, 176, 60))
        brush.shine_box(
            length - 2.05 + index * 0.3, sign + 0.06, length - 1.85 + index * 0.3, sign + 0.18, (200, 130, 30)
        )
    _lamps(brush, length, 0.75, braking=braking)
    for x in (length * 0.2, length * 0.78):
        _wheel(brush, x, 0.47, turn, arch=True)
    return brush


def paint_truck(make: Make, scale: float, *, turn: float, lit: bool, braking: bool = False) -> Brush:
    """Paint the vehicle; `turn` is the rotation of the wheels in radians."""
    length, height, paint, second = make.length, make.height, make.options["paint"], make.options["second"]
    brush = Brush(length, height, scale, lit=lit)
    brush.shadow(0, length)
    cab, roof = 2.0, 2.55
    bed = length - cab - 0.2
    brush.box(0.05, 0.5, length - 0.3, 0.78, (70, 74, 84))
    load = make.options["load"]
    if load == "box":
        brush.box(0, 0.78, bed, height, second, round_by=0.06)
        brush.box(0, height - 0.14, bed, height, shade(second, 0.3), round_by=0.05)
        for index in range(1, 6):
            x = bed * index / 6
            brush.line([(x, 0.9), (x, height - 0.2)], 0.035, shade(second, -0.14))
        if make.options["stripe"]:
            brush.shape(
                [(bed * 0.2, 0.78), (bed * 0.45, 0.78), (bed * 0.7, height), (bed * 0.45, height)],
                mix(second, paint, 0.75),
            )
    elif load == "tank":
        top = min(height, 2.8)
        brush.box(0, 0.78, bed, top, second, round_by=0.75)
        brush.box(0.5, top - 0.5, bed - 0.5, top - 0.3, shade(second, 0.45), round_by=0.1)
        brush.box(bed * 0.45, top, bed * 0.55, height, (70, 74, 84), round_by=0.03)
        for index in (1, 2):
            brush.line([(bed * index / 3, 0.82), (bed * index / 3, top - 0.04)], 0.05, shade(second, -0.25))
    else:
        brush.shape(
            [
                (0.2, height * 0.55),
                (bed * 0.3, height * 0.78),
                (bed * 0.55, height),
                (bed * 0.85, height * 0.72),
                (bed, height * 0.55),
            ],
            (150, 116, 82),
            soft=2,
        )
        brush.box(0, 0.78, bed, height * 0.58, second, round_by=0.05)
        for index in range(1, 5):
            x = bed * index / 5
            brush.line([(x, 0.86), (x, height * 0.56)], 0.06, shade(second, -0.25))
    left = length - cab
    brush.shape(
        [(left, 0.45), (left, roof), (length - 0.55, roof), (length - 0.12, 1.55), (length, 1.35), (length, 0.45)],
        paint,
        soft=1,
    )
    brush.box(left + 0.04, 0.45, length - 0.03, 0.72, shade(paint, -0.3), round_by=0.08)
    brush.shape(
        [(left + 0.5, 1.45), (left + 0.5, roof - 0.22), (length - 0.62, roof - 0.22), (length - 0.25, 1.45)],
        shade(GLASS, -0.45),
    )
    brush.shape(
        [(left + 0.56, 1.5), (left + 0.56, roof - 0.28), (length - 0.64, roof - 0.28), (length - 0.33, 1.5)], GLASS
    )
    brush.shape([(left + 1.0, roof - 0.28), (length - 0.64, roof - 0.28), (length - 0.45, 1.8)], shade(GLASS, 0.35))
    brush.line([(left + 0.45, 0.8), (left + 0.45, roof - 0.25)], 0.035, shade(paint, -0.25))
    brush.line([(left + 0.6, 1.22), (left + 0.8, 1.22)], 0.06, shade(paint, -0.4))
    _lamps(brush, length, 0.9, braking=braking)
    wheels = [length - 1.0, 0.95] + ([1.95] if length > 7 else [])
    for x in wheels:
        _wheel(brush, x, 0.47, turn, arch=x == wheels[0])
    return brush


def paint_bicycle(make: Make, scale: float, *, turn: float, lit: bool) -> Brush:
    """Paint the bicycle; `turn` is the rotation of the wheels in radians, the pedals turn at a third of it."""
    brush = Brush(make.length, make.height, scale, lit=lit)
    brush.shadow(0.1, make.length - 0.1)
    paint = make.options["paint"]
    radius, rear, front = 0.345, (0.35, 0.35), (1.4, 0.35)
    for x, y in (rear, front):
        for spoke in range(3):
            angle = turn + spoke * math.pi / 3
            dx, dy = radius * math.cos(angle), radius * math.sin(angle)
            brush.line([(x - dx, y - dy), (x + dx, y + dy)], 0.012, (160, 164, 172))
        brush.ring(x, y, radius, 0.06, DARK)
    crank, seat, head = (0.8, 0.32), (0.66, 0.86), (1.22, 0.9)
    for one, other in ((rear, crank), (rear, seat), (crank, seat), (crank, head), ((0.7, 0.76), head), (head, front)):
        brush.line([one, other], 0.055, paint)
    brush.line([head, (1.16, 1.04), (1.3, 1.06)], 0.05, DARK)
    brush.line([(0.52, 0.9), (0.78, 0.9)], 0.08, DARK)
    brush.disc(*crank, 0.09, (90, 94, 104))
    for angle in (turn / 3, turn / 3 + math.pi):
        brush.line([crank, pedal(angle)], 0.04, (90, 94, 104))
    if make.options["basket"]:
        brush.box(1.3, 0.82, 1.62, 1.04, (168, 124, 80), round_by=0.04)
    brush.shine(1.34, 0.9, 1.46, 1.02, HEADLIGHT)
    return brush


def pedal(angle: float) -> Point:
    """Return the position of a pedal of the bicycle that `paint_bicycle` draws."""
    return 0.8 + 0.17 * math.cos(angle), 0.32 - 0.17 * math.sin(angle)


def _lamps(brush: Brush, length: float, y: float, *, braking: bool) -> None:
    brush.box(length - 0.22, y - 0.02, length - 0.02, y + 0.16, HEADLIGHT, round_by=0.06)
    brush.box(0.01, y, 0.14, y + 0.22, shade(TAIL_LIGHT, 0.25) if braking else TAIL_LIGHT, round_by=0.04)
    brush.shine(length - 0.26, y - 0.06, length + 0.02, y + 0.2, HEADLIGHT)
    brush.shine(0, y, 0.15, y + 0.22, (255, 60, 50) if braking else (150, 22, 18))


def _wheel(brush: Brush, x: float, radius: float, turn: float, *, arch: bool) -> None:
    if arch:
        brush.disc(x, radius, radius * 1.18, (30, 32, 40))
    brush.disc(x, radius, radius, (44, 46, 54))
    brush.disc(x, radius, radius * 0.62, (186, 190, 198))
    for spoke in range(5):
        angle = turn + spoke * 2 * math.pi / 5
        tip = x + radius * 0.55 * math.cos(angle), radius - radius * 0.55 * math.sin(angle)
        brush.line([(x, radius), tip], 0.035, (112, 116, 126))
    brush.disc(x, radius, radius * 0.16, (112, 116, 126))
