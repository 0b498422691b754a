"""Which boxes of a log to draw, cut out or hide."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from detector.detections import Detections
from detector.errors import SettingsError
from detector.logs.records import RunRecord
from detector.settings import suggestions


@dataclass(frozen=True)
class BoxFilter:
    """Which boxes of a log to use."""

    confidence: float = 0.0
    """The least confidence of a box."""

    classes: tuple[str, ...] = ()
    """Names of the classes; all when empty."""

    blur: tuple[str, ...] = ()
    """Classes whose objects are hidden; no box is drawn around these."""

    def check(self, run: RunRecord) -> None:
        """Raise `SettingsError` for a class that the log does not have."""
        for name in (*self.classes, *self.blur):
            if name not in run.classes:
                raise SettingsError(f"class {name!r} is not one of this log's {suggestions(name, run.classes)}")
        if not 0 <= self.confidence <= 1:
            raise SettingsError(f"confidence {self.confidence} is out of range; expected 0 to 1")

    def of(self, found: Detections) -> Detections:
        """The boxes to draw or to cut out."""
        wanted = found.confidence >= np.float32(self.confidence)
        if self.classes:
            ids = [number for number, name in enumerate(found.names) if name in self.classes]
            wanted &= np.isin(found.class_id, ids)
        return found[wanted]

    def drawn(self, found: Detections) -> Detections:
        """The boxes to draw."""
        shown = self.of(found)
        return shown[~np.isin(shown.class_id, self.hidden_ids(found.names))]

    def hidden_ids(self, names: Sequence[str]) -> list[int]:
        """The ids of the classes to hide, at any confidence: one box too many is better than one forgotten."""
        return [number for number, name in enumerate(names) if name in self.blur]
