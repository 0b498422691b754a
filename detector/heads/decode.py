"""Decode raw heads to candidate boxes, in NumPy: one function for each kind of head."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from convert.head import Head
from detector.errors import ModelFileError
from detector.heads.candidates import Candidates, sigmoid
from detector.heads.yolo import decode_gaussian, decode_yolo
from detector.heads.yolo_v1_v2 import decode_detection, decode_region

__all__ = ["DECODERS", "Candidates", "decode", "sigmoid"]

DECODERS = {
    "Gaussian_yolo": decode_gaussian,
    "detection": decode_detection,
    "region": decode_region,
    "yolo": decode_yolo,
}
"""The function for each kind of head."""


def decode(
    outputs: Sequence[NDArray[np.float32]],
    heads: Sequence[Head],
    *,
    confidence: float,
    width: int,
    height: int,
    classes: NDArray[np.intp] | None = None,
) -> Candidates:
    """Return the candidates of one image whose score is above `confidence`.

    `outputs` are the raw heads, each (rows, columns, channels of the head), in the order of `heads`; `width` and
    `height` are the network's input in pixels. A box whose objectness is above the threshold is a candidate for every
    class whose score is. `classes` limits them to these class ids. Raise `ModelFileError` when outputs and heads do not
    match.
    """
    shapes = [output.shape[-1] for output in outputs]
    if shapes != [head.channels for head in heads]:
        raise ModelFileError(
            f"the network has outputs of {shapes} channels, but its description says "
            f"{[head.channels for head in heads]}: the model file was changed, convert the network again"
        )
    found = [
        DECODERS[head.kind](output, head, confidence, width, height, classes)
        for output, head in zip(outputs, heads, strict=True)
    ]
    return Candidates(
        np.concatenate([part.boxes for part in found]),
        np.concatenate([part.score for part in found]),
        np.concatenate([part.class_id for part in found]),
    )
