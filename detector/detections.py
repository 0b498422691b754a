"""Hold the detections of one image as parallel arrays, best first."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd
    import supervision as sv


@dataclass(frozen=True, eq=False)
class Detections:
    """The boxes detected in one image, best first. Iterate for `(xyxy, confidence, class_id, name)`.

    Index with a number, a slice, a mask or an array of indices, all of which give `Detections` again. The attributes
    have the names of the supervision library; `to_supervision` makes its own object of them.
    """

    xyxy: NDArray[np.float32]
    """(n, 4): left, top, right, bottom in pixels of the image as displayed, clipped to it."""

    confidence: NDArray[np.float32]
    """(n,): objectness times class probability, 0 to 1."""

    class_id: NDArray[np.int64]
    """(n,): index into `names`."""

    names: tuple[str, ...]
    """All class names of the network, not only those of the boxes."""

    tracker_id: NDArray[np.int64] | None = None
    """(n,): the number of each box's object, the same throughout a video; -1 for none; None if nothing is tracked."""

    def __post_init__(self) -> None:
        if not (len(self.xyxy) == len(self.confidence) == len(self.class_id)):
            raise ValueError(
                f"xyxy, confidence and class_id must have equal lengths, not {len(self.xyxy)}, "
                f"{len(self.confidence)}, {len(self.class_id)}"
            )
        if self.tracker_id is not None and len(self.tracker_id) != len(self.xyxy):
            raise ValueError(f"tracker_id must have the length of xyxy, {len(self.xyxy)}, not {len(self.tracker_id)}")

    @classmethod
    def empty(cls, names: tuple[str, ...] = ()) -> Detections:
        """No boxes."""
        return cls(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64), names)

    def __len__(self) -> int:
        return len(self.xyxy)

    def __iter__(self) -> Iterator[tuple[NDArray[np.float32], float, int, str]]:
        for box, confidence, class_id in zip(self.xyxy, self.confidence, self.class_id, strict=True):
            yield box, float(confidence), int(class_id), self.names[class_id]

    def __getitem__(self, chosen: int | slice | NDArray[np.bool_] | NDArray[np.intp] | list[int] | list[bool]) -> Self:
        if isinstance(chosen, int | np.integer):
            if not -len(self) <= chosen < len(self):
                raise IndexError(f"there are {len(self)} boxes, but none with the index {chosen}")
            chosen = slice(int(chosen), int(chosen) + 1 or None)
        return replace(
            self,
            xyxy=self.xyxy[chosen],
            confidence=self.confidence[chosen],
            class_id=self.class_id[chosen],
            tracker_id=None if self.tracker_id is None else self.tracker_id[chosen],
        )

    def __repr__(self) -> str:
        found = ", ".join(f"{name} {confidence:.2f}" for _, confidence, _, name in self[:5])
        return f"Detections({len(self)}: {found}{', …' if len(self) > 5 else ''})"

    @property
    def class_names(self) -> list[str]:
        """The name of each box's class."""
        return [self.names[class_id] for class_id in self.class_id]

    def to_json(self) -> str:
        """Return the boxes as a JSON array of objects; see `as_records`."""
        return json.dumps(self.as_records(), ensure_ascii=False)

    def to_dataframe(self) -> pd.DataFrame:
        """Return a pandas data frame with a row per box.

        Its columns are xmin, ymin, xmax, ymax (pixels), confidence, class_id, name, and tracker_id if boxes are
        tracked. Needs pandas.
        """
        import pandas as pd

        columns: dict[str, Any] = dict(zip(("xmin", "ymin", "xmax", "ymax"), self.xyxy.T, strict=True))
        columns |= {"confidence": self.confidence, "class_id": self.class_id, "name": self.class_names}
        if self.tracker_id is not None:
            columns["tracker_id"] = self.tracker_id
        return pd.DataFrame(columns)

    def to_supervision(self) -> sv.Detections:
        """Return a `supervision.Detections`, with class names where its annotators expect them. Needs supervision."""
        import supervision as sv

        return sv.Detections(
            xyxy=self.xyxy,
            confidence=self.confidence,
            class_id=self.class_id,
            tracker_id=self.tracker_id,
            data={"class_name": np.array(self.class_names, dtype=str)},
        )

    def as_records(self) -> list[dict[str, object]]:
        """Return one JSON-ready object per box: class_id, name, confidence (4 decimals), box (2 decimals, pixels).

        A box that is tracked has its `track` too.
        """
        tracks = [-1] * len(self) if self.tracker_id is None else self.tracker_id.tolist()
        return [
            {
                "class_id": class_id,
                "name": name,
                "confidence": round(confidence, 4),
                "box": [round(float(edge), 2) for edge in box],
                **({"track": track} if track >= 0 else {}),
            }
            for (box, confidence, class_id, name), track in zip(self, tracks, strict=True)
        ]
