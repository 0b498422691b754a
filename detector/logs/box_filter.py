"""Choose which boxes of a log to draw, export, cut out or hide."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from detector.detections import Detections
from detector.errors import SettingsError
from detector.logs.records import BoxRecord, RunRecord
from detector.settings import suggestions


@dataclass(frozen=True)
class BoxFilter:
    """Which boxes of a log to use."""

    confidence: float = 0.0
    """Minimum confidence of a box."""

    classes: tuple[str, ...] = ()
    """Names or ids of classes; all when empty."""

    blur: tuple[str, ...] = ()
    """Classes whose objects are hidden; no box is drawn around these."""

    def check(self, run: RunRecord) -> None:
        """Raise `SettingsError` for a class that the log does not have."""
        self.check_names(run.classes)

    def check_names(self, names: Sequence[str]) -> None:
        """Raise `SettingsError` for a class that is not among these, or a confidence out of range."""
        for wanted in (*self.classes, *self.blur):
            if not _ids(wanted, names):
                raise SettingsError(f"class {wanted!r} is not one of this log's {suggestions(wanted, names)}")
        if not 0 <= self.confidence <= 1:
            raise SettingsError(f"confidence {self.confidence} is out of range; expected 0 to 1")

    def keeper(self, names: Sequence[str]) -> Callable[[BoxRecord], bool]:
        """Return a function that tells whether a line's box is used."""
        kept = self._class_ids(names)

        def keeps(box: BoxRecord) -> bool:
            return box.confidence >= self.confidence and (not self.classes or box.class_id in kept)

        return keeps

    def of(self, found: Detections) -> Detections:
        """Return the boxes to draw or to cut out."""
        wanted = found.confidence >= np.float32(self.confidence)
        if self.classes:
            wanted &= np.isin(found.class_id, list(self._class_ids(found.names)))
        return found[wanted]

    def drawn(self, found: Detections) -> Detections:
        """Return the boxes to draw."""
        shown = self.of(found)
        return shown[~np.isin(shown.class_id, self.hidden_ids(found.names))]

    def hidden_ids(self, names: Sequence[str]) -> list[int]:
        """Return the ids of the classes to hide, at any confidence: hiding too much is safer than too little."""
        return [number for wanted in self.blur for number in _ids(wanted, names)]

    def _class_ids(self, names: Sequence[str]) -> frozenset[int]:
        return frozenset(number for wanted in self.classes for number in _ids(wanted, names))


EVERY_BOX = BoxFilter()


def class_list(text: str | None) -> tuple[str, ...]:
    """Return the classes of an option such as `person,car`."""
    return tuple(name.strip() for name in (text or "").split(",") if name.strip())


def _ids(wanted: str, names: Sequence[str]) -> list[int]:
    """Return the ids of the classes of this name; if there are none, the id that the name itself is."""
    found = [number for number, name in enumerate(names) if name == wanted]
    if not found and wanted.isascii() and wanted.isdigit() and int(wanted) < len(names):
        found = [int(wanted)]
    return found
