"""Detections: what was found in one picture, as parallel arrays, best first."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Detections:
    """The boxes found in one picture; iterate for `(xyxy, confidence, class_id, name)`, index by mask or slice.

    `xyxy`, `confidence` and `class_id` are the attribute names of the supervision library, so its annotators
    and trackers take this object's arrays as they are.
    """

    xyxy: NDArray[np.float32]
    """(n, 4): left, top, right, bottom in pixels of the picture as displayed, clipped to it."""

    confidence: NDArray[np.float32]
    """(n,): objectness times class probability, 0 to 1."""

    class_id: NDArray[np.int64]
    """(n,): index into `names`."""

    names: tuple[str, ...]
    """All class names of the network, not only those found."""

    tracker_id: NDArray[np.int64] | None = None
    """(n,): which object each box is of, the same through a video; -1 for none; None where nothing is tracked."""

    def __post_init__(self) -> None:
        if not (len(self.xyxy) == len(self.confidence) == len(self.class_id)):
            raise ValueError(
                f"xyxy, confidence and class_id must be of one length, "
                f"not {len(self.xyxy)}, {len(self.confidence)}, {len(self.class_id)}"
            )
        if self.tracker_id is not None and len(self.tracker_id) != len(self.xyxy):
            raise ValueError(f"tracker_id must be of the length of xyxy, {len(self.xyxy)}, not {len(self.tracker_id)}")

    @classmethod
    def empty(cls, names: tuple[str, ...] = ()) -> Detections:
        """No boxes."""
        return cls(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64), names)

    def __len__(self) -> int:
        return len(self.xyxy)

    def __iter__(self) -> Iterator[tuple[NDArray[np.float32], float, int, str]]:
        for box, confidence, class_id in zip(self.xyxy, self.confidence, self.class_id, strict=True):
            yield box, float(confidence), int(class_id), self.names[class_id]

    def __getitem__(self, chosen: slice | NDArray[np.bool_] | NDArray[np.intp] | list[int]) -> Detections:
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

    def as_records(self) -> list[dict[str, object]]:
        """One JSON-ready object per box: class_id, name, confidence (4 decimals), box (2 decimals, pixels).

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
