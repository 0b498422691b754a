"""Find a font that contains a character.

Fonts are tried in this order: the one inside Pillow (English and little more); DejaVu Sans, which opencv-python for
Linux includes (Latin, Greek, Cyrillic, Arabic, Hebrew, …); then, only once a text needs it, the fonts in the system's
font folders (Chinese, Japanese, Korean, …). A font is named by its file; Pillow's own by the empty string.
"""

from __future__ import annotations

import importlib.util
import os
import sys
import time
import unicodedata
from collections.abc import Iterator, Sequence
from functools import cache, lru_cache
from pathlib import Path

from PIL import ImageFont

PILLOWS_OWN = ""

_MISSING = "\uffff"  # not a character, so every font renders its symbol for a missing one
_PROBE_SIZE = 16
_SEARCH_SECONDS = 2.0
_PREFERRED = (
    *("notosanscjk", "notosans-", "notosans", "sourcehansans", "dejavusans.", "arialuni", "arial unicode"),
    *("pingfang", "hiragino", "applesdgothic", "msyh", "yugoth", "malgun", "simhei", "segoeui.", "nirmala"),
    *("wqy", "droidsansfallback", "unifont", "freesans.", "arial.", "notoemoji", "symbola"),
)
_STYLES = ("bold", "italic", "oblique", "light", "black", "thin", "mono")


@lru_cache(maxsize=64)
def font(path: str, size: int) -> ImageFont.FreeTypeFont:
    """Open a font at a size in pixels; raise OSError for a file that is not a font or has no such size."""
    opened = ImageFont.load_default(size) if path == PILLOWS_OWN else ImageFont.truetype(path, size)
    if not isinstance(opened, ImageFont.FreeTypeFont):
        raise OSError("this Pillow was built without FreeType")
    return opened


@lru_cache(maxsize=4096)
def runs(text: str) -> tuple[tuple[str, str], ...]:
    """Split a text into (font, piece): one piece if one font contains it all; `?` for what no font contains."""
    signs: list[str] = []
    for char in text:
        if unicodedata.category(char)[0] == "M" and signs:
            signs[-1] += char  # an accent belongs to the letter before it
        else:
            signs.append(char)
    fonts = [_font_for(sign) for sign in signs]
    for path in dict.fromkeys((PILLOWS_OWN, *fonts)):
        if path is not None and _holds(path, text):
            return ((path, text),)
    pieces: list[tuple[str, str]] = []
    for sign, path in zip(signs, fonts, strict=True):
        if path is None:
            path, sign = PILLOWS_OWN, "?"
        if pieces and pieces[-1][0] == path:
            sign = pieces.pop()[1] + sign
        pieces.append((path, sign))
    return tuple(pieces)


def _holds(path: str, text: str) -> bool:
    return all(_holds_char(path, char) for char in text)


@lru_cache(maxsize=1 << 16)
def _holds_char(path: str, char: str) -> bool:
    """Return whether the font has a glyph for this character rather than its symbol for a missing one."""
    if char == " ":
        return True
    try:
        mask = font(path, _PROBE_SIZE).getmask(char)
        return (mask.size, bytes(mask)) != _sign_for_missing(path)
    except (OSError, ValueError):
        return False  # not a font, or a bitmap font (colour emoji) without this size


@lru_cache(maxsize=64)
def _sign_for_missing(path: str) -> tuple[tuple[int, int], bytes]:
    mask = font(path, _PROBE_SIZE).getmask(_MISSING)
    return mask.size, bytes(mask)


@cache
def _font_for(sign: str) -> str | None:
    for path in (PILLOWS_OWN, *_opencvs()):
        if _holds(path, sign):
            return path
    return _system.font_for(sign)


@cache
def _opencvs() -> tuple[str, ...]:
    spec = importlib.util.find_spec("cv2")  # finds the package without importing it
    folders = spec.submodule_search_locations if spec else None
    files = (Path(folder) / "qt" / "fonts" / "DejaVuSans.ttf" for folder in folders or ())
    return tuple(str(file) for file in files if file.is_file())


class SystemFonts:
    """Return the fonts of this machine; all searches together take at most about `seconds`."""

    def __init__(self, folders: Sequence[str], *, seconds: float) -> None:
        self._folders = folders
        self.seconds_left = seconds
        self._files: list[str] | None = None
        self._used: list[str] = []

    def font_for(self, sign: str) -> str | None:
        """Return a font that contains this character with its accents, preferably one found before."""
        for path in self._used:
            if _holds(path, sign):
                return path
        started = time.monotonic()
        try:
            for path in self._search(deadline=started + self.seconds_left):
                if _holds(path, sign):
                    self._used.append(path)
                    return path
        finally:
            self.seconds_left -= time.monotonic() - started
        return None

    def _search(self, *, deadline: float) -> Iterator[str]:
        if time.monotonic() > deadline:
            return
        if self._files is None:
            self._files = sorted(self._list(deadline), key=_rank)
        for path in self._files:
            yield path
            if time.monotonic() > deadline:
                return

    def _list(self, deadline: float) -> Iterator[str]:
        for folder in self._folders:
            for where, _, names in os.walk(folder):
                for name in names:
                    if name.lower().endswith((".ttf", ".otf", ".ttc")):
                        yield str(Path(where) / name)
                if time.monotonic() > deadline:
                    return


def _rank(path: str) -> tuple[int, bool, str]:
    name = Path(path).name.lower()
    place = next((place for place, word in enumerate(_PREFERRED) if word in name), len(_PREFERRED))
    return place, any(style in name for style in _STYLES), path


def _folders() -> list[str]:
    if sys.platform == "darwin":
        folders = ["/System/Library/Fonts", "/Library/Fonts", "~/Library/Fonts"]
    elif sys.platform == "win32":
        folders = [r"%WINDIR%\Fonts", r"%LOCALAPPDATA%\Microsoft\Windows\Fonts"]
    else:
        folders = ["/usr/share/fonts", "/usr/local/share/fonts", "~/.local/share/fonts", "~/.fonts"]
    return [os.path.expandvars(os.path.expanduser(folder)) for folder in folders]  # noqa: PTH111 - never raises


_system = SystemFonts(_folders(), seconds=_SEARCH_SECONDS)
