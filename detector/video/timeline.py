"""Repair timestamps: a file may lack them, repeat them or jump back, but an encoder needs them to increase."""

from __future__ import annotations

from fractions import Fraction

_SPLICE = Fraction(1)
"""A jump back of this many seconds starts another recording; a smaller one is a frame out of order."""

_GAP = Fraction(3600)
"""A jump forward of this many seconds is a damaged timestamp or another recording; a smaller one is a pause."""

_MP4_TICKS = 2**31 - 1
"""The maximum duration of one frame in MP4."""


class Timeline:
    """Makes the timestamps of one stream increase; those that already do are unchanged."""

    def __init__(self, time_base: Fraction, *, step: int) -> None:
        self._splice_ticks = max(1, int(_SPLICE / time_base))
        self._gap_ticks = min(int(_GAP / time_base), _MP4_TICKS)
        self._step = max(1, step)
        """Ticks from one timestamp to the next if the file does not say."""
        self._shift = 0
        self._last: int | None = None
        self._next = 0
        self.missing = 0
        """Number of missing timestamps."""
        self.moved = 0
        """Number of timestamps that did not increase, or jumped too far."""

    def place(self, pts: int | None, duration: int | None = None) -> int:
        """Return the timestamp to use, in ticks, greater than the one before.

        `duration` determines when the next is due.
        """
        if pts is None:
            self.missing += 1
            placed = self._next
        else:
            placed = pts + self._shift
            step = 1 if self._last is None else placed - self._last
            if step <= -self._splice_ticks or step >= self._gap_ticks:
                # All that follows belongs to another recording and is shifted with it.
                self.moved += 1
                self._shift += self._next - placed
                placed = self._next
            elif self._last is not None and step <= 0:
                # Only this one is wrong: move it by as little as possible, so that the next ones are unchanged.
                self.moved += 1
                placed = self._last + 1
        self._last = placed
        self._next = placed + (duration or self._step)
        return placed
