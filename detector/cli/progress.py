"""Progress where standard error is no terminal: a line every ten seconds instead of a bar."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from time import monotonic
from types import TracebackType
from typing import Generic, Self, TypeVar

Item = TypeVar("Item")

LINE_SECONDS = 10.0


class LineProgress(Generic[Item]):
    """Counts what is done, and writes a line about it at most every `seconds`; the first after that time.

    Iterate over it to count `items`, or call `update` in a `with` block.
    """

    def __init__(
        self,
        items: Iterable[Item] = (),
        *,
        unit: str,
        desc: str | None = None,
        total: int | None = None,
        write: Callable[[str], object] = print,
        seconds: float = LINE_SECONDS,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._items = items
        self._unit = unit
        self._desc = f"{desc}: " if desc else ""
        self._total = total if total is not None else _length(items)
        self._write = write
        self._seconds = seconds
        self._clock = clock
        self._started = self._written = clock()
        self.done = 0
        self._detail = ""

    def __iter__(self) -> Iterator[Item]:
        for item in self._items:
            yield item
            self.update()

    def update(self, n: int = 1, /) -> None:
        """Count `n` more as done."""
        self.done += n
        now = self._clock()
        if now - self._written >= self._seconds:
            self._written = now
            self._write(self._line(now - self._started))

    def set_postfix_str(self, s: str = "", refresh: bool = True) -> None:
        """Add something to the lines from now on."""
        self._detail = f", {s}" if s else ""

    def _line(self, seconds: float) -> str:
        rate = f"{self.done / seconds:.1f} {self._unit}s/s{self._detail}"
        if not self._total:
            return f"{self._desc}{self.done} {self._unit}s, {rate}"
        if not self.done:
            return f"{self._desc}0 of {self._total} {self._unit}s{self._detail}"
        left = round(seconds * max(self._total - self.done, 0) / self.done)
        minutes = f"{left // 60}:{left % 60:02d}"
        return f"{self._desc}{self.done} of {self._total} {self._unit}s, {rate}, {minutes} min left"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass


def _length(items: Iterable[object]) -> int | None:
    try:
        return len(items)  # type: ignore[arg-type]
    except TypeError:
        return None
