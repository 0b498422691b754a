"""Share what all ways of adopting a Keras model need: the result, the ports' anchors."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from convert.errors import InputError
from convert.head import LARGEST_ANCHOR
from convert.model_file import Description
from convert.recognise import read_regular

LARGEST_ANCHORS = 1000


@dataclass(frozen=True)
class Adoption:
    """The result of an adoption."""

    model: Path
    description: Description
    notes: tuple[str, ...]

    def __str__(self) -> str:
        heads = self.description.heads
        return f"Adopted {len(heads)} heads of {heads[0].classes} classes into {self.model}."


def read_anchors(anchors: Path | str) -> tuple[tuple[float, float], ...]:
    """Return pairs of pixels from a file or a text; raise `InputError` if they are invalid."""
    text, where = str(anchors), "--anchors"
    # A file may be named 10.txt, but no file is named 10,13, 16,30.
    if not text[:1].isdigit() or "," not in text:
        try:
            text, where = read_regular(Path(anchors)).decode("utf-8"), str(anchors)
        except (OSError, ValueError):
            raise InputError(f"{anchors}: cannot be read; expected anchors as 10,13, 16,30, …") from None
    try:
        numbers = [float(number) for number in text.replace(",", " ").split()]
    except ValueError as error:
        raise InputError(f"{where}: {error}; expected anchors as 10,13, 16,30, …") from None
    sound = all(0 < number <= LARGEST_ANCHOR for number in numbers)
    if not 0 < len(numbers) <= LARGEST_ANCHORS or len(numbers) % 2 or not sound:
        raise InputError(f"{where}: {len(numbers)} numbers; expected pairs of width and height above 0")
    return tuple(zip(numbers[::2], numbers[1::2], strict=True))
