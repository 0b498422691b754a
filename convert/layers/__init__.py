"""One small function per section kind: keys in, a `Layer` out.

A function reads its section's keys, works out the output shape, declares its parameters in the order of Darknet's
file, and says how to build itself in Keras. Everything about a kind stands in that one function. To teach the
converter a new kind, write one and put it into `KINDS`.
"""

from __future__ import annotations

from collections.abc import Callable

from convert.cfg import Section
from convert.layers.convolution import convolutional
from convert.layers.detection import yolo
from convert.layers.joining import route, shortcut
from convert.layers.layer import Before, Layer
from convert.layers.pointwise import cost, dropout, softmax
from convert.layers.pooling import avgpool, maxpool, upsample

KINDS: dict[str, Callable[[Section, Before], Layer]] = {
    "avgpool": avgpool,
    "convolutional": convolutional,
    "cost": cost,
    "dropout": dropout,
    "maxpool": maxpool,
    "route": route,
    "shortcut": shortcut,
    "softmax": softmax,
    "upsample": upsample,
    "yolo": yolo,
}
