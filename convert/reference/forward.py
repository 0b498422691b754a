"""The forward pass: all sections in order, every layer's output kept."""

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
    """Every layer's output, (channels, rows, columns), for a picture (channels, rows, columns) in 0..1.

    Heads give their raw input. The picture may have another size than the cfg says. Raises `ValueError` when there are
    too few or too many floats.
    """
    state = ForwardPass(picture.astype(np.float32), floats, transposed, darknet, batch_norm)
    # An unsound network may overflow here as it does in Darknet. The comparison deals with that.
    with np.errstate(all="ignore"):
        for section in cfg.layers:
            state.outputs.append(np.ascontiguousarray(LAYERS[section.kind](section, state), np.float32))
    if state.taken != floats.size:
        raise ValueError(f"{floats.size - state.taken} floats are left over")
    return state.outputs
