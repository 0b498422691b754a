"""Heat maps beside what was found: a row of two pictures for each detection or class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detector.detector import Detector
from detector.drawing.boxes import draw, draw_caption
from detector.drawing.heatmap import overlay, share_inside
from detector.recognition.classifier import Classifier
from detector.recognition.explain import Method, Progress, explain

GAP = 4
"""White pixels between pictures."""

LARGEST_SIDE = 1280
"""Of one picture in a row, in pixels; larger ones are shrunk."""


@dataclass(frozen=True, eq=False)
class Row:
    """One thing explained."""

    line: str
    """What was explained, and how much of the heat lies where it should."""

    plain: NDArray[np.uint8]
    """The picture with the detection's box, or the class's name."""

    heat: NDArray[np.uint8]
    """The picture under the heat map."""


def explain_detections(
    detector: Detector, picture: NDArray[np.uint8], count: int, *, method: Method, masks: int, progress: Progress
) -> list[Row]:
    """A row for each of the `count` best detections."""
    found = detector.detect(picture)[:count]
    rows = []
    for index, detection in enumerate(found):
        heat = explain(detector, picture, detection, method=method, masks=masks, progress=progress)
        box, confidence, _, name = detection
        left, top, right, bottom = (round(float(edge)) for edge in box)
        inside = share_inside(heat, box)
        plain = np.array(picture)
        draw(plain, found[index : index + 1])
        line = f"{name} {confidence:.2f} ({left}, {top}) ({right}, {bottom}): {inside:.0%} of the heat inside its box"
        rows.append(Row(line, plain, overlay(picture, heat)))
    return rows


def explain_classes(
    classifier: Classifier,
    picture: NDArray[np.uint8],
    name: str | None,
    count: int,
    *,
    method: Method,
    masks: int,
    progress: Progress,
) -> list[Row]:
    """A row for the class called `name`, or for each of the `count` most probable classes."""
    found = classifier.classify(picture)
    wanted = [one.class_id for one in found.top(count)] if name is None else [name]
    rows = []
    for target in wanted:
        heat = explain(classifier, picture, target, method=method, masks=masks, progress=progress)
        class_id = classifier.names.index(target) if isinstance(target, str) else target
        line = f"{classifier.names[class_id]} {float(found.probabilities[class_id]):.4f}"
        plain = np.array(picture)
        draw_caption(plain, line)
        rows.append(Row(line, plain, overlay(picture, heat)))
    return rows


def stacked(rows: Sequence[Row]) -> NDArray[np.uint8]:
    """All rows in one picture: the plain one on the left, the heat map on the right."""
    parts = []
    for row in rows:
        plain, heat = _shrunk(row.plain), _shrunk(row.heat)
        gap = np.full((plain.shape[0], GAP, 3), 255, np.uint8)
        parts += [
            np.concatenate([plain, gap, heat], axis=1),
            np.full((GAP, 2 * plain.shape[1] + GAP, 3), 255, np.uint8),
        ]
    return np.concatenate(parts[:-1])


def _shrunk(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    import cv2

    height, width = picture.shape[:2]
    scale = LARGEST_SIDE / max(height, width)
    if scale >= 1:
        return picture
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)
