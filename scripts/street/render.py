"""Render a street at one moment as an image, with the exact boxes of all actors."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from scripts.street import atmosphere
from scripts.street.backdrop import Palette, View, paint_backdrop
from scripts.street.brush import Brush, Colour, Sprite, mix
from scripts.street.figures import LIGHT_WIDTH, paint_person, paint_rider, paint_traffic_light
from scripts.street.stage import POLE, Actor, Street
from scripts.street.vehicles import paint_bicycle, paint_bus, paint_car, paint_truck

NAMES = ("person", "bicycle", "car", "bus", "truck", "traffic light")
"""The classes of a street, in the order of their ids; COCO's names."""

LEAST_VISIBLE = 0.3
"""Minimum visible fraction of an object: more hidden ones, or ones cut by the image's edge, get no box."""

LEAST_SIDE = 1 / 110
"""Minimum visible width and height of an object with a box, as a fraction of the image's width."""

_SOLID = 128
_BEAM: Colour = (74, 68, 46)

Paint = Callable[[Actor, float], Sprite]


@dataclass(frozen=True, eq=False)
class Shot:
    """An image and its true boxes."""

    picture: NDArray[np.uint8]
    """(height, width, 3) RGB."""

    xyxy: NDArray[np.float32]
    """(n, 4) left, top, right, bottom in pixels: the hull of the visible part of each object."""

    class_id: NDArray[np.int64]
    """(n,) index into `NAMES`."""

    tracker_id: NDArray[np.int64]
    """(n,) a number for each thing, the same through a clip."""

    whole: NDArray[np.float32]
    """(n, 4) the hull of each of these things with its hidden parts, cut off at the picture's edges."""


def draw_shot(
    street: Street,
    *,
    time: float = 0.0,
    backdrop: tuple[Image.Image, Image.Image] | None = None,
    paint: Paint | None = None,
) -> Shot:
    """Draw a street; `backdrop` and `paint` let a clip reuse what does not change between frames."""
    view, palette = street.view, street.palette
    still, still_light = backdrop or draw_backdrop(street)
    canvas, light = still.copy(), still_light.copy()
    owner = np.zeros((view.height, view.width), np.uint8)
    paint = paint or painter(palette)
    beams: list[tuple[list[tuple[float, float]], Colour]] = []
    placed: list[tuple[Actor, int]] = []
    hulls: dict[tuple[int, str], tuple[int, int, int, int]] = {}
    for number, actor in enumerate(sorted(street.actors, key=lambda one: (one.row, one.order)), 1):
        scale = view.scale(actor.row)
        sprite = paint(actor, scale)
        left = round(view.column(actor.x, actor.row) - sprite.image.width / 2)
        top = round(actor.row - actor.lift * scale) - sprite.image.height + sprite.below
        toned, alpha = _hazed(sprite.image, actor, view, palette)
        canvas.paste(toned, (left, top), alpha)
        light.paste(
            sprite.light if sprite.light else (0, 0, 0), (left, top, left + alpha.width, top + alpha.height), alpha
        )
        placed.append((actor, _claim(owner, np.asarray(alpha) >= _SOLID, left, top, number)))
        edges = alpha.getbbox() or (0, 0, 0, 0)
        hulls[actor.key, actor.kind] = left + edges[0], top + edges[1], left + edges[2], top + edges[3]
        if palette.lit and actor.kind in ("car", "bus", "truck"):
            beams.append((_beam(actor, view, scale), _BEAM))
    picture = atmosphere.light_up(np.asarray(canvas), light, beams, palette)
    picture = atmosphere.fall(picture, palette, seed=street.seed, time=time)
    boxes, seen = _boxes(owner, placed)
    class_id = np.array([NAMES.index(actor.kind) for actor in seen], np.int64)
    # A bicycle and who rides it have one key.
    tracker_id = np.array([actor.key * len(NAMES) for actor in seen], np.int64) + class_id
    whole = np.array([hulls[actor.key, actor.kind] for actor in seen], np.float32).reshape(-1, 4)
    whole = whole.clip(0, np.array([view.width, view.height] * 2, np.float32))
    return Shot(picture, boxes, class_id, tracker_id, whole)


def draw_backdrop(street: Street) -> tuple[Image.Image, Image.Image]:
    """Return the backdrop of a street, and its lights."""
    rng = np.random.default_rng([street.seed, 2])
    return paint_backdrop(street.view, street.palette, rng, workers=street.workers, crossing=street.crossing)


def painter(palette: Palette) -> Paint:
    """Return a function that paints an actor at a scale of pixels per metre."""
    return lambda actor, scale: _brush(actor, scale, palette.lit).finish(mirrored=not actor.right)


def _brush(actor: Actor, scale: float, lit: bool) -> Brush:
    look, turn = actor.look, actor.phase
    if actor.kind == "person":
        if actor.state == "riding":
            return paint_rider(look, scale, turn=turn, lit=lit)
        return paint_person(look, scale, stride=turn, lit=lit)
    if actor.kind == "bicycle":
        return paint_bicycle(look, scale, turn=turn, lit=lit)
    if actor.kind == "traffic light":
        return paint_traffic_light(scale, state=actor.state, lit=lit, paint=look)
    if actor.kind == "pole":
        brush = Brush(LIGHT_WIDTH, look, scale, lit=lit)
        brush.box(LIGHT_WIDTH / 2 - 0.08, 0, LIGHT_WIDTH / 2 + 0.08, look, POLE)
        brush.box(LIGHT_WIDTH / 2 - 0.16, 0, LIGHT_WIDTH / 2 + 0.16, 0.35, POLE)
        return brush
    paint = {"car": paint_car, "bus": paint_bus, "truck": paint_truck}[actor.kind]
    return paint(look, scale, turn=turn, lit=lit, braking=actor.state == "braking")


def _hazed(sprite: Image.Image, actor: Actor, view: View, palette: Palette) -> tuple[Image.Image, Image.Image]:
    alpha = sprite.getchannel("A")
    far = (view.near_row - actor.row) / (view.near_row - view.far_row)
    amount = palette.haze_far * min(1.0, max(0.0, far))
    toned = sprite.convert("RGB")
    if amount > 0.02:
        toned = Image.blend(toned, Image.new("RGB", toned.size, mix(palette.haze, palette.haze, 0)), amount)
    return toned, alpha


def _claim(owner: NDArray[np.uint8], solid: NDArray[np.bool_], left: int, top: int, number: int) -> int:
    """Mark the pixels that an object covers; return its whole area, visible or not."""
    rows, columns = solid.shape
    bottom, right = min(owner.shape[0], top + rows), min(owner.shape[1], left + columns)
    from_row, from_column = max(0, top), max(0, left)
    if bottom > from_row and right > from_column:
        part = solid[from_row - top : bottom - top, from_column - left : right - left]
        owner[from_row:bottom, from_column:right][part] = number
    return int(np.count_nonzero(solid))


def _boxes(owner: NDArray[np.uint8], placed: list[tuple[Actor, int]]) -> tuple[NDArray[np.float32], list[Actor]]:
    """The hulls of what is visible, and whose they are."""
    seen = np.bincount(owner.ravel(), minlength=len(placed) + 1)
    boxes, actors = [], []
    for number, (actor, area) in enumerate(placed, 1):
        if actor.kind not in NAMES or seen[number] < max(1, LEAST_VISIBLE * area):
            continue
        own = owner == number
        rows, columns = np.flatnonzero(own.any(axis=1)), np.flatnonzero(own.any(axis=0))
        box = columns[0], rows[0], columns[-1] + 1, rows[-1] + 1
        if min(box[2] - box[0], box[3] - box[1]) >= LEAST_SIDE * owner.shape[1]:
            boxes.append(box)
            actors.append(actor)
    return np.array(boxes, np.float32).reshape(-1, 4), actors


def _beam(actor: Actor, view: View, scale: float) -> list[tuple[float, float]]:
    """Return the light of a vehicle's headlights on the road: a flat ellipse in front of it."""
    way = 1 if actor.right else -1
    front = view.column(actor.x, actor.row) + way * actor.look.length / 2 * scale
    reach, flat = 2.2 * scale, 0.28 * scale
    middle = front + way * reach
    return [
        (middle + reach * math.cos(angle), actor.row - 0.02 * scale + flat * math.sin(angle))
        for angle in np.linspace(0, 2 * math.pi, 16, endpoint=False)
    ]
