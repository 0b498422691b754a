"""Render a line of text, in any script, as a patch of pixels.

Text is rendered by Pillow, once, and cached: on a video frame a label is a copy of a few rows. `detector.drawing.fonts`
finds a font for each text. A character that no font contains is drawn as `?`, as are most emoji, because colour fonts
come in one size only. Line breaks become spaces; other control characters are removed.
"""

from __future__ import annotations

import unicodedata
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from detector.drawing import fonts

Colour = tuple[int, int, int]

_LONGEST = 200
_MARGIN = 0.3  # as a fraction of the size


@lru_cache(maxsize=4096)
def text_patch(text: str, size: int, colour: Colour, background: Colour) -> NDArray[np.uint8]:
    """Render one `printable` line as a read-only RGB patch, `line_height(size)` high; `size` is in pixels.

    Spaces at the ends of the text are margins.
    """
    mask = _mask(text, size)
    share = np.linspace(0, 1, 256)[:, None]
    blend = np.rint(np.array(background) * (1 - share) + np.array(colour) * share).astype(np.uint8)
    patch: NDArray[np.uint8] = blend[mask]
    patch.setflags(write=False)
    return patch


def line_height(size: int) -> int:
    """Return the height of a patch, equal for all texts of one size."""
    # Capitals take 0.7 of the size, accented ones 1.0; with 0.3 below the base line they are vertically centred.
    return size + round(0.3 * size)


@lru_cache(maxsize=4096)
def shortened(text: str, size: int, width: int) -> str:
    """Cut a text at its end, marked by `…`, so that its patch is at most `width` wide; "" if nothing fits."""
    if _mask(text, size).shape[1] <= width:
        return text
    fits, too_long = 0, len(text)
    while too_long - fits > 1:
        middle = (fits + too_long) // 2
        if _mask(text[:middle].rstrip() + "…", size).shape[1] <= width:
            fits = middle
        else:
            too_long = middle
    return text[:fits].rstrip() + "…" if fits else ""


@lru_cache(maxsize=1 << 14)
def printable(text: str) -> str:
    """Put a text on one line and remove control and format characters and lone surrogates."""
    # U+FE00 to FE0F only select a variant of the character before.
    text = "".join(" " if char.isspace() else char for char in text[:_LONGEST])
    kept = (
        char
        for char in unicodedata.normalize("NFC", text)
        if unicodedata.category(char) not in ("Cc", "Cf", "Cs") and not "\ufe00" <= char <= "\ufe0f"
    )
    return " ".join("".join(kept).split())


@lru_cache(maxsize=2048)
def _mask(text: str, size: int) -> NDArray[np.uint8]:
    """Return how much of each pixel the text covers, 0 to 255."""
    # Margins are not rendered as spaces: a right-to-left script would move them to the other side.
    inner = text.strip(" ")
    before = _MARGIN * size * (len(text) - len(text.lstrip(" ")))
    after = _MARGIN * size * (len(text) - len(text.rstrip(" ")))
    pieces = [(fonts.font(path, size), piece) for path, piece in fonts.runs(inner)]
    length = sum(font.getlength(piece) for font, piece in pieces)
    image = Image.new("L", (max(1, round(before + length + after)), line_height(size)))
    canvas = ImageDraw.Draw(image)
    left = float(round(before))
    for font, piece in pieces:
        canvas.text((left, size), piece, fill=255, font=font, anchor="ls")
        left += font.getlength(piece)
    return np.asarray(image)
