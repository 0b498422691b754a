"""Represent a section of a video, in times as a player shows them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

from detector.errors import SettingsError

_LONGEST_SECONDS = 1e9
_TIME = re.compile(r"(?:(?:(\d{1,4}):)?(\d{1,4}):)?(\d{1,6}(?:\.\d{1,9})?|\.\d{1,9})", re.ASCII)


@dataclass(frozen=True)
class Section:
    """The frames at or after `start` and before `end`, in seconds from the video's beginning.

    Raise `SettingsError` if the end is not after the start.
    """

    start: Fraction | None = None
    """Start in seconds; None for the video's own beginning."""

    end: Fraction | None = None
    """End in seconds; None for the video's own end."""

    def __post_init__(self) -> None:
        if self.end is not None and self.end <= (self.start or 0):
            raise SettingsError(
                f"the end {spoken(self.end)} is not after the start {spoken(self.start or Fraction(0))}; "
                "both count from the video's beginning"
            )

    @classmethod
    def of(cls, start: str | None, end: str | None) -> Section:
        """Return the section between two times as a user writes them: seconds, or [HH:]MM:SS[.fff]."""
        # A start of 0 means the beginning: images or audio that begin later keep their offset.
        return cls(_seconds("start", start) or None, _seconds("end", end))

    @classmethod
    def logged(cls, settings: Mapping[str, object]) -> Section:
        """Return the section stored in a frame log's settings."""
        return cls(_logged_seconds(settings, "start"), _logged_seconds(settings, "end"))

    def end_not_reached(self, name: str, ends: Fraction) -> str:
        """Return the note for a video that `ends` before the requested end."""
        return f"{name}: ends at {spoken(ends)}, before the requested end, {spoken(self.end or ends)}"

    def as_json(self) -> dict[str, float]:
        """Return the settings for a frame log, without those that were not given."""
        given = {"start": self.start, "end": self.end}
        return {name: float(seconds) for name, seconds in given.items() if seconds is not None}


WHOLE = Section()


@dataclass(frozen=True)
class Span:
    """A section on the source's own clock, and the time on that clock at which a copy starts."""

    shift_seconds: Fraction = Fraction(0)

    begin_seconds: Fraction | None = None
    """The first moment to copy; None for the beginning."""

    end_seconds: Fraction | None = None
    """The first moment not to copy; None for the end."""

    def holds(self, start: Fraction, end: Fraction) -> bool:
        """Return whether anything between two moments lies within it."""
        begun = self.begin_seconds is None or end > self.begin_seconds or start >= self.begin_seconds
        return begun and (self.end_seconds is None or start < self.end_seconds)


WHOLE_SPAN = Span()


def start_after_end(name: str, start: Fraction, ends: Fraction) -> SettingsError:
    """Return the error for a video that `ends` before the section starts."""
    return SettingsError(
        f"{name}: the requested start, {spoken(start)}, is after its last frame, which ends at {spoken(ends)}; give "
        "an earlier start"
    )


def empty_section(name: str, section: Section, following: Fraction) -> SettingsError:
    """Return the error for a section in which no frame begins; `following` is when the next one does."""
    start, end = section.start or Fraction(0), section.end or Fraction(0)
    return SettingsError(
        f"{name}: has no frame from {spoken(start)} to {spoken(end)}; the next is at {spoken(following)}; "
        "give a longer section"
    )


def spoken(seconds: Fraction) -> str:
    """Return a time for messages: `12.5 s`, `3725 s (1:02:05)`."""
    text = f"{float(seconds):.3f}".rstrip("0").rstrip(".") + " s"
    if seconds < 60:
        return text
    minutes, rest = divmod(float(seconds), 60)
    hours, minutes = divmod(int(minutes), 60)
    clock = f"{rest:06.3f}".rstrip("0").rstrip(".")
    return f"{text} ({hours}:{minutes:02d}:{clock})" if hours else f"{text} ({minutes}:{clock})"


def parse_seconds(name: str, text: str) -> float:
    """Parse a duration as a user writes it: `2`, `2s`, `0.5 s`, or [HH:]MM:SS. Raise `SettingsError`."""
    found = _TIME.fullmatch(text.strip().removesuffix("s").strip())
    if found is None:
        raise SettingsError(f"{name} {text!r} is not a duration; expected seconds, such as 2s, or MM:SS")
    hours, minutes, seconds = found.groups()
    return int(hours or 0) * 3600 + int(minutes or 0) * 60 + float(seconds)


def _logged_seconds(settings: Mapping[str, object], name: str) -> Fraction | None:
    given = settings.get(name)
    if given is None:
        return None
    if isinstance(given, bool) or not isinstance(given, int | float) or not 0 <= given < _LONGEST_SECONDS:
        raise SettingsError(f"the log's settings give {name} as {str(given)[:60]!r}; expected seconds")
    return Fraction(str(given))


def _seconds(name: str, text: str | None) -> Fraction | None:
    if text is None:
        return None
    match = _TIME.fullmatch(text.strip())
    if match is None:
        raise SettingsError(
            f"{name} {text!r} is not a time; expected seconds, such as 12.5, or [HH:]MM:SS, such as 1:30"
        )
    hours, minutes, seconds = match.groups()
    if (minutes and Fraction(seconds) >= 60) or (hours and int(minutes) >= 60):
        raise SettingsError(f"{name} {text!r} is not a time: minutes and seconds go to 59; expected [HH:]MM:SS")
    return int(hours or 0) * 3600 + int(minutes or 0) * 60 + Fraction(seconds)
