"""Convert each kind of cfg section with one function, from its keys to a `Layer`.

A function reads its section's keys, computes the output shape, declares its parameters in the order of Darknet's file,
and returns a closure that builds its Keras layers. To add a kind, write a function and list it in `KINDS`.
"""

from __future__ import annotations

from collections.abc import Callable

from convert.cfg import Section
from convert.layers.connected import connected, local
from convert.layers.convolution import convolutional
from convert.layers.detection import detection, gaussian_yolo, region, yolo
from convert.layers.joining import route, sam, scale_channels
from convert.layers.layer import Before, Layer
from convert.layers.normalisation import batchnorm
from convert.layers.pointwise import activation, dropout, identity, implicit
from convert.layers.pooling import avgpool, local_avgpool, maxpool
from convert.layers.refusal import REFUSED, refused
from convert.layers.resizing import crop, reorg, reorg3d, upsample
from convert.layers.shortcut import shortcut
from convert.layers.softmax import softmax

KINDS: dict[str, Callable[[Section, Before], Layer]] = {
    "Gaussian_yolo": gaussian_yolo,
    "activation": activation,
    "avgpool": avgpool,
    "batchnorm": batchnorm,
    "connected": connected,
    "convolutional": convolutional,
    "cost": identity,
    "crop": crop,
    "detection": detection,
    "dropout": dropout,
    "empty": identity,
    "implicit": implicit,
    "implicit_add": implicit,
    "implicit_mul": implicit,
    "local": local,
    "local_avgpool": local_avgpool,
    "maxpool": maxpool,
    "region": region,
    "reorg": reorg,
    "reorg3d": reorg3d,
    "route": route,
    "sam": sam,
    "scale_channels": scale_channels,
    "shortcut": shortcut,
    "softmax": softmax,
    "upsample": upsample,
    "yolo": yolo,
}
"""The function for each supported section kind."""

KNOWN: dict[str, Callable[[Section, Before], Layer]] = KINDS | {
    kind: refused(meaning) for kind, meaning in REFUSED.items()
}
"""`KINDS` and the known kinds that are refused with an explanation."""
