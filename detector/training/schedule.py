"""Compute the learning rate at each step."""

from __future__ import annotations

import math

from convert.cfg import Section
from detector.training.settings import TrainSettings

_WARM_UP_PART = 10
"""The warm-up takes at most one in this many steps."""


def warm_up_steps(steps: int, settings: TrainSettings) -> int:
    """Return the steps of the warm-up in a run of `steps`: as set, but at most a tenth of them."""
    return min(settings.warm_up, steps // _WARM_UP_PART)


def learning_rate(step: int, steps: int, settings: TrainSettings, net: Section) -> float:
    """Return the rate at a step, counted from 0, of a run of `steps`.

    It rises linearly, then falls as half a cosine to `final_rate` of itself (Loshchilov and Hutter, arXiv:1608.03983)
    or, as with Darknet's `policy=steps` (`get_current_rate`, network.c), is multiplied by the cfg's `scales` at its
    `steps`.
    """
    full = settings.learning_rate
    warm_up = warm_up_steps(steps, settings)
    if step < warm_up:
        return full * (step + 1) / warm_up
    if settings.schedule == "darknet":
        for at, scale in zip(net.integers("steps"), net.numbers("scales"), strict=False):
            if step >= at:
                full *= scale
        return full
    progress = (step - warm_up) / max(1, steps - warm_up)
    low = settings.final_rate
    return full * (low + (1 - low) * (1 + math.cos(math.pi * min(1.0, progress))) / 2)
