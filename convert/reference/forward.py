"""Run all sections in order and keep every layer's output."""

from __future__ import annotations

from typing import Literal

import numpy as np

from convert.cfg import Cfg
from convert.reference.forward_pass import Array, ForwardPass
from convert.reference.layers import LAYERS


def forward(
    cfg: Cfg,
    floats: Array,
    picture: Array,
    *,
    transposed: bool = False,
    darknet: Literal["alexeyab", "pjreddie"] = "alexeyab",
    batch_norm: Literal["alexeyab", "pjreddie"] = "alexeyab",
) -> list[Array]:
    """Return every layer's output, (channels, rows, columns), for an image (channels, rows, columns) in 0..1.

    Heads return their raw input. The image may have another size than the cfg's. Raise `ValueError` when there are too
    few or too many floats.
    """
    state = ForwardPass(picture.astype(np.float32), floats, transposed, darknet, batch_norm)
    # With damaged weights this may overflow, as Darknet does. The comparison handles that.
    with np.errstate(all="ignore"):
        for section in cfg.layers:
            state.outputs.append(np.ascontiguousarray(LAYERS[section.kind](section, state), np.float32))
    if state.taken != floats.size:
        raise ValueError(f"{floats.size - state.taken} floats are left over")
    return state.outputs
