"""Timestamps put in order: a file may lack them, repeat them or jump back, an encoder needs them to rise."""

from __future__ import annotations

from fractions import Fraction

_SPLICE = Fraction(1)
"""Seconds back that are no longer a frame out of order but another recording joined on."""

_GAP = Fraction(3600)
"""Seconds forward that are no longer a pause but a damaged timestamp, or another recording."""

_MP4_TICKS = 2**31 - 1
"""The longest that MP4 can show one frame."""


class Timeline:
    """Gives each timestamp of one stream its place; those that rise by themselves are left as they are."""

    def __init__(self, time_base: Fraction, *, step: int) -> None:
        self._splice_ticks = max(1, int(_SPLICE / time_base))
        self._gap_ticks = min(int(_GAP / time_base), _MP4_TICKS)
        self._step = max(1, step)
        """Ticks from one timestamp to the next where the file does not say."""
        self._shift = 0
        self._last: int | None = None
        self._next = 0
        self.missing = 0
        """Timestamps that were not there."""
        self.moved = 0
        """Timestamps that did not rise, or rose beyond belief."""

    def place(self, pts: int | None, duration: int | None = None) -> int:
        """The timestamp to use, in ticks, greater than the one before; `duration` tells where the next is due."""
        if pts is None:
            self.missing += 1
            placed = self._next
        else:
            placed = pts + self._shift
            step = 1 if self._last is None else placed - self._last
            if step <= -self._splice_ticks or step >= self._gap_ticks:
                # All that follows belongs to another recording and moves with it.
                self.moved += 1
                self._shift += self._next - placed
                placed = self._next
            elif self._last is not None and step <= 0:
                # Only this one is wrong: give way as little as possible, so that its successors keep theirs.
                self.moved += 1
                placed = self._last + 1
        self._last = placed
        self._next = placed + (duration or self._step)
        return placed
