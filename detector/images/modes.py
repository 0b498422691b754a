"""Name the ways to fit an image into a network's input; shared by the settings and the letterbox."""

from __future__ import annotations

from typing import Literal

Resize = Literal["letterbox", "stretch"]
"""Whether the image keeps its shape, with grey around it, or is stretched to the input."""

Shape = Literal["square", "rect", "fit"]
"""The input's own size; the smallest rectangle of whole strides; the rectangle nearest to the image's shape."""

Interpolation = Literal["linear", "area", "darknet"]
"""The interpolation used for resizing."""
