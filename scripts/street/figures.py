"""Paint people, on foot and on bicycles, and traffic lights."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from scripts.street.brush import DARK, Brush, Colour, Point, shade
from scripts.street.vehicles import PAINTS, pedal

SKINS: tuple[Colour, ...] = ((255, 219, 184), (240, 190, 150), (210, 152, 110), (160, 106, 74), (106, 70, 50))
HAIRS: tuple[Colour, ...] = ((44, 36, 34), (86, 58, 40), (150, 98, 52), (220, 180, 100), (176, 176, 180), (150, 62, 40))
TROUSERS: tuple[Colour, ...] = ((48, 60, 92), (70, 74, 84), (96, 78, 62), (40, 42, 50), (120, 128, 140))
LAMPS: Mapping[str, Colour] = {"red": (255, 66, 52), "amber": (255, 186, 50), "green": (70, 230, 120)}


@dataclass(frozen=True)
class Figure:
    """The appearance of one person."""

    height: float
    options: Mapping[str, Any]


def make_person(rng: np.random.Generator) -> Figure:
    """Return a random adult, sometimes a child."""
    height = rng.uniform(1.15, 1.4) if rng.random() < 0.15 else rng.uniform(1.6, 1.9)
    return Figure(
        height,
        {
            "skin": SKINS[int(rng.integers(len(SKINS)))],
            "hair": HAIRS[int(rng.integers(len(HAIRS)))],
            "shirt": PAINTS[int(rng.integers(len(PAINTS)))],
            "legs": TROUSERS[int(rng.integers(len(TROUSERS)))],
            "skirt": bool(rng.random() < 0.25),
            "bag": bool(rng.random() < 0.3),
            "long_hair": bool(rng.random() < 0.4),
            "hat": bool(rng.random() < 0.2),
            "bag_paint": PAINTS[int(rng.integers(len(PAINTS)))],
        },
    )


PERSON_WIDTH = 0.9


def paint_person(figure: Figure, scale: float, *, stride: float, lit: bool) -> Brush:
    """Paint a walking person; `stride` is the phase of the step in radians, 0 for standing."""
    tall, look = figure.height, figure.options
    brush = Brush(PERSON_WIDTH, tall + 0.05, scale, lit=lit)
    x, swing = PERSON_WIDTH / 2, math.sin(stride)
    brush.shadow(x - 0.28, x + 0.28)
    hip, shoulder, leg = tall * 0.48, tall * 0.8, tall * 0.46
    width = tall * 0.085
    for side in (-1, 1):
        angle = 0.5 * swing * side
        knee = (x + leg * 0.5 * math.sin(angle) + 0.03, hip - leg * 0.5 * math.cos(angle))
        back = max(0.0, -swing * side) * 0.35
        foot = (knee[0] + leg * 0.5 * math.sin(angle - back), max(0.05, knee[1] - leg * 0.5 * math.cos(angle - back)))
        colour = shade(look["skin"] if look["skirt"] else look["legs"], -0.15 if side < 0 else 0)
        brush.line([(x, hip), knee, foot], width * 1.25, colour)
        brush.line([foot, (foot[0] + tall * 0.06, foot[1] - 0.01)], width, DARK)
    _arm(brush, (x, shoulder - 0.04), -0.55 * swing, tall, shade(look["shirt"], -0.2), look["skin"])
    if look["bag"]:
        brush.box(x - tall * 0.2, tall * 0.52, x - tall * 0.06, tall * 0.78, look["bag_paint"], round_by=0.06)
    if look["skirt"]:
        brush.shape(
            [
                (x - 0.09 * tall, hip + 0.08 * tall),
                (x + 0.09 * tall, hip + 0.08 * tall),
                (x + 0.15 * tall, hip - 0.14 * tall),
                (x - 0.15 * tall, hip - 0.14 * tall),
            ],
            look["legs"],
        )
    _torso(brush, [(x, hip), (x, shoulder)], tall, look["shirt"])
    _arm(brush, (x, shoulder - 0.04), 0.55 * swing, tall, shade(look["shirt"], -0.1), look["skin"])
    _head(brush, (x + 0.02 * tall, tall * 0.9), tall, look)
    return brush


RIDER_WIDTH = 1.75


def paint_rider(figure: Figure, scale: float, *, turn: float, lit: bool) -> Brush:
    """Paint the rider of the bicycle that `paint_bicycle` draws; `turn` is the rotation of the wheels in radians."""
    tall, look = max(figure.height, 1.55), figure.options
    brush = Brush(RIDER_WIDTH, 1.95, scale, lit=lit)
    hip, shoulder, grip = (0.66, 0.96), (0.92, 1.48), (1.2, 1.06)
    for side, colour in ((1, shade(look["legs"], -0.2)), (0, look["legs"])):
        foot = pedal(turn / 3 + side * math.pi)
        brush.line([hip, _knee(hip, foot, tall * 0.265), foot], 0.15, colour)
        brush.line([foot, (foot[0] + 0.14, foot[1])], 0.09, DARK)
    if look["bag"]:
        brush.shape([(0.5, 1.1), (0.66, 1.5), (0.84, 1.46), (0.68, 1.06)], look["bag_paint"], soft=1)
    _torso(brush, [hip, shoulder], tall, look["shirt"])
    elbow = (shoulder[0] + 0.1, shoulder[1] - 0.32)
    brush.line([(shoulder[0], shoulder[1] - 0.04), elbow, grip], 0.1, shade(look["shirt"], -0.12))
    brush.disc(*grip, 0.06, look["skin"])
    _head(brush, (1.02, 1.68), tall, look)
    return brush


LIGHT_WIDTH, LIGHT_HEIGHT = 0.62, 1.62


def paint_traffic_light(scale: float, *, state: str, lit: bool, paint: Colour) -> Brush:
    """Paint a traffic light from the front; `state` is red, amber or green."""
    brush = Brush(LIGHT_WIDTH, LIGHT_HEIGHT, scale, lit=lit)
    brush.box(0, 0, LIGHT_WIDTH, LIGHT_HEIGHT, paint, round_by=0.14)
    brush.box(0.05, 0.05, LIGHT_WIDTH - 0.05, LIGHT_HEIGHT - 0.05, shade(paint, -0.35), round_by=0.1)
    x = LIGHT_WIDTH / 2
    for index, (name, colour) in enumerate(LAMPS.items()):
        y = LIGHT_HEIGHT - 0.29 - index * 0.52
        on = name == state
        brush.disc(x, y, 0.21, (16, 18, 22))
        brush.disc(x, y, 0.185, colour if on else shade(colour, -0.72))
        if on:
            brush.disc(x - 0.04, y + 0.05, 0.07, shade(colour, 0.6))
            brush.shine(x - 0.19, y - 0.19, x + 0.19, y + 0.19, colour)
    return brush


def _torso(brush: Brush, spine: list[Point], tall: float, colour: Colour) -> None:
    brush.line(spine, tall * 0.16, colour)


def _arm(brush: Brush, shoulder: Point, angle: float, tall: float, sleeve: Colour, skin: Colour) -> None:
    reach = tall * 0.19
    elbow = shoulder[0] + reach * math.sin(angle), shoulder[1] - reach * math.cos(angle)
    hand = elbow[0] + reach * math.sin(angle + 0.35), elbow[1] - reach * math.cos(angle + 0.35)
    brush.line([shoulder, elbow, hand], tall * 0.06, sleeve)
    brush.disc(*hand, tall * 0.034, skin)


def _head(brush: Brush, middle: Point, tall: float, look: Mapping[str, Any]) -> None:
    x, y = middle
    size = max(tall, 1.4) * 0.072
    if look["long_hair"]:
        brush.shape(
            [
                (x - size, y + size),
                (x + size * 0.4, y + size),
                (x - size * 0.2, y - size * 1.7),
                (x - size * 1.5, y - size * 1.5),
            ],
            look["hair"],
            soft=1,
        )
    brush.line([(x - 0.02, y - size * 1.3), (x, y)], size * 0.9, look["skin"])
    brush.disc(x, y, size, look["hair"])
    brush.disc(x + size * 0.22, y - size * 0.12, size * 0.86, look["skin"])
    brush.shape(
        [
            (x - size * 0.95, y),
            (x - size * 0.6, y + size),
            (x + size * 0.4, y + size * 1.05),
            (x + size, y + size * 0.35),
            (x, y + size * 0.35),
        ],
        look["hair"],
        soft=1,
    )
    if look["hat"]:
        brush.box(
            x - size * 1.05, y + size * 0.35, x + size * 1.05, y + size * 1.15, look["bag_paint"], round_by=size * 0.5
        )
        brush.line(
            [(x + size * 0.4, y + size * 0.42), (x + size * 1.6, y + size * 0.42)], size * 0.25, look["bag_paint"]
        )


def _knee(hip: Point, foot: Point, bone: float) -> Point:
    """Return the position of the knee, in front of the line from hip to foot; both bones have one length."""
    dx, dy = foot[0] - hip[0], foot[1] - hip[1]
    reach = math.hypot(dx, dy)
    bend = math.sqrt(max(0.0, bone**2 - (reach / 2) ** 2))
    return hip[0] + dx / 2 - dy / reach * bend, hip[1] + dy / 2 + dx / reach * bend
