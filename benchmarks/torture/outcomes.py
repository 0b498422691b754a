"""What the attacks count."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Protocol


@dataclass(frozen=True)
class Outcome:
    """How one case ended."""

    ending: str
    """In a word, to count."""
    bad: str = ""
    """What is wrong with it; empty where it ended as it should."""
    seconds: float = 0.0
    peak_bytes: int = 0


class Attack(Protocol):
    """A class of attacks."""

    name: str

    @property
    def asked(self) -> dict[str, int]:
        """How many cases of each kind a whole campaign has."""
        ...

    def run(self, kind: str, number: int) -> Outcome:
        """Do one case."""
        ...

    def close(self) -> None:
        """End what it started."""
        ...


@dataclass
class Tally:
    """The cases of one kind."""

    asked: int
    done: int = 0
    endings: Counter[str] = field(default_factory=Counter)
    slowest: float = 0.0
    peak_bytes: int = 0
    bad: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, object]:
        """What `from_json` makes a tally of."""
        return {**vars(self), "endings": dict(self.endings)}

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> Tally:
        """The tally of an earlier piece of a campaign."""
        return cls(**{**fields, "endings": Counter(fields["endings"])})

    def add(self, outcome: Outcome, case: str) -> None:
        """Count a case."""
        self.done += 1
        self.endings["BAD" if outcome.bad else outcome.ending] += 1
        self.slowest = max(self.slowest, outcome.seconds)
        self.peak_bytes = max(self.peak_bytes, outcome.peak_bytes)
        if outcome.bad:
            self.bad.append(f"{case}: {outcome.bad}")
