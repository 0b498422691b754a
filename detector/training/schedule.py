"""The learning rate at each step."""

from __future__ import annotations

import math

from convert.cfg import Section
from detector.training.settings import TrainSettings


def learning_rate(step: int, steps: int, settings: TrainSettings, net: Section) -> float:
    """The rate at a step of so many in all, both counted in batches.

    It rises in a straight line, then falls as a quarter-turn of a cosine to `final_rate` of itself
    (Loshchilov and Hutter, arXiv:1608.03983) or, as Darknet's `policy=steps` has it (`get_current_rate`,
    network.c), is multiplied by the cfg's `scales` at its `steps`.
    """
    full = settings.learning_rate
    if step < settings.warm_up:
        return full * (step + 1) / settings.warm_up
    if settings.schedule == "darknet":
        for at, scale in zip(net.integers("steps"), net.numbers("scales"), strict=False):
            if step >= at:
                full *= scale
        return full
    part = (step - settings.warm_up) / max(1, steps - settings.warm_up)
    low = settings.final_rate
    return full * (low + (1 - low) * (1 + math.cos(math.pi * min(1.0, part))) / 2)
