"""Compute average precision as COCO does, with pycocotools."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detector.detections import Detections
from detector.errors import SettingsError

MOST_DETECTIONS = 100
"""Maximum boxes per image, all classes together. COCO's own limit is as many per image and class."""

Picture = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Truth:
    """The ground-truth boxes of an image."""

    xyxy: NDArray[np.float32]
    """(n, 4) left, top, right, bottom in pixels."""

    class_id: NDArray[np.int64]
    crowd: NDArray[np.bool_] | None = None
    area: NDArray[np.float32] | None = None
    """Pixels that each object covers; the area of its box if unknown."""


@dataclass(frozen=True)
class ClassScore:
    """One class's figures; -1 for a class without ground-truth boxes."""

    ap: float
    ap50: float
    boxes: int


@dataclass(frozen=True)
class Score:
    """COCO's figures, 0 to 1; -1 if there are no ground-truth boxes to measure with."""

    ap: float
    """Average precision, mean over IoU 0.50, 0.55, … 0.95 and over classes."""

    ap50: float
    ap75: float
    small: float
    """AP of boxes under 32x32 pixels."""

    medium: float
    large: float
    """AP of boxes over 96x96 pixels."""

    classes: dict[str, ClassScore] = field(default_factory=dict)
    precision50: NDArray[np.float32] = field(default_factory=lambda: np.zeros((101, 0), np.float32), compare=False)
    """(101, classes): precision at IoU 0.5 for recalls 0, 0.01, … 1; -1 for a class without ground-truth boxes."""

    def as_json(self) -> dict[str, Any]:
        """Return a JSON-ready object, figures to four decimals."""
        figures = {name: round(getattr(self, name), 4) for name in ("ap", "ap50", "ap75", "small", "medium", "large")}
        classes = {
            name: {"ap": round(one.ap, 4), "ap50": round(one.ap50, 4), "boxes": one.boxes}
            for name, one in self.classes.items()
        }
        return {**figures, "classes": classes}


def score(truths: Sequence[Truth], found: Sequence[Detections], names: Sequence[str]) -> Score:
    """Measure detections, one `Detections` per image, against the ground truth.

    Raise `SettingsError` when pycocotools is not installed.
    """
    coco, evaluator = _pycocotools()
    images = [{"id": number} for number in range(len(truths))]
    truth = coco()
    truth.dataset = {
        "images": images,
        "categories": [{"id": number, "name": name} for number, name in enumerate(names)],
        "annotations": _annotations(truths),
    }
    with contextlib.redirect_stdout(io.StringIO()):
        truth.createIndex()
        results = coco()
        results.dataset = {**truth.dataset, "annotations": _results(found)}
        results.createIndex()
        run = evaluator(truth, results, "bbox")
        run.params.maxDets = [1, 10, MOST_DETECTIONS]
        run.evaluate()
        run.accumulate()
        run.summarize()
    precision = run.eval["precision"][:, :, :, 0, -1]
    counts = np.bincount(
        np.concatenate([one.class_id for one in truths] or [np.zeros(0, np.int64)]), minlength=len(names)
    )
    classes = {
        name: ClassScore(_mean(precision[:, :, number]), _mean(precision[0, :, number]), int(counts[number]))
        for number, name in enumerate(names)
    }
    ap, ap50, ap75, small, medium, large = (float(figure) for figure in run.stats[:6])
    return Score(ap, ap50, ap75, small, medium, large, classes, precision[0].astype(np.float32))


def evaluate(
    pictures: Sequence[Callable[[], Picture]],
    truths: Sequence[Truth],
    detect: Callable[[Picture], Detections],
    names: Sequence[str],
    *,
    progress: Callable[[Any], Any] = iter,
) -> tuple[Score, list[Detections]]:
    """Detect in every image and measure; return the figures and the detections."""
    found = [detect(read())[:MOST_DETECTIONS] for read in progress(pictures)]
    return score(truths, found, names), found


def _mean(precision: NDArray[np.float64]) -> float:
    measured = precision[precision > -1]
    return float(measured.mean()) if measured.size else -1.0


def _annotations(truths: Sequence[Truth]) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for image, truth in enumerate(truths):
        for index, (box, class_id) in enumerate(zip(truth.xyxy.tolist(), truth.class_id.tolist(), strict=True)):
            width, height = box[2] - box[0], box[3] - box[1]
            area = float(truth.area[index]) if truth.area is not None else width * height
            rows.append(
                {
                    "id": len(rows) + 1,
                    "image_id": image,
                    "category_id": class_id,
                    "bbox": [box[0], box[1], width, height],
                    "area": area,
                    "iscrowd": int(truth.crowd[index]) if truth.crowd is not None else 0,
                }
            )
    return rows


def _results(found: Sequence[Detections]) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for image, detections in enumerate(found):
        for box, confidence, class_id, _ in detections:
            left, top, right, bottom = map(float, box)
            rows.append(
                {
                    "id": len(rows) + 1,
                    "image_id": image,
                    "category_id": class_id,
                    "bbox": [left, top, right - left, bottom - top],
                    "area": (right - left) * (bottom - top),
                    "iscrowd": 0,
                    "score": confidence,
                }
            )
    return rows


def _pycocotools() -> tuple[Any, Any]:
    try:
        from pycocotools.coco import COCO
        from pycocotools.cocoeval import COCOeval
    except ImportError:
        raise SettingsError(
            "average precision is measured by pycocotools, which is not installed; pip install -e '.[train]'"
        ) from None
    return COCO, COCOeval
