"""Recognise damage in a .weights file from its bytes, without a network."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np

from convert.recognise import recognise

SAMPLE_BYTES = 8 << 20
"""Bytes that are examined for damage."""

LARGEST_HEADER_NUMBER = 100_000


def damage(path: Path | str) -> str:
    """Return a description of the damage that the bytes show without a network; empty if none is found.

    Recognised are other kinds of file, big-endian numbers, conversion as text, a partial number at the end, a header
    without weights, and implausible weights.
    """
    path = Path(path)
    with path.open("rb") as file:
        start = file.read(SAMPLE_BYTES)
    size = path.stat().st_size
    return (
        recognise(start[:4096])
        or other_byte_order(start)
        or _copied_as_text(start)
        or _too_short(size, start)
        or _no_weights(start)
    )


def other_byte_order(start: bytes) -> str:
    """Return a sentence for a file whose header is valid only as big-endian; empty for others."""
    if len(start) < 16:
        return ""
    little, big = struct.unpack("<3i", start[:12]), struct.unpack(">3i", start[:12])
    swapped = all(0 <= number < 1000 for number in big) and any(
        abs(number) > LARGEST_HEADER_NUMBER for number in little
    )
    return "its numbers are big-endian, written on another kind of machine (expected little-endian)" if swapped else ""


def _copied_as_text(start: bytes) -> str:
    """Recognise a text-mode copy, which adds or removes a carriage return before line feeds, and UTF-8's EF BF BD."""
    feeds, pairs = start.count(b"\n"), start.count(b"\r\n")
    if start.count(b"\xef\xbf\xbd") > 8 + len(start) // 1000:
        return "it was read as text and written again (it is full of U+FFFD): copy it in binary mode"
    if feeds >= 16 and pairs == feeds:
        return "it was copied as text (every line feed has become two bytes): copy it in binary mode"
    # In random bytes, one line feed in 256 follows a carriage return.
    if feeds >= 8192 and not pairs:
        return "it was copied as text (no carriage return is left before a line feed): copy it in binary mode"
    return ""


def _too_short(size: int, start: bytes) -> str:
    header = 20 if len(start) >= 8 and _long(start) else 16
    if size < header:
        return f"{size} bytes are too few for a header (expected {header}): a truncated download"
    if size == header:
        return "a header without weights: a training run stopped before its first save, or a truncated download"
    if (size - header) % 4:
        return "it ends in the middle of a number: a truncated download, or bytes lost in transfer"
    return ""


def _long(start: bytes) -> bool:
    major, minor = struct.unpack("<2i", start[:8])
    return bool(major * 10 + minor >= 2 and major < 1000 and minor < 1000)


def _no_weights(start: bytes) -> str:
    values = np.frombuffer(start[20 : 20 + (len(start) - 20) // 4 * 4], "<f4")
    with np.errstate(invalid="ignore"):
        sound = np.isfinite(values) & (np.abs(values) < 1e8)
        tiny = (values != 0) & (np.abs(values) < 1e-30)
    wrong = 1 - (sound & ~tiny).mean() if values.size else 0.0
    return (
        f"{wrong:.0%} of its numbers are not plausible weights (not finite, or absurdly large or small)"
        if wrong > 0.05
        else ""
    )
