"""Draw the backdrop: sky, houses, trees, pavements, the road and its markings."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from scripts.street.brush import Colour, cut_corners, mix, shade

_TIMES = 2
_LIT_WINDOW: Colour = (255, 206, 120)


@dataclass(frozen=True)
class Palette:
    """Colours of light and weather."""

    light: str
    """`day`, `dusk` or `night`."""

    weather: str
    """`clear`, `rain`, `snow` or `fog`."""

    sky_top: Colour
    sky_bottom: Colour
    tint: tuple[float, float, float]
    """Factors for red, green and blue."""

    haze: Colour
    haze_far: float
    """Fraction of the haze's colour on the far pavement, 0 to 1; nearer objects have less."""

    lamps: float
    """Brightness of the lamps, 0 to 1."""

    falling: float = 1.0
    """Amount of the rain or snow, 0 to 1."""

    @property
    def lit(self) -> bool:
        """Whether lamps are on."""
        return self.lamps > 0


@dataclass(frozen=True)
class View:
    """The camera: metres to pixels. The scale depends on the row on which an object stands."""

    width: int
    height: int
    horizon: float
    """Row of the vanishing line."""

    camera_height: float
    """Metres above the street."""

    far_row: float
    """Foot of the houses."""

    kerb_row: float
    """Where the far pavement ends and the road begins."""

    near_row: float
    """Where the road ends."""

    def scale(self, row: float) -> float:
        """Return the pixels per metre for an object that stands on this row."""
        return (row - self.horizon) / self.camera_height

    def column(self, x: float, row: float) -> float:
        """Return the column of a point `x` metres right of the centre."""
        return self.width / 2 + x * self.scale(row)

    def between(self, part: float) -> float:
        """Return the row at a fraction of the way, in metres, from the far kerb (0) to the near one (1)."""
        far, near = 1 / (self.kerb_row - self.horizon), 1 / (self.near_row - self.horizon)
        return self.horizon + 1 / (far + (near - far) * part)


def paint_backdrop(
    view: View, palette: Palette, rng: np.random.Generator, *, workers: int, crossing: float | None
) -> tuple[Image.Image, Image.Image]:
    """Draw the street without actors, and the light of its windows; `crossing` is where the zebra is, in metres."""
    width, height = view.width * _TIMES, view.height * _TIMES
    image = _sky(view, palette)
    light = Image.new("RGB", (width, height))
    draw, glow = ImageDraw.Draw(image), ImageDraw.Draw(light)
    # Each part has its own random generator, so that the houses are the same in any light and weather.
    heaven, skyline, houses, ground = rng.spawn(4)
    _heaven(draw, glow, view, palette, heaven)
    _skyline(draw, view, palette, skyline)
    _houses(draw, glow, view, palette, houses)
    _ground(draw, view, palette, ground, workers=workers, crossing=crossing)
    return image.reduce(_TIMES), light.reduce(_TIMES)


def _sky(view: View, palette: Palette) -> Image.Image:
    rows = int(view.far_row * _TIMES)
    part = np.linspace(0, 1, rows)[:, None] ** 1.3
    column = np.array(palette.sky_top) * (1 - part) + np.array(palette.sky_bottom) * part
    full = np.concatenate([column, np.repeat(column[-1:], view.height * _TIMES - rows, axis=0)]).astype(np.uint8)
    strip = Image.fromarray(full[:, None].repeat(2, axis=1))
    return strip.resize((view.width * _TIMES, view.height * _TIMES), Image.Resampling.NEAREST)


def _heaven(
    draw: ImageDraw.ImageDraw, glow: ImageDraw.ImageDraw, view: View, palette: Palette, rng: np.random.Generator
) -> None:
    width, sky = view.width * _TIMES, view.horizon * _TIMES
    x, y, size = rng.uniform(0.1, 0.9) * width, rng.uniform(0.12, 0.4) * sky, sky * 0.11
    if palette.light == "night":
        for _ in range(40):
            star_x, star_y, radius = rng.uniform(0, width), rng.uniform(0, sky), rng.uniform(0.6, 1.6)
            if palette.weather == "clear":
                glow.ellipse((star_x - radius, star_y - radius, star_x + radius, star_y + radius), fill=(150, 155, 170))
        if palette.weather == "clear":
            glow.ellipse((x - size, y - size, x + size, y + size), fill=(190, 190, 170))
            glow.ellipse((x - size * 0.45, y - size * 1.05, x + size * 1.3, y + size * 0.8), fill=(0, 0, 0))
    elif palette.weather == "clear":
        sun = (255, 240, 190) if palette.light == "day" else (255, 196, 130)
        if palette.light == "dusk":
            y = sky * 0.7
        for grow, part in ((1.9, 0.2), (1.4, 0.4), (1.0, 1.0)):
            reach = size * grow
            draw.ellipse((x - reach, y - reach, x + reach, y + reach), fill=mix(palette.sky_top, sun, part))
    cloud = mix(palette.sky_bottom, (255, 255, 255), 0.55 if palette.weather == "clear" else 0.12)
    for _ in range(int(rng.integers(2, 6))):
        x, y, size = rng.uniform(0, width), rng.uniform(0.08, 0.6) * sky, rng.uniform(0.05, 0.1) * sky
        for _ in range(5):
            left, top = x + rng.uniform(-2.4, 2.4) * size, y + rng.uniform(-0.3, 0.3) * size
            reach = size * rng.uniform(0.7, 1.3)
            draw.ellipse((left - reach * 1.6, top - reach * 0.7, left + reach * 1.6, top + reach * 0.7), fill=cloud)


def _skyline(draw: ImageDraw.ImageDraw, view: View, palette: Palette, rng: np.random.Generator) -> None:
    width, base = view.width * _TIMES, view.far_row * _TIMES
    colour = mix(palette.sky_bottom, (96, 110, 140), 0.35)
    x = -20.0
    while x < width:
        wide, high = rng.uniform(0.05, 0.11) * width, rng.uniform(0.35, 0.85) * base
        draw.rectangle((x, base - high, x + wide, base), fill=colour)
        x += wide * rng.uniform(0.9, 1.5)


_WALLS: tuple[Colour, ...] = (
    (226, 186, 150),
    (206, 132, 106),
    (236, 214, 170),
    (172, 190, 178),
    (150, 166, 190),
    (222, 170, 166),
    (190, 170, 196),
    (240, 232, 216),
    (176, 108, 88),
)
_AWNINGS: tuple[Colour, ...] = ((206, 80, 70), (70, 140, 120), (70, 110, 170), (226, 160, 70))


def _houses(
    draw: ImageDraw.ImageDraw, glow: ImageDraw.ImageDraw, view: View, palette: Palette, rng: np.random.Generator
) -> None:
    unit = view.scale(view.far_row) * _TIMES
    base, x = view.far_row * _TIMES, -rng.uniform(0, 4) * unit
    while x < view.width * _TIMES:
        wide, floors = rng.uniform(5, 9) * unit, int(rng.integers(1, 5))
        if rng.random() < 0.2:
            _green(draw, x, x + wide, base, unit, palette, rng)
            x += wide
            continue
        wall = _hazed(_WALLS[int(rng.integers(len(_WALLS)))], palette)
        top = base - (3.4 + 2.9 * (floors - 1)) * unit
        draw.rectangle((x, top, x + wide, base), fill=wall)
        if rng.random() < 0.5:
            roof = _hazed((236, 240, 246) if palette.weather == "snow" else (150, 92, 78), palette)
            draw.polygon(
                [
                    (x - 0.3 * unit, top),
                    (x + wide + 0.3 * unit, top),
                    (x + wide - unit, top - 1.7 * unit),
                    (x + unit, top - 1.7 * unit),
                ],
                fill=roof,
            )
        else:
            roof = _hazed((236, 240, 246), palette) if palette.weather == "snow" else shade(wall, -0.18)
            draw.rectangle((x - 0.15 * unit, top - 0.35 * unit, x + wide + 0.15 * unit, top), fill=roof)
        _windows(draw, glow, (x, top, wide, base), floors, unit, wall, palette, rng)
        _shop(draw, glow, (x, wide, base), unit, wall, palette, rng)
        draw.rectangle((x + wide - 0.12 * unit, top, x + wide, base), fill=shade(wall, -0.15))
        x += wide


def _windows(
    draw: ImageDraw.ImageDraw,
    glow: ImageDraw.ImageDraw,
    house: tuple[float, float, float, float],
    floors: int,
    unit: float,
    wall: Colour,
    palette: Palette,
    rng: np.random.Generator,
) -> None:
    x, top, wide, _ = house
    count = max(2, int(wide / (1.9 * unit)))
    step = wide / count
    glass = _hazed((110, 140, 166), palette)
    for floor in range(floors - 1):
        y = top + (0.7 + floor * 2.9) * unit
        for index in range(count):
            left = x + (index + 0.5) * step - 0.5 * unit
            area = (left, y, left + unit, y + 1.5 * unit)
            draw.rectangle(
                (area[0] - 0.1 * unit, area[1] - 0.1 * unit, area[2] + 0.1 * unit, area[3] + 0.2 * unit),
                fill=shade(wall, 0.4),
            )
            draw.rectangle(area, fill=glass)
            on, strength = rng.random() < 0.5, rng.uniform(0.4, 0.8)
            if on and palette.lit:
                glow.rectangle(area, fill=mix((0, 0, 0), _LIT_WINDOW, (1 - palette.haze_far) * strength))
            draw.line(
                (left + unit / 2, y, left + unit / 2, y + 1.5 * unit),
                fill=shade(wall, 0.4),
                width=max(1, round(0.08 * unit)),
            )


def _shop(
    draw: ImageDraw.ImageDraw,
    glow: ImageDraw.ImageDraw,
    place: tuple[float, float, float],
    unit: float,
    wall: Colour,
    palette: Palette,
    rng: np.random.Generator,
) -> None:
    x, wide, base = place
    door = x + rng.uniform(0.1, 0.7) * (wide - 1.4 * unit)
    shows = rng.random() < 0.6
    glass = _hazed((134, 164, 182), palette)
    if shows:
        area = (x + 0.4 * unit, base - 2.3 * unit, x + wide - 0.4 * unit, base - 0.6 * unit)
        draw.rectangle(area, fill=glass)
        if palette.lit:
            glow.rectangle(area, fill=mix((0, 0, 0), _LIT_WINDOW, 0.6 * (1 - palette.haze_far)))
    draw.rectangle((door, base - 2.3 * unit, door + 1.2 * unit, base), fill=_hazed((110, 76, 60), palette))
    draw.rectangle((door + 0.2 * unit, base - 2.1 * unit, door + unit, base - 1.1 * unit), fill=glass)
    if shows:
        colour = _hazed(_AWNINGS[int(rng.integers(len(_AWNINGS)))], palette)
        stripes = max(4, int(wide / (0.7 * unit)))
        for index in range(stripes):
            left, right = (x + 0.2 * unit + (wide - 0.4 * unit) * at / stripes for at in (index, index + 1))
            draw.polygon(
                [
                    (left, base - 2.9 * unit),
                    (right, base - 2.9 * unit),
                    (right, base - 2.2 * unit),
                    (left, base - 2.2 * unit),
                ],
                fill=colour if index % 2 else _hazed((244, 240, 232), palette),
            )


def _green(
    draw: ImageDraw.ImageDraw,
    left: float,
    right: float,
    base: float,
    unit: float,
    palette: Palette,
    rng: np.random.Generator,
) -> None:
    leaf = (226, 234, 240) if palette.weather == "snow" else (104, 156, 96)
    draw.rectangle((left, base - 0.9 * unit, right, base), fill=_hazed(shade(leaf, -0.2), palette))
    for x in np.arange(left + 1.2 * unit, right - 0.6 * unit, 2.6 * unit):
        high = rng.uniform(3.2, 5.2) * unit
        draw.rectangle((x - 0.16 * unit, base - high, x + 0.16 * unit, base), fill=_hazed((122, 88, 66), palette))
        for _ in range(6):
            centre_x, centre_y = x + rng.uniform(-0.8, 0.8) * unit, base - high + rng.uniform(-0.7, 0.7) * unit
            reach = rng.uniform(0.7, 1.2) * unit
            colour = _hazed(shade(leaf, rng.uniform(-0.15, 0.12)), palette)
            draw.ellipse((centre_x - reach, centre_y - reach, centre_x + reach, centre_y + reach), fill=colour)


def _ground(
    draw: ImageDraw.ImageDraw,
    view: View,
    palette: Palette,
    rng: np.random.Generator,
    *,
    workers: int,
    crossing: float | None,
) -> None:
    width = view.width * _TIMES
    snow = palette.weather == "snow"
    pavement: Colour = (226, 230, 236) if snow else (190, 184, 176)
    road: Colour = (142, 146, 156) if snow else (84, 88, 100)
    if palette.weather == "rain":
        pavement, road = shade(pavement, -0.12), shade(road, -0.18)
    paint = shade(road, 0.75)

    def band(top: float, bottom: float, colour: Colour) -> None:
        draw.rectangle((0, top * _TIMES, width, bottom * _TIMES), fill=colour)

    def patch(left: float, right: float, top: float, bottom: float, colour: Colour) -> None:
        corners = ((left, top), (right, top), (right, bottom), (left, bottom))
        draw.polygon([(view.column(x, row) * _TIMES, row * _TIMES) for x, row in corners], fill=colour)

    band(view.far_row, view.kerb_row, _hazed(pavement, palette))
    for row in np.linspace(view.kerb_row, view.near_row, 9)[:-1]:
        nearness = (row - view.kerb_row) / (view.near_row - view.kerb_row)
        band(row, view.near_row, _hazed(shade(road, -0.1 * nearness), palette, near=nearness))
    band(
        view.kerb_row - max(1.0, 0.12 * view.scale(view.kerb_row)),
        view.kerb_row,
        _hazed(shade(pavement, 0.25), palette),
    )
    reach = view.width / view.scale(view.kerb_row)
    for lane in range(1, workers):
        row = view.between(lane / workers)
        thick = max(1.0, 0.13 * view.scale(row) * 0.6)
        if lane == workers // 2:
            patch(-reach, reach, row - thick * 1.3, row - thick * 0.4, paint)
            patch(-reach, reach, row + thick * 0.4, row + thick * 1.3, paint)
        else:
            for x in np.arange(-reach, reach, 5.0):
                patch(x, x + 2.2, row - thick / 2, row + thick / 2, paint)
    if crossing is not None:
        stripes = 4 * workers
        for index in range(stripes):
            top, bottom = (view.between((index + at) / stripes) for at in (0.22, 0.78))
            patch(crossing - 1.6, crossing + 1.6, top, bottom, shade(paint, 0.3))
    band(view.near_row, view.height, pavement)
    band(view.near_row, view.near_row + 0.14 * view.scale(view.near_row), shade(pavement, 0.3))
    joint = shade(pavement, -0.1)
    scale = view.scale(view.height)
    for x in np.arange(-math.ceil(view.width / scale), view.width / scale, 1.2):
        line = [
            (view.column(x, row) * _TIMES, row * _TIMES) for row in (view.near_row + 0.2 * scale * 0.6, view.height)
        ]
        draw.line(line, fill=joint, width=2)
    if palette.weather == "rain":
        for _ in range(int(rng.integers(4, 9))):
            row, x = view.between(rng.uniform(0.1, 0.95)), rng.uniform(-0.5, 0.5) * view.width
            wide = rng.uniform(0.6, 1.8) * view.scale(row)
            centre = view.width / 2 + x
            corners = [
                (centre - wide, row),
                (centre, row - wide * 0.12),
                (centre + wide, row),
                (centre, row + wide * 0.12),
            ]
            places = [(px * _TIMES, py * _TIMES) for px, py in cut_corners(cut_corners(corners))]
            draw.polygon(places, fill=mix(road, palette.sky_bottom, 0.45))


def _hazed(colour: Colour, palette: Palette, *, near: float = 0.0) -> Colour:
    return mix(colour, palette.haze, palette.haze_far * (1 - near))
