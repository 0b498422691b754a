"""Report the notes and the progress of a training run to its caller, in the manner of tqdm."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from detector.training.history import Row


class Bar(Protocol):
    """An iterable of batches or images that shows its progress, such as tqdm's objects."""

    def __iter__(self) -> Iterator[Any]:
        """Iterate over the wrapped iterable."""

    def set_postfix(self, *, refresh: bool | None = True, **figures: Any) -> None:
        """Show figures beside the progress."""


MakeBar = Callable[..., Any]
"""Wraps an iterable in a `Bar`; takes tqdm's keywords `total`, `desc` and `unit`."""


class SilentBar:
    """A bar that shows nothing."""

    def __init__(self, things: Iterable[Any], **options: Any) -> None:
        self.things = things

    def __iter__(self) -> Iterator[Any]:
        return iter(self.things)

    def set_postfix(self, *, refresh: bool | None = True, **figures: Any) -> None:
        """Show nothing."""


@dataclass(frozen=True)
class Reporting:
    """Where a training run sends its notes and progress."""

    on_note: Callable[[str], None] = lambda note: None
    bar: MakeBar = SilentBar
    on_epoch: Callable[[Row], None] = lambda row: None
    """Gets the figures of each epoch when its files are written."""

    def note_if(self, note: str) -> None:
        """Pass on a note, unless it is empty."""
        if note:
            self.on_note(note)
