"""Animate a street: traffic that keeps its distance and stops at red, people who cross, day turning into night."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from PIL import Image

from scripts.street import atmosphere
from scripts.street.backdrop import Palette, View
from scripts.street.brush import Sprite
from scripts.street.figures import make_person
from scripts.street.render import Shot, draw_backdrop, draw_shot, painter
from scripts.street.stage import HEADS, VEHICLES, Actor, Street
from scripts.street.vehicles import make_bicycle

_LANES = 4
_STOP_METRES = 3.0
"""Metres before the middle of the zebra crossing."""

_BEFORE_LINE_METRES = 0.5
_MOODS = (("day", "clear"), ("dusk", "clear"), ("night", "rain"))
_STEP_PHASES, _WHEEL_PHASES, _PEDAL_PHASES = 12, 6, 24


@dataclass(frozen=True)
class Signal:
    """Times of the traffic light's states, as fractions of the clip."""

    amber: float = 0.34
    red: float = 0.4
    green: float = 0.8

    def state(self, part: float) -> str:
        """Return `red`, `amber` or `green`."""
        if self.red <= part < self.green:
            return "red"
        return "amber" if self.amber <= part < self.red else "green"


@dataclass
class _Driver:
    """A vehicle in its lane; `way` is metres along the lane's own direction."""

    key: int
    kind: str
    look: Any
    rider: Any
    way: float
    speed: float
    wish: float
    push: float = 0.0
    turned: float = 0.0

    @property
    def front(self) -> float:
        return self.way + float(self.look.length) / 2

    @property
    def back(self) -> float:
        return self.way - float(self.look.length) / 2


class Clip:
    """A clip from a seed; iterate for its frames, each a `Shot` with exact boxes. Iterating again gives the same."""

    def __init__(
        self, seed: int = 2, *, width: int = 960, height: int = 540, seconds: float = 20.0, rate: int = 25
    ) -> None:
        self.seed, self.width, self.height, self.rate = seed, width, height, rate
        self.count = round(seconds * rate)
        self.signal = Signal()

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[Shot]:
        animation = _Animation(self)
        for number in range(self.count):
            yield animation.frame(number)


class _Animation:
    def __init__(self, clip: Clip) -> None:
        self.clip = clip
        self.rng = np.random.default_rng([clip.seed, 3])
        horizon, near, far_scale = clip.height * 0.37, clip.height * 0.9, clip.height / 360 * 20
        camera = (near - horizon) / (far_scale * 2.2)
        far = horizon + far_scale * camera
        view = View(clip.width, clip.height, horizon, camera, far, far + (near - far) * 0.14, near)
        self.moods = [atmosphere.make_palette(*mood) for mood in _MOODS]
        self.street = Street(clip.seed, view, self.moods[0], _LANES, crossing=1.5)
        self.keys = 0
        self.workers = [self._fill(lane) for lane in range(_LANES + 2)]
        self.walkers = self._walkers()
        self.sprites: dict[tuple[Any, ...], Sprite] = {}
        self.paints = {lit: painter(self.moods[-1] if lit else self.moods[0]) for lit in (False, True)}

    @cached_property
    def backdrops(self) -> list[tuple[Image.Image, Image.Image]]:
        return [draw_backdrop(replace(self.street, palette=palette)) for palette in self.moods]

    def frame(self, number: int) -> Shot:
        part = number / self.clip.count
        seconds = number / self.clip.rate
        if number:
            for lane in range(len(self.workers)):
                self._drive(lane, 1 / self.clip.rate, part)
        palette, backdrop = self._mood(part)
        actors = [*self._traffic(), *self._people(seconds, part), *self._lights(part)]
        street = replace(self.street, palette=palette, actors=tuple(actors))
        paint = self.paints[palette.lit]

        def kept(actor: Actor, scale: float) -> Sprite:
            key = actor.key, actor.kind, actor.state, actor.right, round(actor.phase, 3), palette.lit, round(scale, 1)
            if key not in self.sprites:
                self.sprites[key] = paint(actor, round(scale, 1))
            return self.sprites[key]

        return draw_shot(street, time=seconds, backdrop=backdrop, paint=kept)

    def _mood(self, part: float) -> tuple[Palette, tuple[Image.Image, Image.Image]]:
        """Return the palette at a time: each mood is held for a while, then changes to the next."""
        place = part * (len(self.moods) - 1)
        first = min(int(place), len(self.moods) - 2)
        share = min(1.0, max(0.0, (place - first - 0.25) / 0.5))
        palette = atmosphere.between(self.moods[first], self.moods[first + 1], share)
        one, other = self.backdrops[first], self.backdrops[first + 1]
        if share in (0.0, 1.0):
            return palette, (one, other)[int(share)]
        still, light = (Image.blend(a, b, share) for a, b in zip(one, other, strict=True))
        return palette, (still, light)

    def _row(self, lane: int) -> float:
        """Return the row of a lane; the last two lanes are for bicycles, at the far and the near kerb."""
        if lane >= _LANES:
            return self.street.view.between((0.03, 0.985)[lane - _LANES])
        return self.street.lane_row(lane)

    def _right(self, lane: int) -> bool:
        return lane == _LANES + 1 if lane >= _LANES else self.street.lane_right(lane)

    def _driver(self, lane: int, way: float) -> _Driver:
        rng = self.rng
        self.keys += 1
        if lane >= _LANES:
            speed = rng.uniform(3.6, 4.8)
            return _Driver(self.keys, "bicycle", make_bicycle(rng), make_person(rng), way, speed, speed)
        kind = ("car", "bus", "truck")[int(rng.choice(3, p=(0.6, 0.18, 0.22)))]
        speed = rng.uniform(6.5, 9.0)
        return _Driver(self.keys, kind, VEHICLES[kind](rng), None, way, speed, speed)

    def _fill(self, lane: int) -> list[_Driver]:
        """Return the initial traffic, the foremost vehicle first."""
        reach = self.street.reach(self._row(lane))
        drivers: list[_Driver] = []
        way = reach - self.rng.uniform(0, 12)
        while way > -reach - 30:
            driver = self._driver(lane, way)
            driver.way -= driver.look.length / 2
            drivers.append(driver)
            way = driver.back - self.rng.uniform(7, 24) * (1.6 if lane >= _LANES else 1)
        return drivers

    def _drive(self, lane: int, seconds: float, part: float) -> None:
        """Do one step of the intelligent driver model (Treiber, Hennecke and Helbing, arXiv:cond-mat/0002177)."""
        reach = self.street.reach(self._row(lane))
        crossing = self.street.crossing or 0.0
        stop = (crossing if self._right(lane) else -crossing) - _STOP_METRES
        waiting = self.clip.signal.state(part) != "green"
        ahead: _Driver | None = None
        for driver in self.workers[lane]:
            pull, brake, headway, least = 1.7, 2.4, 1.1, 1.6
            free = 1 - (driver.speed / driver.wish) ** 4
            tight = 0.0
            gaps = [(ahead.back - driver.front, driver.speed - ahead.speed)] if ahead else []
            room = stop - driver.front
            if waiting and room > 0 and driver.speed**2 / (2 * max(room, 0.1)) < 2 * brake:
                gaps.append((room + least - _BEFORE_LINE_METRES, driver.speed))
            for gap, closing in gaps:
                wanted = least + max(
                    0.0, driver.speed * headway + driver.speed * closing / (2 * math.sqrt(pull * brake))
                )
                tight = max(tight, (wanted / max(gap, 0.3)) ** 2)
            driver.push = max(-6.0, pull * (free - tight))
            driver.speed = max(0.0, driver.speed + driver.push * seconds)
            driver.way += driver.speed * seconds
            driver.turned += driver.speed * seconds / 0.4
            ahead = driver
        if self.workers[lane] and self.workers[lane][0].back > reach + 2:
            self.workers[lane].pop(0)
        last = self.workers[lane][-1] if self.workers[lane] else None
        if last is None or last.back > -reach - 12:
            driver = self._driver(lane, -reach - 20 - self.rng.uniform(0, 14))
            driver.way = min(driver.way, (last.back if last else reach) - 8) - driver.look.length / 2
            driver.speed = min(driver.speed, last.speed + 2 if last else driver.speed)
            self.workers[lane].append(driver)

    def _traffic(self) -> Iterator[Actor]:
        for lane, drivers in enumerate(self.workers):
            right, row = self._right(lane), self._row(lane)
            for driver in drivers:
                x = driver.way if right else -driver.way
                if abs(x) - driver.look.length / 2 > self.street.reach(row):
                    continue
                if driver.kind == "bicycle":
                    turn = _quantised(driver.turned, 6 * math.pi, _PEDAL_PHASES)
                    yield Actor(driver.key, "bicycle", driver.look, x, row, right, turn)
                    yield Actor(driver.key, "person", driver.rider, x, row, right, turn, "riding", order=1)
                else:
                    turn = _quantised(driver.turned, 2 * math.pi / 5, _WHEEL_PHASES)
                    state = "braking" if driver.push < -0.8 or driver.speed < 0.2 else ""
                    yield Actor(driver.key, driver.kind, driver.look, x, row, right, turn, state)

    def _walkers(self) -> list[dict[str, Any]]:
        """People who walk along the pavement, and people who wait at the zebra crossing and cross it."""
        rng, view, walkers = self.rng, self.street.view, []
        for number in range(7):
            low, high = (view.near_row, view.height) if number >= 5 else (view.far_row, view.kerb_row)
            row = low + (high - low) * rng.uniform(0.1, 0.8)
            speed = float(rng.choice((-1, 1))) * rng.uniform(1.0, 1.6)
            start = rng.uniform(-1, 1) * self.street.reach(row)
            walkers.append({"key": 1000 + number, "look": make_person(rng), "row": row, "x": start, "speed": speed})
        for number in range(6):
            down = number % 2 == 0
            walkers.append(
                {
                    "key": 1100 + number,
                    "look": make_person(rng),
                    "down": down,
                    "x": (self.street.crossing or 0) - 1.5 + number * 0.6,
                    "starts": self.clip.signal.red + 0.03 + rng.uniform(0, 0.07),
                    "takes": rng.uniform(0.3, 0.34),
                    "drift": rng.uniform(0.3, 0.9),
                }
            )
        return walkers

    def _people(self, seconds: float, part: float) -> Iterator[Actor]:
        view = self.street.view
        for one in self.walkers:
            if "speed" in one:
                # Those who leave at one side are followed by others like them from the other side.
                span = 2 * self.street.reach(one["row"]) + 3
                walked = one["x"] + one["speed"] * seconds + span / 2
                x = walked % span - span / 2
                key = one["key"] + 10 * abs(math.floor(walked / span))
                stride = _quantised(seconds * abs(one["speed"]) * 4.2 + 0.3 + one["key"], 2 * math.pi, _STEP_PHASES)
                yield Actor(key, "person", one["look"], x, one["row"], one["speed"] > 0, stride)
                continue
            done = min(1.0, max(0.0, (part - one["starts"]) / one["takes"]))
            way = -0.04 + 1.12 * (done if one["down"] else 1 - done)
            stride = _quantised(seconds * 6.3 + one["key"], 2 * math.pi, _STEP_PHASES) if 0 < done < 1 else 0.0
            x = one["x"] + one["drift"] * done
            row = view.between(way) if way <= 1 else view.near_row + (way - 1) * view.scale(view.near_row) * 4
            yield Actor(one["key"], "person", one["look"], x, row, True, stride)

    def _lights(self, part: float) -> Iterator[Actor]:
        view, crossing = self.street.view, self.street.crossing or 0.0
        state = self.clip.signal.state(part)
        for number, (x, row) in enumerate(
            ((crossing - 2.6, view.kerb_row - 2), (crossing + 2.7, view.near_row + 0.2 * view.scale(view.near_row)))
        ):
            yield Actor(2000 + number, "pole", 3.0, x, row)
            yield Actor(2000 + number, "traffic light", HEADS[number], x, row, state=state, lift=2.8, order=1)


def _quantised(angle: float, period: float, phases: int) -> float:
    """Return the angle rounded to one of this many steps, so that sprites can be reused."""
    return math.floor(angle % period / period * phases) * period / phases
