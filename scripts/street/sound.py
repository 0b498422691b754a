"""Make the sound of the street: a slow tune, traffic, the ticking of the crossing, rain at the end."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from scripts.street.clip import Clip

RATE = 44_100
_CHORDS = ((220.0, 277.18, 329.63), (196.0, 246.94, 293.66), (174.61, 220.0, 261.63), (196.0, 246.94, 329.63))
"""A major, G major, F major, E minor over G: hertz."""


def write_sound(path: Path, clip: Clip) -> None:
    """Write a clip's sound as a WAV file, 16 bit, one channel."""
    samples = make_sound(clip)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(np.rint(samples * 32767).astype("<i2").tobytes())


def make_sound(clip: Clip) -> NDArray[np.float32]:
    """Return the samples of the whole clip, -1 to 1."""
    count = round(len(clip) / clip.rate * RATE)
    time = np.arange(count) / RATE
    part = np.arange(count) / max(1, count)
    rng = np.random.default_rng([clip.seed, 4])
    noise = rng.normal(size=count)
    rumble = _smooth(noise, 400) * (0.6 + 0.4 * np.sin(2 * np.pi * time / 6))
    rain = (noise - _smooth(noise, 8)) * np.clip((part - 0.7) / 0.2, 0, 1)
    red = (part >= clip.signal.red) & (part < clip.signal.green)
    ticking = np.sin(2 * np.pi * 1100 * time) * np.exp(-40 * (time % 0.25)) * red
    fade = np.clip(np.minimum(time, time[-1] - time) / 0.5, 0, 1)
    mixed = 0.22 * _tune(time) + 0.9 * rumble + 0.03 * rain + 0.05 * ticking
    samples: NDArray[np.float32] = np.clip(mixed * fade, -1, 1).astype(np.float32)
    return samples


def _tune(time: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the tune: chords of two and a half seconds, their notes plucked one after the other."""
    tune = np.zeros_like(time)
    for number, chord in enumerate(_CHORDS):
        within = time % 10 - number * 2.5
        for place, pitch in enumerate((*chord, chord[1] * 2)):
            since = within - place * 0.31
            rings = (since >= 0) & (within < 2.5)
            pluck = np.exp(-2.2 * np.clip(since, 0, None)) * np.clip(since / 0.01, 0, 1)
            tune += rings * pluck * (np.sin(2 * np.pi * pitch * time) + 0.3 * np.sin(4 * np.pi * pitch * time)) / 3
    return tune


def _smooth(values: NDArray[np.float64], width: int) -> NDArray[np.float64]:
    """Return a moving average, as a low-pass filter."""
    total = np.cumsum(np.concatenate([values, np.zeros(width)]))
    mean: NDArray[np.float64] = (total[width:] - total[:-width]) / width
    return mean
