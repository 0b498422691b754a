"""Apply light and weather: palettes, rain and snow."""

from __future__ import annotations

import itertools

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from scripts.street.backdrop import Palette
from scripts.street.brush import Colour, mix

LIGHTS = ("day", "dusk", "night")
WEATHERS = ("clear", "rain", "snow", "fog")

_SKIES: dict[str, tuple[Colour, Colour, tuple[float, float, float]]] = {
    "day": ((96, 170, 230), (206, 234, 246), (1.0, 1.0, 1.0)),
    "dusk": ((96, 90, 150), (255, 178, 128), (0.9, 0.74, 0.72)),
    "night": ((36, 46, 84), (80, 90, 132), (0.5, 0.53, 0.68)),
}
_OVERCAST: Colour = (176, 186, 198)


def make_palette(light: str, weather: str) -> Palette:
    """Return the colours of a time of day and its weather. The night tint darkens the sky as well."""
    top, bottom, tint = _SKIES[light]
    grey = 0.0 if weather == "clear" else 0.75
    dim = {"clear": 1.0, "rain": 0.86, "snow": 0.98, "fog": 0.96}[weather]
    bottom = mix(bottom, _OVERCAST, grey)
    return Palette(
        light=light,
        weather=weather,
        sky_top=mix(top, _OVERCAST, grey * 0.9),
        sky_bottom=bottom,
        tint=(tint[0] * dim, tint[1] * dim, tint[2] * min(1.0, dim * 1.04)),
        haze=bottom,
        haze_far={"clear": 0.1, "rain": 0.22, "snow": 0.22, "fog": 0.5}[weather],
        lamps=0.0 if light == "day" else 1.0,
    )


def between(one: Palette, other: Palette, part: float) -> Palette:
    """Return a palette between two; rain or snow begins on the way."""
    if part <= 0 or part >= 1:
        return one if part <= 0 else other
    nearer = one if part < 0.5 else other
    wet = other if other.weather in ("rain", "snow") else one

    def blend(a: float, b: float) -> float:
        return a + (b - a) * part

    return Palette(
        light=nearer.light,
        weather=wet.weather,
        sky_top=mix(one.sky_top, other.sky_top, part),
        sky_bottom=mix(one.sky_bottom, other.sky_bottom, part),
        tint=(blend(one.tint[0], other.tint[0]), blend(one.tint[1], other.tint[1]), blend(one.tint[2], other.tint[2])),
        haze=mix(one.haze, other.haze, part),
        haze_far=blend(one.haze_far, other.haze_far),
        lamps=blend(one.lamps, other.lamps),
        falling=1.0 if one.weather == other.weather else part if wet is other else 1 - part,
    )


def light_up(
    picture: NDArray[np.uint8], light: Image.Image, beams: list[tuple[list[tuple[float, float]], Colour]], tint: Palette
) -> NDArray[np.uint8]:
    """Apply the tint, lamps with their bloom, and the beams of headlights."""
    table = np.rint(np.arange(256)[:, None] * np.array(tint.tint)).astype(np.uint8)[None]
    toned = cv2.LUT(picture, np.ascontiguousarray(table))
    if tint.lit:
        if tint.lamps < 1:
            light = light.point([round(level * tint.lamps) for level in range(256)] * 3)
        small = light.reduce(4)
        draw = ImageDraw.Draw(small)
        for polygon, colour in beams:
            draw.polygon([(x / 4, y / 4) for x, y in polygon], fill=mix((0, 0, 0), colour, tint.lamps))
        bloom = np.asarray(small.filter(ImageFilter.GaussianBlur(picture.shape[0] / 140)))
        toned = cv2.add(toned, cv2.resize(bloom, picture.shape[1::-1], interpolation=cv2.INTER_LINEAR))
        toned = cv2.add(toned, np.asarray(light))
    return np.asarray(toned, np.uint8)


def fall(picture: NDArray[np.uint8], palette: Palette, *, seed: int, time: float) -> NDArray[np.uint8]:
    """Draw rain or snow over the image at a time in seconds."""
    if palette.weather not in ("rain", "snow"):
        return picture
    height, width = picture.shape[:2]
    rng = np.random.default_rng([seed, 77])
    count = 170 if palette.weather == "rain" else 220
    depth = rng.uniform(0.4, 1.0, count)
    speed = (1.9 if palette.weather == "rain" else 0.22) * depth
    y = (rng.uniform(0, 1, count) + speed * time) % 1.1 - 0.05
    x = (rng.uniform(0, 1, count) + (0.05 * np.sin(6 * depth + time) if palette.weather == "snow" else -0.25 * y)) % 1
    veil = Image.new("L", (width, height))
    draw = ImageDraw.Draw(veil)
    drops = zip(x * width, y * height, depth, strict=True)
    for at_x, at_y, near in itertools.islice(drops, round(count * palette.falling)):
        if palette.weather == "rain":
            length = height * 0.05 * near
            draw.line(
                (at_x, at_y, at_x - length * 0.2, at_y + length),
                fill=int(95 * near),
                width=max(1, round(height / 300 * near)),
            )
        else:
            radius = height / 210 * near
            draw.ellipse((at_x - radius, at_y - radius, at_x + radius, at_y + radius), fill=int(235 * near))
    bright = 215 if palette.light == "night" else 245
    return np.array(Image.composite(Image.new("RGB", (width, height), (bright,) * 3), Image.fromarray(picture), veil))
