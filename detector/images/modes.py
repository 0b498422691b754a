"""How a picture may be fitted into a network's input: the words that settings and the letterbox share."""

from __future__ import annotations

from typing import Literal

Resize = Literal["letterbox", "stretch"]
"""Whether the picture keeps its shape, with grey around it, or fills the input."""

Shape = Literal["square", "rect", "fit"]
"""The input's own size; the smallest rectangle of whole strides; the rectangle nearest to the picture's shape."""

Interpolation = Literal["linear", "area", "darknet"]
"""How pixels are made smaller or larger."""
