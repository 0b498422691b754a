"""Place actors: streets generated from a seed."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from scripts.street.atmosphere import LIGHTS, WEATHERS, make_palette
from scripts.street.backdrop import Palette, View
from scripts.street.brush import Colour
from scripts.street.figures import make_person
from scripts.street.vehicles import make_bicycle, make_bus, make_car, make_truck

VEHICLES = {"car": make_car, "bus": make_bus, "truck": make_truck}
POLE: Colour = (70, 76, 84)
HEADS: tuple[Colour, ...] = ((48, 52, 60), (40, 64, 56), (226, 176, 60))


@dataclass(frozen=True)
class Actor:
    """One object at one moment. `kind` is a class name, or `pole`, which has no box."""

    key: int
    """The object's number, the same throughout a clip."""

    kind: str
    look: Any
    x: float
    """Metres right of the middle."""

    row: float
    """Pixel row on which it stands."""

    right: bool = True
    """Which way it faces."""

    phase: float = 0.0
    """Phase in radians of the wheels or of the step."""

    state: str = ""
    """`red`, `amber`, `green` of a traffic light; `braking` of a vehicle; `riding` of a person on a bicycle."""

    lift: float = 0.0
    """Metres above the ground."""

    order: float = 0.0
    """Depth among objects on one row: the higher is in front."""


@dataclass(frozen=True)
class Street:
    """A place, a time of day, a weather, and the actors."""

    seed: int
    view: View
    palette: Palette
    workers: int
    crossing: float | None
    actors: tuple[Actor, ...] = field(default=())

    def lane_row(self, lane: int) -> float:
        """Return the row on which the wheels of a lane's vehicles stand; lane 0 is the farthest."""
        return self.view.between((lane + 0.74) / self.workers)

    def lane_right(self, lane: int) -> bool:
        """Return whether a lane's traffic drives to the right, as in the near half."""
        return lane >= self.workers // 2

    def reach(self, row: float) -> float:
        """Return the metres from the middle to the image's edge on a row."""
        return self.view.width / 2 / self.view.scale(row)


def random_view(rng: np.random.Generator, width: int, height: int) -> View:
    """Return a random camera for an image of this size."""
    horizon, near = height * rng.uniform(0.34, 0.46), height * rng.uniform(0.84, 0.95)
    far_scale = height / 360 * rng.uniform(17, 27)
    near_scale = far_scale * rng.uniform(1.7, 2.6)
    camera = (near - horizon) / near_scale
    far = horizon + far_scale * camera
    return View(width, height, horizon, camera, far, far + (near - far) * rng.uniform(0.12, 0.2), near)


def random_street(seed: int, width: int = 640, height: int = 360) -> Street:
    """Return a random street with its actors, for a single image."""
    rng = np.random.default_rng([seed, 1])
    light = LIGHTS[int(rng.choice(3, p=(0.55, 0.2, 0.25)))]
    weather = WEATHERS[int(rng.choice(4, p=(0.5, 0.2, 0.16, 0.14)))]
    workers = int(rng.choice((2, 2, 4)))
    view = random_view(rng, width, height)
    street = Street(seed, view, make_palette(light, weather), workers, None)
    if rng.random() < 0.5:
        near = view.width / 2 / view.scale(view.near_row)
        street = replace(street, crossing=rng.uniform(-0.6, 0.6) * near)
    cast = _Cast(street, rng)
    cast.traffic()
    cast.pedestrians()
    cast.cyclists()
    cast.traffic_lights()
    return replace(street, actors=tuple(cast.actors))


class _Cast:
    """Places actors one after the other."""

    def __init__(self, street: Street, rng: np.random.Generator) -> None:
        self.street, self.rng = street, rng
        self.actors: list[Actor] = []

    def add(self, kind: str, look: Any, x: float, row: float, **options: Any) -> None:
        self.actors.append(Actor(len(self.actors), kind, look, x, row, **options))

    def traffic(self) -> None:
        rng, street = self.rng, self.street
        density = rng.uniform(0.2, 0.85)
        for lane in range(street.workers):
            row = street.lane_row(lane)
            reach = street.reach(row)
            x = -reach - rng.uniform(0, 6)
            while x < reach:
                kind = ("car", "bus", "truck")[int(rng.choice(3, p=(0.5, 0.22, 0.28)))]
                look = VEHICLES[kind](rng)
                if rng.random() < density * 0.75:
                    state = "braking" if rng.random() < 0.3 else ""
                    x += look.length / 2
                    self.add(kind, look, x, row, right=street.lane_right(lane), phase=rng.uniform(0, 6), state=state)
                    x += look.length / 2 + rng.uniform(0.8, 5)
                else:
                    x += rng.uniform(3, 8)

    def crowded(self, x: float, row: float) -> bool:
        """Return whether a person or bicycle is too near for another one to be distinguishable."""
        view = self.street.view
        return any(
            one.kind in ("person", "bicycle")
            and abs(view.column(one.x, one.row) - view.column(x, row)) < 0.6 * view.scale(max(row, one.row))
            and abs(one.row - row) < view.scale(max(row, one.row))
            for one in self.actors
        )

    def pedestrians(self) -> None:
        rng, street, view = self.rng, self.street, self.street.view
        for _ in range(int(rng.integers(2, 10))):
            place = rng.random()
            if place < 0.5 or (place >= 0.8 and street.crossing is None):
                row = rng.uniform(view.far_row * 0.85 + view.kerb_row * 0.15, view.kerb_row - 1)
            elif place < 0.8:
                row = rng.uniform(view.near_row + 2, view.height * 0.985)
            else:
                row = view.between(rng.uniform(0.02, 0.98))
            x = rng.uniform(-1, 1) * street.reach(row)
            if place >= 0.8 and street.crossing is not None:
                x = street.crossing + rng.uniform(-1.3, 1.3)
            if self.crowded(x, row):
                continue
            stride = 0.0 if rng.random() < 0.2 else rng.uniform(0.3, 2 * math.pi)
            self.add("person", make_person(rng), x, row, right=bool(rng.random() < 0.5), phase=stride)

    def cyclists(self) -> None:
        rng, street, view = self.rng, self.street, self.street.view
        for _ in range(int(rng.integers(0, 5))):
            place = rng.random()
            if place < 0.35:
                row = view.kerb_row - rng.uniform(0.1, 0.9) * (view.kerb_row - view.far_row) * 0.8
            elif place < 0.7:
                row = view.between(rng.uniform(0.93, 1.0))
            else:
                row = rng.uniform(view.near_row + 2, view.height * 0.985)
            x, right, turn = rng.uniform(-1, 1) * street.reach(row), bool(rng.random() < 0.5), rng.uniform(0, 19)
            if self.crowded(x, row):
                continue
            self.add("bicycle", make_bicycle(rng), x, row, right=right, phase=turn)
            if rng.random() < 0.7:
                self.add("person", make_person(rng), x, row, right=right, phase=turn, state="riding", order=1)

    def traffic_lights(self) -> None:
        rng, street, view = self.rng, self.street, self.street.view
        for _ in range(int(rng.integers(0, 4))):
            near = rng.random() < 0.5
            row = view.near_row + view.scale(view.near_row) * rng.uniform(0.05, 0.3) if near else view.kerb_row - 1
            x = rng.uniform(-0.95, 0.95) * street.reach(row)
            if street.crossing is not None and rng.random() < 0.6:
                x = street.crossing + float(rng.choice((-2.4, 2.4)))
            state = ("red", "amber", "green")[int(rng.integers(3))]
            self.traffic_light(x, row, state, lift=rng.uniform(2.3, 3.4))

    def traffic_light(self, x: float, row: float, state: str, *, lift: float) -> None:
        paint = HEADS[int(self.rng.integers(len(HEADS)))]
        self.add("pole", lift + 0.2, x, row)
        self.add("traffic light", paint, x, row, state=state, lift=lift, order=1)
